// The gauges that routers before several nodes read (llm-d's endpoint picker, vLLM's router, SGLang's gateway): waiting, running,
// use of KV memory, size and number of blocks. Owns their names, ours and vLLM's; the numbers are the engine's latest report.
import { Gauge, type Registry } from 'prom-client';
import type { KvReport } from '../engine/observer.ts';

export interface EngineGaugeOptions {
  readonly registry: Registry;
  readonly modelName: string;
  readonly blockSize: () => number; // tokens, of the device that serves
  readonly blockCount: () => number;
  readonly report: () => KvReport | null;
  readonly vllm: boolean; // under vLLM's names, too
}

/** Share of the blocks that sequences hold; cached ones that nobody uses count as free, as vLLM counts them. */
export function kvUsage(report: KvReport | null): number {
  return report === null || report.blockCount === 0 ? 0 : report.inUseCount / report.blockCount;
}

export function addEngineGauges({ registry, report, vllm, ...options }: EngineGaugeOptions): void {
  const waiting = () => report()?.waitingCount ?? 0;
  const running = () => report()?.runningCount ?? 0;
  const usage = () => kvUsage(report());
  const add = (name: string, help: string, read: () => number, labels: Record<string, string> = {}): void => {
    const labelNames = Object.keys(labels);
    const gauge: Gauge = new Gauge({
      ...{ name, help, labelNames, registers: [registry] },
      collect: () => gauge.set(labels, read()),
    });
  };
  add('sparklane_requests_waiting', 'Sequences that wait for a seat', waiting);
  add('sparklane_requests_running', 'Sequences that are being computed', running);
  add('sparklane_kv_usage', 'Share of the KV blocks that sequences hold, 0 to 1', usage);
  addCacheInfo('sparklane_cache_config_info', 'num_blocks', { registry, ...options });
  if (!vllm) return;
  const labels = { model_name: options.modelName, engine: '0' };
  add('vllm:num_requests_waiting', 'The same as sparklane_requests_waiting', waiting, labels);
  add('vllm:num_requests_running', 'The same as sparklane_requests_running', running, labels);
  add('vllm:kv_cache_usage_perc', 'The same as sparklane_kv_usage, 0 to 1', usage, labels);
  addCacheInfo('vllm:cache_config_info', 'num_gpu_blocks', { registry, ...options });
}

/** Always 1; what it tells are its labels. They change with the device. */
function addCacheInfo(
  name: string,
  countLabel: string,
  options: Pick<EngineGaugeOptions, 'registry' | 'blockSize' | 'blockCount'>,
): void {
  const gauge: Gauge = new Gauge({
    ...{ name, help: 'Size and number of the KV blocks', labelNames: ['block_size', countLabel] },
    registers: [options.registry],
    collect: () => {
      gauge.reset();
      gauge.set({ block_size: options.blockSize(), [countLabel]: options.blockCount() }, 1);
    },
  });
}
