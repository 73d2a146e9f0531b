// RecordedRequests: traces of single requests, whatever their published form: when each came, how long prompt and answer
// were, which blocks of its prompt it shares. Azure (2023, 2024, multimodal), BurstGPT and Vidur as CSV; Mooncake and
// Qwen-Bailian as JSON lines. Owns the forms, told by their header or fields; content and scale are the workload's.
import { TraceError } from '../base/flag-error.ts';
import { csvCells, jsonLines, type Row, readTrace, type TraceFile } from './trace-file.ts';

export interface RecordedRequest {
  readonly line: number;
  readonly atMs: number; // since the first request
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly blocks: readonly number[] | null; // ids of its prompt's blocks; equal ids are equal content; null: not told
}

export interface RecordedTrace {
  readonly form: string; // as people call it
  readonly file: TraceFile;
  readonly blockTokens: number; // of a whole block
  readonly requests: readonly RecordedRequest[];
  readonly notes: readonly string[]; // what was left out or does not fit together
}

export const TOKENS_MAX = 10_000_000; // of one request; a bound against broken files
const MOONCAKE_BLOCK_TOKENS = 512; // source: README of kvcache-ai/Mooncake
const BAILIAN_BLOCK_TOKENS = 16; // source: README of alibaba-edu/qwen-bailian-usagetraces-anon
const KNOWN =
  'an Azure (TIMESTAMP, ContextTokens, GeneratedTokens), BurstGPT or Vidur header, or JSON lines with input_length';

/** The trace at `path`, at most `countMax` requests of it. Throws FlagError or TraceError. */
export function readRequests(path: string, countMax = Number.POSITIVE_INFINITY): RecordedTrace {
  const file = readTrace(path);
  const trace = file.lines[0]!.trimStart().startsWith('{') ? hashed(file, countMax) : csv(file, countMax);
  if (trace.requests.length === 0) throw new TraceError(file.name, 2, 'there are no rows');
  return trace;
}

/** Columns by any of their names, in lower case, and the time in milliseconds. */
const CSV_FORMS = [
  { form: 'azure', time: 'timestamp', prompt: 'contexttokens', output: 'generatedtokens' },
  { form: 'burstgpt', time: 'timestamp', prompt: 'request tokens', output: 'response tokens' },
  { form: 'vidur', time: 'arrived_at', prompt: 'num_prefill_tokens', output: 'num_decode_tokens' },
  { form: 'lengths', time: 'timestamp', prompt: 'input_length', output: 'output_length' },
] as const;

function csv(file: TraceFile, countMax: number): RecordedTrace {
  const names = csvCells(file.lines[0]!).map((name) => name.trim());
  const lower = names.map((name) => name.toLowerCase().replace(/^\ufeff/, ''));
  const known = CSV_FORMS.find(({ time, prompt, output }) =>
    [time, prompt, output].every((name) => lower.includes(name)),
  );
  if (known === undefined) throw new TraceError(file.name, 1, `expected the header of ${KNOWN}`);
  const { form } = known;
  const [time, prompt, output] = [known.time, known.prompt, known.output].map((name) =>
    lower.indexOf(name),
  ) as [number, number, number];
  const requests: RecordedRequest[] = [];
  let unanswered = 0;
  let start: Moment | null = null;
  for (let at = 1; at < file.lines.length && requests.length < countMax; at++) {
    const line = at + 1;
    const cells = csvCells(file.lines[at]!);
    if (cells.length !== names.length) {
      throw new TraceError(file.name, line, `expected ${names.length} fields, found ${cells.length}`);
    }
    const count = (column: number) => wholeNumber(cells[column]!, names[column]!, { file: file.name, line });
    const moment = momentOf(cells[time]!, names[time]!, { file: file.name, line });
    start ??= moment;
    const atMs = moment.secondsMs - start.secondsMs + (moment.fractionMs - start.fractionMs);
    if (atMs < (requests.at(-1)?.atMs ?? 0)) {
      throw new TraceError(file.name, line, `${names[time]}: earlier than the line before`);
    }
    const request = { line, atMs, promptTokens: count(prompt), outputTokens: count(output), blocks: null };
    if (form === 'burstgpt' && request.outputTokens === 0) unanswered++;
    else requests.push(request);
  }
  const notes = unanswered === 0 ? [] : [`${unanswered} requests that were not answered are left out`];
  return { form, file, blockTokens: 0, requests, notes };
}

