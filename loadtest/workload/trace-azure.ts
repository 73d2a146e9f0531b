// Azure's LLM inference trace of 2023 (CSV: TIMESTAMP, ContextTokens, GeneratedTokens): real arrivals with their bursts
// and silences, and real lengths, without text. Prompts are completion prompts: filler up to the recorded length, then
// the head of a function to complete, where a file of such prompts is given.
import { FlagError, TraceError } from '../base/flag-error.ts';
import { jsonLines, readTrace } from './trace-file.ts';
import { cycled, joinSeeds, type Part, type PlannedSession, scaledTokens, type Workload } from './turn.ts';

export interface AzureOptions {
  readonly path: string;
  readonly promptsPath: string | null; // JSON lines with a `prompt`, such as MultiPL-E's
  readonly countTokens: (text: string) => number;
  readonly seed: number;
  readonly scale: number;
  readonly contextTokens: number;
}

const HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens';
const TOKENS_MAX = 10_000_000;

/** Throws FlagError or TraceError. */
export function azureCode(options: AzureOptions): Workload {
  const file = readTrace(options.path);
  if (file.lines[0] !== HEADER) throw new TraceError(file.name, 1, `expected the header ${HEADER}`);
  const rows = file.lines.slice(1).map((text, at) => readRow(file.name, text, at + 2));
  for (const [at, row] of rows.entries()) {
    if (at > 0 && sinceMs(row, rows[at - 1]!) < 0) {
      throw new TraceError(file.name, at + 2, 'TIMESTAMP: earlier than the line before');
    }
  }
  if (rows.length === 0) throw new TraceError(file.name, 2, 'there are no rows');
  const prompts = options.promptsPath === null ? [] : readPrompts(options);
  const fitting = rows.filter(
    (row) =>
      scaledTokens(row.promptTokens, options.scale) + scaledTokens(row.outputTokens, options.scale) <=
      options.contextTokens,
  );
  if (fitting.length === 0) {
    throw new FlagError(
      'scale',
      String(options.scale),
      `one at which a request fits into ${options.contextTokens} tokens`,
    );
  }
  const [start] = rows as [AzureRow];
  const plan = function* (pass: number): Generator<PlannedSession> {
    for (const [at, row] of fitting.entries()) {
      const seed = joinSeeds(joinSeeds(options.seed, pass), at);
      const promptTokens = scaledTokens(row.promptTokens, options.scale);
      const parts = promptParts({
        promptTokens,
        seed,
        head: prompts[at % Math.max(1, prompts.length)] ?? null,
      });
      yield {
        index: at,
        name: `line ${row.line}`,
        arrivalMs: sinceMs(row, start),
        turns: [
          {
            reset: false,
            items: [{ role: 'user', parts }],
            gapMs: 0,
            gap: 'none',
            promptTokens,
            idealCachedTokens: 0,
            maxTokens: scaledTokens(row.outputTokens, options.scale),
            exact: true,
            interruption: null,
            original: null,
          },
        ],
      };
    }
  };
  return {
    name: 'azure-code',
    source: { kind: 'trace', name: file.name, sha256: file.sha256 },
    sessionCount: fitting.length,
    scale: options.scale,
    notes: [
      `${rows.length - fitting.length} of ${rows.length} requests do not fit into ${options.contextTokens} tokens and are left out`,
      prompts.length === 0
        ? 'prompts are filler'
        : `each prompt ends with one of ${prompts.length} function heads`,
    ],
    sessions: () => cycled(plan),
  };
}

interface AzureRow {
  readonly line: number;
  readonly secondsMs: number; // whole seconds since the epoch, in ms
  readonly fractionMs: number; // apart, because a double cannot hold both to 100 ns
  readonly promptTokens: number;
  readonly outputTokens: number;
}

interface Head {
  readonly text: string;
  readonly tokenCount: number;
}

function sinceMs(row: AzureRow, start: AzureRow): number {
  return row.secondsMs - start.secondsMs + (row.fractionMs - start.fractionMs);
}

function readRow(file: string, text: string, line: number): AzureRow {
  const fields = text.split(',');
  if (fields.length !== 3) throw new TraceError(file, line, `expected 3 fields, found ${fields.length}`);
  // Seven fractional digits are more than Date knows: milliseconds come from the text itself.
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?$/.exec(fields[0]!);
  const secondsMs = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}Z`);
  if (Number.isNaN(secondsMs)) throw new TraceError(file, line, `TIMESTAMP: not a time: ${fields[0]}`);
  const count = (name: string, value: string): number => {
    const tokens = Number(value);
    if (value.trim() === '' || !Number.isInteger(tokens) || tokens < 0 || tokens > TOKENS_MAX) {
      throw new TraceError(
        file,
        line,
        `${name}: expected a whole number from 0 to ${TOKENS_MAX}, found ${value}`,
      );
    }
    return tokens;
  };
  return {
    line,
    secondsMs,
    fractionMs: Number(match![3] ?? 0) * 1000,
    promptTokens: count('ContextTokens', fields[1]!),
    outputTokens: count('GeneratedTokens', fields[2]!),
  };
}

function readPrompts({ promptsPath, countTokens }: AzureOptions): Head[] {
  const heads: Head[] = [];
  for (const { row } of jsonLines(readTrace(promptsPath!))) {
    const text = row.text('prompt');
    heads.push({ text, tokenCount: countTokens(text) });
  }
  return heads;
}

function promptParts(world: { promptTokens: number; seed: number; head: Head | null }): Part[] {
  const { promptTokens, seed, head } = world;
  // A head longer than the whole prompt would break the recorded length.
  if (head === null || head.tokenCount >= promptTokens)
    return [{ kind: 'filler', seed, tokenCount: promptTokens }];
  return [
    { kind: 'filler', seed, tokenCount: promptTokens - head.tokenCount },
    { kind: 'text', text: `\n${head.text}` },
  ];
}
