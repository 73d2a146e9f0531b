// Replay: recorded traffic as a load. Prefix hashes become token ids, one id for a whole hashed block, so that the
// engine's prefix cache finds exactly what the hashes allow: equal ids at equal places, nothing more.
// Traces are told by their content.
import { FlagError } from '../base/flag-error.ts';
import { type RecordedRequest, readRequests, TOKENS_MAX } from '../workload/recorded-requests.ts';
import { agentsOf } from '../workload/trace-agent-sessions.ts';
import { jsonLines, type Row, readTrace, type TraceFile } from '../workload/trace-file.ts';
import { oneTurn, type SimClient, type SimLoad, type SimTurn } from './load.ts';

export interface ReplayOptions {
  readonly path: string;
  readonly timeScale: number; // 2: twice as fast as recorded; gaps between turns too
  readonly requestsMax: number;
  readonly contextTokensMax: number; // longer requests are left out; a session ends before its first one
  readonly sessionsPerHour: number; // where the trace has no arrivals of its own
}

const sessionIdsMax = 1 << 17; // hash ids of one agent session
const tailIdMin = 2 ** 29; // ids of what no hash covers: one for each request
const sessionsMax = tailIdMin / sessionIdsMax;

/** The trace at `path`, whatever its form. Throws FlagError or TraceError. */
export function replayLoad(options: ReplayOptions): SimLoad {
  const file = readTrace(options.path);
  const isJson = file.lines[0]!.trimStart().startsWith('{');
  const first = isJson ? jsonLines(file).next() : null;
  if (first?.done === false && first.value.row.has('requests')) return agentLoad(file, options);
  return requestLoad(options);
}

function requestLoad(options: ReplayOptions): SimLoad {
  const { form, file, blockTokens, requests, notes } = readRequests(options.path, options.requestsMax);
  const rows = requests.map((row) => ({
    ...row,
    promptTokens: Math.max(1, row.promptTokens),
    outputTokens: Math.max(1, row.outputTokens),
  }));
  const fitting = rows.filter((row) => row.promptTokens + row.outputTokens <= options.contextTokensMax);
  if (fitting.length === 0) refuseEmpty(options);
  return {
    label: `${form}@${file.sha256.slice(0, 12)}, ${fitting.length} requests, time ÷${options.timeScale}`,
    notes: [
      `${rows.length - fitting.length} of ${rows.length} requests are longer than ${options.contextTokensMax} tokens and left out`,
      ...notes,
    ],
    *clients() {
      for (const row of fitting) {
        const prompt = promptRuns(row, blockTokens);
        yield { atMs: row.atMs / options.timeScale, turns: oneTurn(prompt, row.outputTokens) };
      }
    },
  };
}

/** A run of ids for each block, and one of the request's own for what no block covers. */
function promptRuns({ line, promptTokens, blocks }: RecordedRequest, blockTokens: number): number[] {
  const prompt: number[] = [];
  let left = promptTokens;
  for (const block of blocks ?? []) {
    if (left === 0) break;
    const count = Math.min(left, blockTokens);
    prompt.push(block, count);
    left -= count;
  }
  if (left > 0) prompt.push(tailIdMin + line, left);
  return prompt;
}

function agentLoad(file: TraceFile, options: ReplayOptions): SimLoad {
  const agents: SimTurn[][] = []; // the session's own, then its sub-agents, which begin when it does
  const sessionOf: number[] = []; // [agent]
  let sessionCount = 0;
  let cutCount = 0;
  let requestCount = 0;
  for (const { row } of jsonLines(file)) {
    if (requestCount >= options.requestsMax || sessionCount >= sessionsMax) break;
    const blockTokens = row.integer('block_size', 1, 65_536);
    for (const requests of agentsOf(row)) {
      const turns: SimTurn[] = [];
      for (const request of requests) {
        const turn = agentTurn(request, {
          blockTokens,
          session: sessionCount,
          tailId: tailIdMin + requestCount + turns.length,
          timeScale: options.timeScale,
        });
        if (turn === null || turn.promptTokens + turn.outputTokens > options.contextTokensMax) break;
        turns.push(turns.length === 0 ? { ...turn, gapMs: 0 } : turn);
      }
      if (turns.length < requests.length) cutCount++;
      requestCount += turns.length;
      if (turns.length === 0) continue;
      agents.push(turns);
      sessionOf.push(sessionCount);
    }
    if (sessionOf.at(-1) === sessionCount) sessionCount++;
  }
  if (agents.length === 0) refuseEmpty(options);
  const gapMs = 3_600_000 / options.sessionsPerHour;
  return {
    label: `agent-sessions@${file.sha256.slice(0, 12)}, ${sessionCount} sessions, ${options.sessionsPerHour} an hour, gaps ÷${options.timeScale}`,
    notes: [
      `${agents.length - sessionCount} runs of sub-agents are played beside their session, from its beginning`,
      `${cutCount} runs end before their first request over ${options.contextTokensMax} tokens`,
      'a turn is sent its recorded think time after the simulated answer to the one before',
    ],
    *clients(): Generator<SimClient> {
      for (const [index, turns] of agents.entries()) {
        yield { atMs: sessionOf[index]! * gapMs, turns: turns.values() };
      }
    },
  };
}

function refuseEmpty({ path, contextTokensMax }: ReplayOptions): never {
  throw new FlagError('trace', path, `requests of at most ${contextTokensMax} tokens: it has none`);
}

interface AgentTurn extends SimTurn {
  readonly promptTokens: number;
}

// Null where the hashes do not cover the prompt.
function agentTurn(
  request: Row,
  {
    blockTokens,
    session,
    tailId,
    timeScale,
  }: { blockTokens: number; session: number; tailId: number; timeScale: number },
): AgentTurn | null {
  const runs = request.integers('hash_runs', 0, sessionIdsMax - 1);
  if (runs.length % 2 !== 0) request.fail('hash_runs', 'expected pairs of start and count');
  const promptTokens = Math.max(1, request.integer('in', 0, TOKENS_MAX));
  const prompt: number[] = [];
  let left = promptTokens;
  for (let index = 0; index < runs.length; index += 2) {
    for (let offset = 0; offset < runs[index + 1]! && left > 0; offset++) {
      const hash = runs[index]! + offset;
      if (hash >= sessionIdsMax)
        request.fail('hash_runs', `id ${hash}, at most ${sessionIdsMax - 1} are known`);
      const count = Math.min(left, blockTokens);
      prompt.push(session * sessionIdsMax + hash, count); // ids mean something only inside their session
      left -= count;
    }
  }
  // The last, partial block has no hash: it is content of its own, which nothing else can match.
  if (left >= blockTokens) return null;
  if (left > 0) prompt.push(tailId, left);
  const outputTokens = Math.max(1, request.integer('out', 0, TOKENS_MAX));
  const gapMs = request.has('think_time') ? (request.number('think_time', 0, 1e9) * 1000) / timeScale : 0;
  return { gapMs, prompt, promptTokens, outputTokens };
}
