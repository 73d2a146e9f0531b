// Wires one server from its parts: the model's service, the door, health, and the way down. Owns the order of a shutdown; never
// touches a socket or a file, so that it runs over any transport and any clock.
// Before it: compose.ts makes the parts; after it: listeners/transport.ts delivers requests to `handlers`.
import { HttpDoor, type Route } from './http/door.ts';
import { Guard } from './http/guard.ts';
import { healthRoutes } from './http/health.ts';
import { openApiRoute } from './http/openapi.ts';
import type { TransportHandlers } from './listeners/transport.ts';
import type { ServerMetrics } from './metrics/metrics.ts';
import { ResponseStore } from './responses/store.ts';
import { createModelService, type ModelParts } from './serving/model-service.ts';
import type { SessionTable } from './sessions/session-table.ts';

export interface AppParts extends ModelParts {
  readonly routes?: readonly Route[]; // beside the model's own
  readonly engine: ModelParts['engine'] & {
    drain(onIdle: () => void): void;
    abortAll(message: string): void;
  };
  readonly metrics: ServerMetrics;
}

export interface App {
  readonly handlers: TransportHandlers;
  readonly sessions: SessionTable; // native ones
  /**
   * Refuses new work at once, waits for what is open, at most `drainTimeoutMs`, fails the rest with 'shutdown', closes
   * the sockets. Idempotent. The transport is stopped before and closed after by the caller.
   */
  drain(): Promise<void>;
}

const GOING_AWAY = 1001; // RFC 6455 section 7.4.1

export function createApp(parts: AppParts): App {
  const { config, clock, freshId, log, metrics, version } = parts;
  const guard = new Guard(config);
  const store = new ResponseStore(config, clock);
  const { routes, sockets, texts, sessions } = createModelService(parts, { guard, store });
  metrics.watch('sessions', 'Native sessions kept', () => sessions.count);
  metrics.watch('stored_responses', 'Responses kept', () => store.count);
  metrics.watch('stored_response_bytes', 'Text of the responses kept', () => store.size);
  let drained: Promise<void> | null = null;
  const health = healthRoutes({ metrics, isDraining: () => drained !== null });
  const all = [...routes, ...health, ...(parts.routes ?? [])];
  const described = openApiRoute(all, { version, keyed: config.apiKeys.length > 0 });
  const door = new HttpDoor(
    { ...config, guard, clock, freshId, log, metrics, texts },
    [...all, described],
    sockets,
  );
  return {
    handlers: door,
    sessions,
    drain: () => {
      parts.lanes?.drain();
      drained ??= drain(parts, door).finally(() => sessions.closeAll());
      return drained;
    },
  };
}

function drain({ config, engine, clock, log }: AppParts, door: HttpDoor): Promise<void> {
  return new Promise((resolve) => {
    let engineIdle = false;
    let timedOut = false;
    const finish = () => {
      timer.cancel();
      door.closeSockets(GOING_AWAY, 'the server is shutting down');
      resolve();
    };
    const timer = clock.schedule(config.drainTimeoutMs, () => {
      timedOut = true;
      log.warn('open requests are cut off', { drainTimeoutMs: config.drainTimeoutMs });
      if (engineIdle)
        finish(); // only callers that never sent their body are left
      else engine.abortAll('the server is shutting down');
    });
    engine.drain(() => {
      engineIdle = true;
      if (timedOut) finish();
      else door.whenIdle(finish);
    });
  });
}