function hashed(file: TraceFile, countMax: number): RecordedTrace {
  const requests: RecordedRequest[] = [];
  const ids = new Map<string, number>(); // ids may be names
  const odd: string[] = [];
  let oddCount = 0;
  let form = 'mooncake';
  let blockTokens = MOONCAKE_BLOCK_TOKENS;
  for (const { row, line } of jsonLines(file)) {
    if (requests.length >= countMax) break;
    if (line === 1) {
      if (!row.has('input_length')) throw new TraceError(file.name, 1, `expected ${KNOWN}`);
      if (row.has('chat_id')) [form, blockTokens] = ['bailian', BAILIAN_BLOCK_TOKENS];
    }
    const scale = form === 'bailian' ? 1000 : 1; // seconds there, milliseconds here
    const atMs = row.has('timestamp') ? row.number('timestamp', 0, 1e13) * scale : 0;
    if (atMs < (requests.at(-1)?.atMs ?? 0)) row.fail('timestamp', 'earlier than the line before');
    const promptTokens = row.integer('input_length', 0, TOKENS_MAX);
    const blocks = row.has('hash_ids') ? blockIds(row, ids) : null;
    if (blocks !== null && blocks.length !== Math.ceil(promptTokens / blockTokens)) {
      oddCount++;
      if (odd.length === 0)
        odd.push(`line ${line}: ${blocks.length} ids of ${blockTokens} for ${promptTokens} tokens`);
    }
    requests.push({
      line,
      atMs,
      promptTokens,
      outputTokens: row.integer('output_length', 0, TOKENS_MAX),
      blocks,
    });
  }
  const startMs = requests[0]?.atMs ?? 0;
  const notes = [
    ...(oddCount === 0
      ? []
      : [`${oddCount} requests have ids for another length than input_length, which counts (${odd[0]})`]),
    ...(requests.every(({ blocks }) => blocks === null) ? ['no hash_ids: no prompt shares anything'] : []),
  ];
  return {
    form,
    file,
    blockTokens,
    requests: requests.map((one) => ({ ...one, atMs: one.atMs - startMs })),
    notes,
  };
}

function blockIds(row: Row, ids: Map<string, number>): number[] {
  return row.names('hash_ids').map((name) => {
    const known = ids.get(name);
    if (known !== undefined) return known;
    ids.set(name, ids.size);
    return ids.size - 1;
  });
}

/** Apart, because a double cannot hold both to 100 ns. */
interface Moment {
  readonly secondsMs: number; // whole seconds, in ms
  readonly fractionMs: number;
}

type Place = { readonly file: string; readonly line: number };

function momentOf(text: string, name: string, { file, line }: Place): Moment {
  const trimmed = text.trim();
  const seconds = /^(\d+)(\.\d+)?$/.exec(trimmed); // BurstGPT, Vidur: seconds since the beginning
  if (seconds !== null)
    return { secondsMs: Number(seconds[1]) * 1000, fractionMs: Number(seconds[2] ?? 0) * 1000 };
  // Seven fractional digits are more than Date knows: milliseconds come from the text itself.
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/.exec(trimmed);
  const zone = (match?.[4] ?? 'Z').replace(/^([+-]\d\d)(\d\d)$/, '$1:$2');
  const secondsMs = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}${zone}`);
  if (Number.isNaN(secondsMs)) throw new TraceError(file, line, `${name}: not a time: ${text}`);
  return { secondsMs, fractionMs: Number(match![3] ?? 0) * 1000 };
}

function wholeNumber(text: string, name: string, { file, line }: Place): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0 || value > TOKENS_MAX) {
    throw new TraceError(
      file,
      line,
      `${name}: expected a whole number from 0 to ${TOKENS_MAX}, found ${text}`,
    );
  }
  return value;
}
