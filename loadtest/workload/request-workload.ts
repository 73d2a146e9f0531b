// A trace of single requests as a workload: its arrivals and lengths, content that shares what the trace's blocks share, and
// at the end of each prompt, where a file of such prompts is given, the head of a function to complete.
import { FlagError } from '../base/flag-error.ts';
import { type RecordedRequest, type RecordedTrace, readRequests } from './recorded-requests.ts';
import { blockParts } from './trace-agent-sessions.ts';
import { jsonLines, readTrace } from './trace-file.ts';
import { cycled, joinSeeds, type Part, type PlannedSession, scaledTokens, type Workload } from './turn.ts';

export interface RequestOptions {
  readonly path: string;
  readonly promptsPath: string | null; // JSON lines with a `prompt`, such as MultiPL-E's
  readonly countTokens: (text: string) => number;
  readonly seed: number;
  readonly scale: number;
  readonly contextTokens: number;
}

/** Throws FlagError or TraceError. */
export function requestWorkload(name: string, options: RequestOptions): Workload {
  if (options.path === '')
    throw new FlagError('trace', '', `a file of requests: ${name} has none of its own`);
  const trace = readRequests(options.path);
  const { scale, contextTokens } = options;
  const { requests, file } = trace;
  const fitting = requests.filter(
    (row) => scaledTokens(row.promptTokens, scale) + scaledTokens(row.outputTokens, scale) <= contextTokens,
  );
  if (fitting.length === 0) {
    throw new FlagError('scale', String(scale), `one at which a request fits into ${contextTokens} tokens`);
  }
  const heads = options.promptsPath === null ? [] : readHeads(options);
  return {
    name,
    source: { kind: 'trace', name: file.name, sha256: file.sha256 },
    sessionCount: fitting.length,
    scale,
    notes: [
      `${requests.length - fitting.length} of ${requests.length} requests do not fit into ${contextTokens} tokens and are left out`,
      ...trace.notes,
      heads.length === 0
        ? 'prompts are filler'
        : `each prompt ends with one of ${heads.length} function heads`,
    ],
    sessions: () =>
      cycled((pass) => planned(trace, fitting, heads, { ...options, seed: joinSeeds(options.seed, pass) })),
  };
}

function* planned(
  { blockTokens }: RecordedTrace,
  requests: readonly RecordedRequest[],
  heads: readonly Head[],
  { seed, scale }: RequestOptions,
): Generator<PlannedSession> {
  const seen = new Set<number>();
  for (const [at, { line, atMs, blocks, ...row }] of requests.entries()) {
    const promptTokens = scaledTokens(row.promptTokens, scale);
    // Ids are chained (an id implies its whole prefix), so the leading known ones are what a cache could serve.
    const unknownAt = blocks?.findIndex((block) => !seen.has(block)) ?? 0;
    const known = unknownAt === -1 ? blocks!.length : unknownAt;
    for (const block of blocks ?? []) seen.add(block);
    const size = { blockTokens: blockTokens / scale, promptTokens, seed };
    const head = heads[at % Math.max(1, heads.length)] ?? null;
    const parts =
      blocks === null
        ? promptParts({ promptTokens, seed: joinSeeds(seed, at), head })
        : blockParts(blocks, size);
    yield {
      index: at,
      name: `line ${line}`,
      arrivalMs: atMs,
      turns: [
        {
          ...{ reset: false, items: [{ role: 'user', parts }], gapMs: 0, gap: 'none', promptTokens },
          idealCachedTokens: Math.min(promptTokens, Math.floor(known * size.blockTokens)),
          maxTokens: scaledTokens(row.outputTokens, scale),
          ...{ exact: true, interruption: null, original: null },
        },
      ],
    };
  }
}

interface Head {
  readonly text: string;
  readonly tokenCount: number;
}

function readHeads({ promptsPath, countTokens }: RequestOptions): Head[] {
  return [...jsonLines(readTrace(promptsPath!))].map(({ row }) => {
    const text = row.text('prompt');
    return { text, tokenCount: countTokens(text) };
  });
}

function promptParts(plan: { promptTokens: number; seed: number; head: Head | null }): Part[] {
  const { promptTokens, seed, head } = plan;
  // A head longer than the whole prompt would break the recorded length.
  if (head === null || head.tokenCount >= promptTokens)
    return [{ kind: 'filler', seed, tokenCount: promptTokens }];
  return [
    { kind: 'filler', seed, tokenCount: promptTokens - head.tokenCount },
    { kind: 'text', text: `\n${head.text}` },
  ];
}
