// Wires one server from its parts: the model's service, the door, health, and the way down. Owns the order of a shutdown; never
// touches a socket or a file, so that it runs over any transport and any clock.
// Before it: compose.ts makes the parts; after it: listeners/transport.ts delivers requests to `handlers`.
import { Catalogue } from './catalogue/catalogue.ts';
import { choosingRoutes, choosingSockets } from './catalogue/choice.ts';
import { HttpDoor } from './http/door.ts';
import { TrustedProxies } from './http/forwarded.ts';
import { Guard } from './http/guard.ts';
import { healthRoutes } from './http/health.ts';
import { openApiRoute } from './http/openapi.ts';
import type { Route } from './http/route.ts';
import type { TransportHandlers } from './listeners/transport.ts';
import type { ServerMetrics } from './metrics/metrics.ts';
import { ConversationStore } from './responses/conversation-store.ts';
import { SharedPast } from './responses/shared-past.ts';
import { ResponseStore } from './responses/store.ts';
import {
  createModelService,
  type ModelParts,
  type ModelService,
  type SharedParts,
} from './serving/model-service.ts';
import type { SessionTable } from './sessions/session-table.ts';
import type { Resident, Shelf } from './shelf/shelf.ts';

interface DrainedEngine {
  drain(onIdle: () => void): void;
  abortAll(message: string): void;
}

/** The models beside the server's own. */
export interface OtherModels {
  readonly catalogue: Catalogue;
  readonly engines: () => readonly DrainedEngine[]; // of those that were ever asked
  readonly sessions: () => readonly SessionTable[]; // likewise
  readonly close: () => Promise<void>;
}

export interface AppParts extends Omit<ModelParts, 'others' | 'residence'> {
  readonly routes?: readonly Route[]; // beside the model's own
  readonly engine: ModelParts['engine'] & DrainedEngine;
  readonly shelf?: Shelf; // with what comes and goes
  readonly resident?: Resident | null; // the model itself, where it comes and goes
  readonly openOthers?: ((shared: SharedParts) => OtherModels) | null;
  readonly metrics: ServerMetrics;
}

export interface App {
  readonly handlers: TransportHandlers;
  readonly sessions: SessionTable; // native ones
  readonly others: OtherModels | null;
  /**
   * Refuses new work at once, waits for what is open, at most `drainTimeoutMs`, fails the rest with 'shutdown', closes
   * the sockets. Idempotent. The transport is stopped before and closed after by the caller.
   */
  drain(): Promise<void>;
}

const GOING_AWAY = 1001; // RFC 6455 section 7.4.1

export function createApp(parts: AppParts): App {
  const { config, clock, freshId, log, metrics, version } = parts;
  const proxies = new TrustedProxies(config.trustedProxies);
  const guard = new Guard({ ...config, proxies });
  const store = new ResponseStore(config, clock);
  const conversations = new ConversationStore(config, clock);
  const { cluster = null } = parts;
  const past = cluster === null ? null : new SharedPast({ cluster, store, conversations, clock });
  const shared = { guard, store, conversations, shared: past };
  const others = parts.openOthers?.(shared) ?? null;
  const { routes, sockets, texts, sessions } = chosen(
    createModelService(ownParts(parts, others), shared),
    parts,
    others,
  );
  const tables = () => [sessions, ...(others?.sessions() ?? [])];
  metrics.watch('sessions', 'Native sessions kept', () =>
    tables().reduce((sum, { count }) => sum + count, 0),
  );
  metrics.watch('stored_responses', 'Responses kept', () => store.count);
  metrics.watch('stored_response_bytes', 'Text of the responses kept', () => store.size);
  metrics.watch('conversations', 'Conversations kept', () => conversations.count);
  metrics.watch('conversation_bytes', 'Text of the conversations kept', () => conversations.size);
  let drained: Promise<void> | null = null;
  const health = healthRoutes({
    ...{ metrics, isDraining: () => drained !== null },
    lanes: parts.lanes == null ? null : () => parts.lanes!.report,
  });
  const all = [...routes, ...health, ...(parts.routes ?? [])];
  const described = openApiRoute(all, { version, keyed: config.apiKeys.length > 0 });
  const door = new HttpDoor(
    { ...config, guard, proxies, clock, freshId, log, metrics, texts },
    [...all, described],
    sockets,
  );
  return {
    handlers: door,
    sessions,
    others,
    drain: () => {
      parts.lanes?.drain();
      const engines = [parts.engine, ...(others?.engines() ?? [])];
      drained ??= drain(parts, engines, door).finally(() => {
        for (const table of tables()) table.closeAll();
      });
      return drained;
    },
  };
}

function ownParts({ shelf, resident = null, ...parts }: AppParts, others: OtherModels | null): ModelParts {
  const { catalogue } = others ?? {};
  return {
    ...parts,
    ...(catalogue !== undefined && { others: () => catalogue.models }),
    ...(shelf !== undefined && resident !== null && { residence: () => shelf.stateOf(resident) }),
  };
}

/** Where there are several models, or the one comes and goes, a request chooses and waits. */
function chosen(
  own: ModelService,
  { config, clock, shelf, resident = null }: AppParts,
  others: OtherModels | null,
): ModelService {
  if (shelf === undefined || (others === null && resident === null)) return own;
  const catalogue = others?.catalogue ?? new Catalogue([], { unreadable: [], shelf });
  const choice = {
    catalogue,
    shelf,
    own: resident,
    ownModel: own.model,
    clock,
    valuesMax: config.bodyValuesMax,
  };
  return {
    ...own,
    routes: choosingRoutes(own.routes, choice),
    sockets: choosingSockets(own.sockets, choice),
  };
}

function drain(
  { config, clock, log }: AppParts,
  engines: readonly DrainedEngine[],
  door: HttpDoor,
): Promise<void> {
  return new Promise((resolve) => {
    let busyCount = engines.length;
    let timedOut = false;
    const finish = () => {
      timer.cancel();
      door.closeSockets(GOING_AWAY, 'the server is shutting down');
      resolve();
    };
    const timer = clock.schedule(config.drainTimeoutMs, () => {
      timedOut = true;
      log.warn('open requests are cut off', { drainTimeoutMs: config.drainTimeoutMs });
      if (busyCount === 0)
        finish(); // only callers that never sent their body are left
      else for (const engine of engines) engine.abortAll('the server is shutting down');
    });
    const onIdle = () => {
      if (--busyCount > 0) return;
      if (timedOut) finish();
      else door.whenIdle(finish);
    };
    for (const engine of engines) engine.drain(onIdle);
  });
}
