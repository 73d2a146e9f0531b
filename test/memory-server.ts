// A whole server as `serve` composes it, page included, over a simulated device, a transport of memory and virtual time.
import { VirtualClock } from '../kernels/clock.ts';
import { Random } from '../kernels/random.ts';
import { loadModel } from '../models/model.ts';
import { createLog } from '../server/base/log.ts';
import { type ServerParts, startServer } from '../server/compose.ts';
import { loadConfig } from '../server/config/config.ts';
import { openDevice } from '../server/device/device.ts';
import { ServerMetrics } from '../server/metrics/metrics.ts';
import { MemoryTransport } from './memory-transport.ts';
import { turn } from './native-world.ts';

const model = loadModel('spark-nano');

export type MemoryServer = Awaited<ReturnType<typeof memoryServer>>;

export async function memoryServer(
  flags: Readonly<Record<string, unknown>> = {},
  more: Partial<ServerParts> = {},
) {
  const clock = new VirtualClock();
  const config = loadConfig({
    flags: { backend: 'sim', kvCacheSizeMax: '64MiB', drainTimeoutMs: '500', ...flags },
    env: { HOME: '/home/ada' },
  });
  const log = createLog({ level: 'silent', write: () => {}, epochMs: () => 0 });
  const world = { clock, log, onProgress: () => {} };
  const device = await openDevice(config, model, world);
  const transport = new MemoryTransport({ clock, kernelSizeMax: 2 ** 16 });
  const metrics = new ServerMetrics({ nodeMetrics: false });
  let idCount = 0;
  const server = await startServer({
    ...{ config, version: '0.0.0', model, backend: device.backend, description: device.description },
    ...{ transport, clock, epochMs: () => 0, random: new Random(1), log, metrics },
    freshId: () => `id-${++idCount}`,
    openBackend: (choice) => openDevice({ ...config, ...choice }, model, world),
    page: { assets: null },
    ...more,
  });
  /** Virtual time goes on; promises keep pace with it. */
  const run = async (ms: number): Promise<void> => {
    const endMs = clock.nowMs() + ms;
    for (let atMs = clock.nowMs(); atMs < endMs; ) {
      await turn();
      atMs = Math.min(endMs, atMs + Math.max(20, ms / 200));
      clock.run(atMs);
    }
    await turn();
  };
  return {
    ...{ clock, transport, metrics, server, run },
    call: (request: Parameters<MemoryTransport['call']>[0]) => transport.call(request),
    stop: async (): Promise<void> => {
      let stopped = false;
      const stopping = server.stop().then(() => {
        stopped = true;
      });
      while (!stopped) {
        await turn();
        clock.step();
      }
      return stopping;
    },
  };
}
