// Agent sessions from kv-cache-tester's recordings (run-length form, see loadtest/traces/README.md): when each request
// was sent, how long prompt and answer were, which 64-token blocks the prompt had. Played with live answers: a turn
// sends what is new in it, and the model's own answer stands where the recorded one stood.
import { FlagError } from '../base/flag-error.ts';
import { jsonLines, type Row, readTrace } from './trace-file.ts';
import {
  cycled,
  type Gap,
  joinSeeds,
  type Part,
  type PlannedSession,
  type PlannedTurn,
  scaledTokens,
  type TurnItem,
  type Workload,
} from './turn.ts';

export interface AgentSessionOptions {
  readonly path: string;
  readonly seed: number;
  readonly scale: number; // divides prompt and answer lengths, ≥ 1
  readonly contextTokens: number; // a session ends before the first request that does not fit
  readonly gapScale: number; // divides tool and human gaps
  readonly gapMsMax: number; // longer gaps are cut to this, after scaling
}

/** One recorded request of the session's own agent. */
interface Recorded {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly gapSeconds: number;
  readonly gap: Gap;
  readonly runs: readonly number[]; // [start, count, start, count, …] of block ids
}

interface RecordedSession {
  readonly id: string;
  readonly blockSize: number;
  readonly requests: readonly Recorded[];
}

const TOKENS_MAX = 10_000_000; // of one recorded request; a bound against broken files
const LAST_BLOCKS_MAY_CHANGE = 2; // the prompt's tail is rendered anew when the conversation goes on
const RESETS_REMEMBERED = 8; // earlier beginnings of a session that a reset may share a prefix with

/** Throws FlagError or TraceError. */
export function agentSessions(options: AgentSessionOptions): Workload {
  const file = readTrace(options.path);
  let subagentCount = 0;
  const recorded: RecordedSession[] = [];
  for (const { row } of jsonLines(file)) {
    const [own, ...subagents] = agentsOf(row);
    subagentCount += subagents.length;
    const blockSize = row.integer('block_size', 1, 65_536);
    const id = row.text('id');
    recorded.push({ id, blockSize, requests: own!.map(readRequest) });
    for (const [at, requests] of subagents.entries()) {
      recorded.push({ id: `${id}, sub-agent ${at + 1}`, blockSize, requests: requests.map(readRequest) });
    }
  }
  let cutCount = 0;
  let emptyCount = 0;
  for (const session of recorded) {
    const fitting = fittingCount(session, options);
    if (fitting === 0) emptyCount++;
    else if (fitting < session.requests.length) cutCount++;
  }
  if (emptyCount === recorded.length) {
    const bound = `one at which a session fits into ${options.contextTokens} tokens (see --context)`;
    throw new FlagError('scale', String(options.scale), bound);
  }
  const notes = [
    `${subagentCount} sub-agent runs are played as sessions of their own, next after their parent's, which does not wait for them`,
    `${cutCount} of ${recorded.length} sessions end before their first request over ${options.contextTokens} tokens, ${emptyCount} do not fit at all`,
    `gaps divided by ${options.gapScale}, none longer than ${options.gapMsMax / 1000} s`,
    'answers in the history are the live ones; the ideal cache hit counts them as cacheable',
  ];
  const plan = function* (pass: number): Generator<PlannedSession> {
    for (const [at, session] of recorded.entries()) {
      const turns = planTurns(session, { ...options, seed: joinSeeds(joinSeeds(options.seed, pass), at) });
      if (turns.length > 0) yield { index: at, name: session.id, arrivalMs: 0, turns };
    }
  };
  return {
    name: 'agent-sessions',
    source: { kind: 'trace', name: file.name, sha256: file.sha256 },
    sessionCount: recorded.length - emptyCount,
    scale: options.scale,
    notes,
    sessions: () => cycled(plan),
  };
}

/** The session's own requests, then those of each run of a sub-agent: a prompt of its own, no block shared with it. */
export function agentsOf(session: Row): Row[][] {
  const entries = session.rows('requests');
  const own = entries.filter((entry) => entry.text('type') !== 'subagent');
  const subagents = entries.filter((entry) => entry.text('type') === 'subagent');
  return [own, ...subagents.map((entry) => [...entry.rows('requests')])];
}

function readRequest(row: Row): Recorded {
  const runs = row.integers('hash_runs', 0, Number.MAX_SAFE_INTEGER);
  if (runs.length % 2 !== 0) row.fail('hash_runs', 'expected pairs of start and count');
  const inputs = row.texts('input_types');
  return {
    promptTokens: row.integer('in', 0, TOKENS_MAX),
    outputTokens: row.integer('out', 0, TOKENS_MAX),
    gapSeconds: row.has('think_time') ? row.number('think_time', 0, 1e9) : 0,
    gap: inputs.length > 0 && inputs.every((type) => type === 'tool_result') ? 'tool' : 'human',
    runs,
  };
}

