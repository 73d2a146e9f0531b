// A whole server inside the load tester: the real engine, routes and sessions over a transport of memory, on any clock
// and any device. With a simulated device and a virtual clock, a run is a pure function of its seed.
import type { Clock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { loadModel, type Model } from '../../../models/model.ts';
import { createLog } from '../../../server/base/log.ts';
import { packageVersion } from '../../../server/base/package-version.ts';
import { startServer } from '../../../server/compose.ts';
import { loadConfig } from '../../../server/config/config.ts';
import { openDevice } from '../../../server/device/device.ts';
import type { Transport, TransportHandlers } from '../../../server/listeners/transport.ts';
import { ServerMetrics } from '../../../server/metrics/metrics.ts';
import type { Wires } from './catalog.ts';
import { memoryHttpWire, memorySocketWire } from './memory-wire.ts';

export interface InProcessOptions {
  readonly model: string;
  readonly device: string; // backend name
  readonly seed: number;
  readonly clock: Clock;
  readonly epochMs: () => number; // constant in virtual time
  readonly write: (line: string) => void; // the server's log
}

export interface InProcessServer {
  readonly wires: Wires;
  readonly model: Model;
  readonly device: string;
  stop(): Promise<void>;
}

/** Rejects with what is wrong with the model or the device. */
export async function startInProcess(options: InProcessOptions): Promise<InProcessServer> {
  const { clock, epochMs, write, seed } = options;
  const config = loadConfig({
    flags: { backend: options.device, model: options.model, logLevel: 'warn', seed: String(seed) },
    env: {},
  });
  const model = loadModel(options.model, () => new Date(epochMs()));
  const log = createLog({ level: 'warn', write, epochMs });
  const device = await openDevice(config, model, { clock, log, onProgress: () => {} });
  const transport = new MemoryListener();
  const random = new Random(seed);
  const server = await startServer({
    config,
    version: packageVersion(),
    model,
    backend: device.backend,
    transport,
    clock,
    epochMs,
    random: new Random(seed ^ 0x5bd1),
    freshId: () => `${random.seed().toString(36)}${random.seed().toString(36)}`,
    log,
    metrics: new ServerMetrics({ nodeMetrics: false }),
  });
  const { handlers } = transport;
  return {
    wires: { http: () => memoryHttpWire(handlers, clock), socket: () => memorySocketWire(handlers, clock) },
    model,
    device: device.description,
    stop: () => server.stop(),
  };
}

/** Keeps the handlers; there is nothing to listen on. */
class MemoryListener implements Transport {
  #handlers: TransportHandlers | null = null;

  get handlers(): TransportHandlers {
    if (this.#handlers === null) throw new Error('the server is not listening yet');
    return this.#handlers;
  }

  listen(_host: string, port: number, handlers: TransportHandlers): Promise<{ readonly port: number }> {
    this.#handlers = handlers;
    return Promise.resolve({ port });
  }

  stopListening(): void {}

  close(): void {}
}
