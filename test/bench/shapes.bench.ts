// What models of several sizes take to be converted, loaded and asked: time, memory at its peak, size of the result. The
// weights are noise in bfloat16 of Qwen2.5's shapes; what they cost is what real ones cost. Each measurement is a process of
// its own, so that its peak is its own. Run: npx tsx test/bench/shapes.bench.ts [0.5B 1.5B 3B 7B] [--precision int8]
// (writes 2 bytes a weight and the result into a temporary directory, and removes them)
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, execPath, resourceUsage } from 'node:process';
import { fileURLToPath } from 'node:url';
import { calibrationOn } from '../../kernels/onnx/activation-probe.ts';
import { openSession } from '../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { type Precision, precisions } from '../../models/graph/precision.ts';
import { weightCount } from '../../models/spec.ts';
import { GraphRunner } from '../golden/graph-runner.ts';
import { writeNoiseModel } from './noise-model.ts';

const MIB = 2 ** 20;
const shapes: Readonly<
  Record<
    string,
    readonly [layers: number, hidden: number, heads: number, kv: number, ffn: number, tied: boolean]
  >
> = {
  '0.5B': [24, 896, 14, 2, 4864, true],
  '1.5B': [28, 1536, 12, 2, 8960, true],
  '3B': [36, 2048, 16, 2, 11_008, true],
  '7B': [28, 3584, 28, 4, 18_944, false],
};
const promptTokens = 128;
const drawnTokens = 16;

const [mode, ...rest] = argv.slice(2);
if (mode === '--convert') await convert(rest[0]!, rest[1] as Precision);
else if (mode === '--ask') await ask(rest[0]!, rest[1] as Precision);
else measureAll(argv.slice(2));

function measureAll(args: readonly string[]): void {
  const at = args.indexOf('--precision');
  const precision = precisions.find((one) => one === args[at + 1]) ?? 'int8';
  const names = args.filter((name) => name in shapes);
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-shapes-'));
  try {
    const rows = (names.length > 0 ? names : ['0.5B', '1.5B', '3B']).map((name) => {
      const model = join(directory, name);
      writeNoiseModel(model, configOf(shapes[name]!));
      const weights = weightCount(readModelSpec(model));
      const converted = child('--convert', model, precision);
      const asked = child('--ask', model, precision);
      rmSync(model, { recursive: true });
      return { shape: name, 'M weights': Math.round(weights / 1e6), ...converted, ...asked };
    });
    console.table(rows);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function child(...args: readonly string[]): object {
  const said = execFileSync(execPath, ['--import', 'tsx', fileURLToPath(import.meta.url), ...args], {
    encoding: 'utf8',
  });
  return JSON.parse(said.trim().split('\n').at(-1)!) as object;
}

function configOf([layers, hidden, heads, kv, ffn, tied]: (typeof shapes)[string]): object {
  return {
    ...{ architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2', vocab_size: 151_936, hidden_size: hidden },
    ...{
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: kv,
      intermediate_size: ffn,
    },
    ...{ max_position_embeddings: 4096, rope_theta: 1e6, rms_norm_eps: 1e-6, tie_word_embeddings: tied },
    ...{ hidden_act: 'silu', bos_token_id: 1, eos_token_id: 2 },
  };
}

async function built(model: string, precision: Precision) {
  const tokens = Int32Array.from({ length: 256 }, (_, index) => 3 + ((index * 7919) % 50_000));
  const calibration = calibrationOn(tokens, 2);
  const threads = { count: availableParallelism(), adapters: [] };
  const options = { precision, cacheDirectory: join(model, 'cache'), calibration, threads };
  return buildGraph(loadCheckpoint(model), options);
}

async function convert(model: string, precision: Precision): Promise<void> {
  const startMs = performance.now();
  const { directory } = await built(model, precision);
  const elapsed = performance.now() - startMs;
  const size = readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  const { userCPUTime, systemCPUTime, maxRSS } = resourceUsage();
  console.log(
    JSON.stringify({
      'result MiB': Math.round(size / MIB),
      'convert s': Math.round(elapsed / 1000),
      'convert CPU s': Math.round((userCPUTime + systemCPUTime) / 1e6),
      'peak / result': (maxRSS / 1024 / (size / MIB)).toFixed(2),
    }),
  );
}

async function ask(model: string, precision: Precision): Promise<void> {
  const graph = await built(model, precision);
  const startMs = performance.now();
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 2, spinning: true });
  const loadMs = performance.now() - startMs;
  const runner = new GraphRunner(session, graph, { slotCount: 1, capacity: 256 });
  const prompt = Array.from({ length: promptTokens }, (_, index) => 3 + index);
  runner.prefill(0, prompt, promptTokens);
  const prefillMs = timed(() => runner.prefill(0, prompt, promptTokens));
  const decodeMs = timed(() => {
    for (let at = 0; at < drawnTokens; at++) runner.decode(0, [5], [promptTokens + at]);
  });
  runner.release();
  console.log(
    JSON.stringify({
      'load s': (loadMs / 1000).toFixed(1),
      'prefill tok/s': Math.round(promptTokens / (prefillMs / 1000)),
      'decode tok/s': (drawnTokens / (decodeMs / 1000)).toFixed(1),
      'served MiB': Math.round(resourceUsage().maxRSS / 1024),
    }),
  );
}

function timed(run: () => void): number {
  const startMs = performance.now();
  run();
  return performance.now() - startMs;
}
