// A server with a record of tasks, whole, in virtual time; the record is of memory unless a test brings a file.
import { VirtualClock } from '../kernels/clock.ts';
import { createLog } from '../server/base/log.ts';
import { loadConfig } from '../server/config/config.ts';
import { ServerMetrics } from '../server/metrics/metrics.ts';
import { Outcomes } from '../server/outcomes/outcomes.ts';
import { taskRoutes } from '../server/outcomes/routes.ts';
import type { StorePort } from '../server/outcomes/store-port.ts';
import type { TaskStore } from '../server/outcomes/task-store.ts';
import { httpServer } from './http-world.ts';
import { LocalPort } from './local-port.ts';
import { memoryStore, START_MS } from './outcome-records.ts';
import { ResponsesServer } from './responses-world.ts';

interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  readonly json: any;
}

export interface OutcomesServer {
  readonly server: ResponsesServer;
  readonly outcomes: Outcomes;
  readonly store: TaskStore;
  readonly clock: VirtualClock;
  readonly logLines: string[];
  readonly metricsText: () => Promise<string>;
  ask(method: string, path: string, body?: object, key?: string): Promise<Reply>;
}

export interface OutcomesServerOptions {
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly store?: TaskStore;
  readonly port?: (store: TaskStore, clock: VirtualClock) => StorePort;
}

/** A record and what belongs to it, on any clock. */
export function outcomesOn(clock: VirtualClock, { flags = {}, ...options }: OutcomesServerOptions = {}) {
  const store = options.store ?? memoryStore();
  const config = loadConfig({ flags, env: { HOME: '/home/ada' } });
  const metrics = new ServerMetrics({ nodeMetrics: false });
  const logLines: string[] = [];
  const epochMs = () => START_MS + clock.nowMs();
  const log = createLog({ level: 'debug', write: (line) => void logLines.push(line), epochMs });
  const port = options.port?.(store, clock) ?? new LocalPort(store, clock);
  let idCount = 0;
  const freshId = () => `${++idCount}`;
  const outcomes = new Outcomes({ port, config, clock, epochMs, freshId, log, metrics });
  return { outcomes, store, log, logLines, metrics };
}

export async function outcomesServer(options: OutcomesServerOptions = {}): Promise<OutcomesServer> {
  const clock = new VirtualClock();
  const { outcomes, store, log, logLines, metrics } = outcomesOn(clock, options);
  const app = { routes: taskRoutes(outcomes), log, metrics };
  const http = httpServer({ clock, flags: options.flags ?? {}, app });
  const server = new ResponsesServer(clock, { ...http, logLines, metrics }, []);
  await server.transport.listen('127.0.0.1', 0, http.app.handlers);
  const ask = async (method: string, path: string, body?: object, key?: string) => {
    const call = server.transport.call({
      ...{ method, path },
      ...(body !== undefined && { body }),
      ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }),
    });
    await server.settle(clock.nowMs() + 1);
    return { status: call.status, json: call.json };
  };
  const metricsText = async () => (await metrics.render()).text;
  return { server, outcomes, store, clock, logLines, metricsText, ask };
}
