// What the server is doing now, as the page shows it: counts of the engine, the cache as a picture, sessions, lanes. Reads only,
// and no text: what it costs is bounded by what a page can draw. Before it: live-hub.ts; after it: the parts it reads.
import type { Backend } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import type { DeviceFacts } from '../device/current-device.ts';
import type { CachePicture, PictureBounds } from '../engine/cache-picture.ts';
import type { EngineLoad } from '../engine/seats.ts';
import type { Lanes } from '../lanes/lanes.ts';
import type { Session } from '../sessions/session.ts';
import type { LiveRecorder } from './live-recorder.ts';
import type {
  LiveKv,
  LiveLanes,
  LivePull,
  LiveReport,
  LiveResident,
  SessionReport,
} from './page/live-report.ts';

export interface LiveParts {
  readonly clock: Clock;
  readonly recorder: LiveRecorder;
  readonly engine: {
    readonly load: EngineLoad;
    readonly contextTokensMax: number;
    cachePicture(bounds: PictureBounds): CachePicture;
  };
  readonly device: { readonly facts: DeviceFacts; readonly backend: Backend };
  readonly sessions: () => Iterable<Session>;
  readonly lanes: Lanes | null;
  readonly owners: readonly string[]; // of the API keys
  readonly disk: { readonly sizeMax: number; readonly size: () => number };
  readonly pulls: () => readonly LivePull[];
  readonly residents: () => readonly LiveResident[]; // models beside the one that is always there
}

const PICTURE: PictureBounds = { cellsMax: 600, nodesMax: 4096, branchesMax: 8 };
const SEATS_MAX = 64;
const SESSIONS_MAX = 50;
const ID_SHOWN = 9; // characters, prefix included

export function liveReport(
  parts: LiveParts,
  { point, busy, viewers }: Pick<LiveReport, 'point' | 'busy' | 'viewers'>,
): LiveReport {
  const { clock, recorder, engine } = parts;
  const { waitingCount, runningCount, seats } = engine.load;
  return {
    nowMs: clock.nowMs(),
    point,
    busy,
    device: deviceOf(parts),
    queue: { waiting: waitingCount, running: runningCount, paused: recorder.pausedCount },
    seats: seats.slice(0, SEATS_MAX),
    kv: kvOf(parts),
    prompts: recorder.prompts,
    sessions: sessionsOf(parts),
    lanes: parts.lanes === null ? null : lanesOf(parts.lanes, parts.owners),
    costs: recorder.costs,
    pulls: parts.pulls(),
    residents: parts.residents(),
    viewers,
  };
}

function deviceOf({ device, engine }: LiveParts): LiveReport['device'] {
  const { facts, backend } = device;
  const { replicaCount, slotCount, blockSize, blockCount } = backend.limits;
  return {
    ...facts,
    ...{ replicaCount, slotCount, blockSize, blockCount },
    contextTokens: engine.contextTokensMax,
    blockBytes: backend.blockBytes ?? 0,
  };
}

function kvOf({ engine, disk }: LiveParts): LiveKv {
  const { freeCount, idleCachedCount, inUseCount } = engine.load.kv;
  return {
    freeBlocks: freeCount,
    keptBlocks: idleCachedCount,
    inUseBlocks: inUseCount,
    ...engine.cachePicture(PICTURE),
    diskBytes: disk.sizeMax === 0 ? null : disk.size(),
    diskBytesMax: disk.sizeMax,
  };
}

function sessionsOf({ sessions, clock }: LiveParts): LiveReport['sessions'] {
  const nowMs = clock.nowMs();
  const all = [...sessions()].sort((a, b) => b.lastUsedMs - a.lastUsedMs);
  const list = all.slice(0, SESSIONS_MAX).map((session) => sessionOf(session, nowMs));
  return { count: all.length, list };
}

function sessionOf(session: Session, nowMs: number): SessionReport {
  const { id, owner, tokenCount, attached, openedMs, lastUsedMs } = session;
  return {
    id: `${id.slice(0, ID_SHOWN)}…`,
    owner,
    tokens: tokenCount,
    attached,
    running: session.answer?.running === true,
    ageMs: nowMs - openedMs,
    idleMs: nowMs - lastUsedMs,
  };
}

function lanesOf(lanes: Lanes, owners: readonly string[]): LiveLanes {
  const { budget, host, report } = lanes;
  return {
    currency: host.file.currency,
    budget: budget.limit,
    spent: owners.map((owner) => ({ owner, amount: budget.spent(owner) })),
    lanes: report.map(({ name, running, waiting, circuit }) => {
      const { limits } = lanes.get(name).config;
      return {
        ...{ name, running, waiting, circuit },
        concurrency: limits.concurrency,
        queueLengthMax: limits.queueLength,
        requestsPerMinute: limits.requestsPerMinute ?? null,
        tokensPerMinute: limits.tokensPerMinute ?? null,
      };
    }),
  };
}
