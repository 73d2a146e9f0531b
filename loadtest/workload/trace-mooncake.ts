// Mooncake's FAST '25 traces (JSON lines: timestamp, input_length, output_length, hash_ids): single requests whose
// 512-token blocks are shared across users. Equal ids make equal content, so a prefix cache finds what it would have
// found in production.
import { FlagError } from '../base/flag-error.ts';
import { blockParts } from './trace-agent-sessions.ts';
import { jsonLines, readTrace } from './trace-file.ts';
import { cycled, joinSeeds, type PlannedSession, scaledTokens, type Workload } from './turn.ts';

export interface MooncakeOptions {
  readonly path: string;
  readonly seed: number;
  readonly scale: number;
  readonly contextTokens: number;
}

const BLOCK_TOKENS = 512; // source: README of kvcache-ai/Mooncake
const TOKENS_MAX = 10_000_000;

interface MooncakeRow {
  readonly line: number;
  readonly atMs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly blocks: readonly number[];
}

/** Throws FlagError or TraceError. */
export function mooncake(options: MooncakeOptions): Workload {
  const file = readTrace(options.path);
  const rows: MooncakeRow[] = [];
  for (const { row, line } of jsonLines(file)) {
    const atMs = row.number('timestamp', 0, 1e13);
    if (rows.length > 0 && atMs < rows.at(-1)!.atMs) row.fail('timestamp', 'earlier than the line before');
    rows.push({
      line,
      atMs,
      inputTokens: row.integer('input_length', 0, TOKENS_MAX),
      outputTokens: row.integer('output_length', 0, TOKENS_MAX),
      blocks: row.integers('hash_ids', 0, 0x7fff_ffff),
    });
  }
  const { scale, contextTokens } = options;
  const fitting = rows.filter(
    (row) => scaledTokens(row.inputTokens, scale) + scaledTokens(row.outputTokens, scale) <= contextTokens,
  );
  if (fitting.length === 0) {
    throw new FlagError('scale', String(scale), `one at which a request fits into ${contextTokens} tokens`);
  }
  const plan = function* (pass: number): Generator<PlannedSession> {
    const seed = joinSeeds(options.seed, pass);
    const seen = new Set<number>();
    const blockTokens = BLOCK_TOKENS / scale;
    for (const [at, row] of fitting.entries()) {
      const promptTokens = scaledTokens(row.inputTokens, scale);
      // Ids are chained (an id implies its whole prefix), so the leading known ones are what a cache could serve.
      const unknownAt = row.blocks.findIndex((block) => !seen.has(block));
      const known = unknownAt === -1 ? row.blocks.length : unknownAt;
      for (const block of row.blocks) seen.add(block);
      yield {
        index: at,
        name: `line ${row.line}`,
        arrivalMs: row.atMs,
        turns: [
          {
            reset: false,
            items: [{ role: 'user', parts: blockParts(row.blocks, { blockTokens, promptTokens, seed }) }],
            gapMs: 0,
            gap: 'none',
            promptTokens,
            idealCachedTokens: Math.min(promptTokens, Math.floor(known * blockTokens)),
            maxTokens: scaledTokens(row.outputTokens, scale),
            exact: true,
            interruption: null,
            original: null,
          },
        ],
      };
    }
  };
  return {
    name: 'mooncake',
    source: { kind: 'trace', name: file.name, sha256: file.sha256 },
    sessionCount: fitting.length,
    scale,
    notes: [
      `${rows.length - fitting.length} of ${rows.length} requests do not fit into ${contextTokens} tokens and are left out`,
    ],
    sessions: () => cycled(plan),
  };
}