function fittingCount({ requests }: RecordedSession, { scale, contextTokens }: AgentSessionOptions): number {
  const over = requests.findIndex(
    ({ promptTokens, outputTokens }) =>
      scaledTokens(promptTokens, scale) + scaledTokens(outputTokens, scale) > contextTokens,
  );
  return over === -1 ? requests.length : over;
}

function planTurns(session: RecordedSession, options: AgentSessionOptions): PlannedTurn[] {
  const turns: PlannedTurn[] = [];
  const beginnings: Int32Array[] = []; // block ids of the prompts that a history began with
  let previous: {
    readonly blocks: Int32Array;
    readonly promptTokens: number;
    readonly outputTokens: number;
  } | null = null;
  for (const request of session.requests.slice(0, fittingCount(session, options))) {
    const blocks = expandRuns(request.runs);
    const promptTokens = scaledTokens(request.promptTokens, options.scale);
    const maxTokens = scaledTokens(request.outputTokens, options.scale);
    const shared = previous === null ? 0 : sharedCount(blocks, previous.blocks);
    const goesOn =
      previous !== null &&
      shared >= previous.blocks.length - LAST_BLOCKS_MAY_CHANGE &&
      promptTokens > previous.promptTokens;
    const historyTokens: number = goesOn ? previous!.promptTokens + previous!.outputTokens : 0;
    // A block of the original shrinks with everything else.
    const blockTokens = session.blockSize / options.scale;
    let parts: Part[];
    let idealCachedTokens: number;
    if (goesOn) {
      const tokenCount = Math.max(1, promptTokens - historyTokens);
      parts = [{ kind: 'filler', seed: joinSeeds(options.seed, 1_000_000 + turns.length), tokenCount }];
      idealCachedTokens = historyTokens;
    } else {
      parts = blockParts(blocks, { blockTokens, promptTokens, seed: options.seed });
      const known = Math.max(0, ...beginnings.map((earlier) => sharedCount(blocks, earlier)));
      idealCachedTokens = Math.min(promptTokens, Math.floor(known * blockTokens));
      if (beginnings.length === RESETS_REMEMBERED) beginnings.shift();
      beginnings.push(blocks);
    }
    const items: TurnItem[] = [{ role: request.gap === 'tool' ? 'tool' : 'user', parts }];
    turns.push({
      reset: !goesOn && turns.length > 0,
      items,
      gapMs: turns.length === 0 ? 0 : gapMs(request, options),
      gap: turns.length === 0 ? 'none' : request.gap,
      promptTokens: goesOn ? Math.max(promptTokens, historyTokens + 1) : promptTokens,
      idealCachedTokens,
      maxTokens,
      exact: true,
      interruption: null,
      original: null,
    });
    previous = { blocks, promptTokens, outputTokens: maxTokens };
  }
  return turns;
}

function gapMs({ gapSeconds }: Recorded, { gapScale, gapMsMax }: AgentSessionOptions): number {
  return Math.min(gapMsMax, (gapSeconds * 1000) / gapScale);
}

function expandRuns(runs: readonly number[]): Int32Array {
  let total = 0;
  for (let at = 1; at < runs.length; at += 2) total += Math.min(runs[at]!, TOKENS_MAX);
  const blocks = new Int32Array(Math.min(total, TOKENS_MAX));
  let filled = 0;
  for (let at = 0; at < runs.length; at += 2) {
    for (let offset = 0; offset < runs[at + 1]! && filled < blocks.length; offset++) {
      blocks[filled++] = runs[at]! + offset;
    }
  }
  return blocks;
}

function sharedCount(a: Int32Array, b: Int32Array): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a[at] === b[at]) at++;
  return at;
}

/** One filler per block, so that equal leading blocks make equal leading text; `promptTokens` in total. */
export function blockParts(
  blocks: ArrayLike<number>,
  size: { readonly blockTokens: number; readonly promptTokens: number; readonly seed: number },
): Part[] {
  const parts: Part[] = [];
  let filled = 0;
  for (let at = 0; at < blocks.length && filled < size.promptTokens; at++) {
    const end = Math.min(size.promptTokens, Math.floor((at + 1) * size.blockTokens));
    if (end <= filled) continue;
    parts.push({ kind: 'filler', seed: joinSeeds(size.seed, blocks[at]!), tokenCount: end - filled });
    filled = end;
  }
  if (filled < size.promptTokens) {
    const seed = joinSeeds(size.seed, -2 - blocks.length); // the tail that no whole block covers
    parts.push({ kind: 'filler', seed, tokenCount: size.promptTokens - filled });
  }
  return parts;
}
