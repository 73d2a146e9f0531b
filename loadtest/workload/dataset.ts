// A data set of real texts as a workload: ShareGPT (a JSON array, or lines), and rows of Hugging Face data sets as JSON lines or
// Parquet, with a prompt, a question, an instruction, messages or turns. A conversation is a session; answers in its
// history are the live ones, each as long as the recorded one, where there is one.
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parsedJson } from '../../server/base/json-text.ts';
import { FlagError, TraceError } from '../base/flag-error.ts';
import { parquetBytes, readTrace, sourceOf } from './trace-file.ts';
import { cycled, type PlannedSession, type PlannedTurn, type TurnItem, type Workload } from './turn.ts';

export interface DatasetOptions {
  readonly path: string;
  readonly countTokens: (text: string) => number;
  readonly contextTokens: number;
  readonly outputTokens: number; // of answers whose length is not recorded
  readonly gapMs: number; // between turns of a conversation
}

interface Said {
  readonly role: 'system' | 'user' | 'assistant';
  readonly text: string;
}

/** One row: what was said, in order, and how long the answers are to be where the row says. */
interface Conversation {
  readonly name: string;
  readonly said: readonly Said[];
  readonly outputTokens: number | null;
}

const ROWS_MAX = 1_000_000;

/** Rejects with FlagError or TraceError. */
export async function dataset(options: DatasetOptions): Promise<Workload> {
  const { path, contextTokens } = options;
  if (path === '') throw new FlagError('trace', '', 'a file: ShareGPT, JSON lines or Parquet');
  const { rows, source } = await readRows(path);
  const conversations = rows.map((row, at) => conversationOf(row, at, source.name));
  const sessions: PlannedSession[] = [];
  let cutCount = 0;
  let emptyCount = 0;
  for (const conversation of conversations) {
    const { turns, wasCut } = turnsOf(conversation, options);
    if (wasCut) cutCount++;
    if (turns.length === 0) emptyCount++;
    else sessions.push({ index: sessions.length, name: conversation.name, arrivalMs: 0, turns });
  }
  if (sessions.length === 0) {
    throw new FlagError('context', String(contextTokens), 'room for the first question of one conversation');
  }
  return {
    name: 'dataset',
    source,
    sessionCount: sessions.length,
    scale: 1,
    notes: [
      `${cutCount} of ${rows.length} conversations end before their first turn over ${contextTokens} tokens, ${emptyCount} have none that fits`,
      'answers in the history are the live ones',
    ],
    sessions: () => cycled(() => sessions),
  };
}

async function readRows(path: string): Promise<{ rows: readonly unknown[]; source: Workload['source'] }> {
  const bytes = parquetBytes(path);
  if (bytes !== null) {
    try {
      const rows = await parquetReadObjects({ file: bytes.buffer, compressors, rowEnd: ROWS_MAX });
      return { rows, source: bytes.source };
    } catch (error) {
      throw new TraceError(bytes.source.name, 1, `not readable as Parquet (${(error as Error).message})`);
    }
  }
  const file = readTrace(path);
  const source = sourceOf(file);
  const isArray = file.lines[0]!.trimStart().startsWith('[');
  const parse = (text: string, line: number): unknown =>
    parsedJson(text, (reason) => new TraceError(file.name, line, `not JSON (${reason})`));
  if (isArray) return { rows: parse(file.lines.join('\n'), 1) as unknown[], source };
  return {
    rows: file.lines.filter((text) => text.trim() !== '').map((text, at) => parse(text, at + 1)),
    source,
  };
}

const ROLES: Readonly<Record<string, Said['role']>> = {
  ...{ system: 'system', human: 'user', user: 'user' },
  ...{ gpt: 'assistant', assistant: 'assistant', bot: 'assistant', chatgpt: 'assistant', model: 'assistant' },
};
const PROMPT_FIELDS = ['prompt', 'question', 'instruction', 'query', 'problem', 'text', 'input'];
const ANSWER_FIELDS = ['completion', 'response', 'answer', 'output', 'chosen'];
const LENGTH_FIELDS = ['output_tokens', 'output_length', 'max_tokens', 'output_tokens_count'];

function conversationOf(row: unknown, at: number, file: string): Conversation {
  const fail = (reason: string): never => {
    throw new TraceError(file, at + 1, reason);
  };
  if (typeof row !== 'object' || row === null) return fail('expected an object');
  const fields = row as Record<string, unknown>;
  const length = LENGTH_FIELDS.map((name) => Number(fields[name] ?? Number.NaN)).find((value) => value >= 1);
  const common = {
    name: String(fields['id'] ?? fields['task_id'] ?? `row ${at + 1}`),
    outputTokens: length === undefined ? null : Math.round(length),
  };
  const listed = fields['conversations'] ?? fields['conversation'] ?? fields['messages'] ?? fields['turns'];
  if (Array.isArray(listed)) {
    return { ...common, said: listed.map((one: unknown) => saidOf(one) ?? fail('a message has no text')) };
  }
  const asked = PROMPT_FIELDS.find((name) => fields[name] !== undefined && fields[name] !== null);
  if (asked === undefined) return fail(`none of conversations, messages, turns, ${PROMPT_FIELDS.join(', ')}`);
  const prompt = fields[asked];
  if (Array.isArray(prompt)) {
    return { ...common, said: prompt.map((one: unknown) => saidOf(one) ?? fail('a message has no text')) };
  }
  const more = asked === 'instruction' && typeof fields['input'] === 'string' && fields['input'] !== '';
  const text = more ? `${String(prompt)}\n\n${String(fields['input'])}` : String(prompt);
  const answer = ANSWER_FIELDS.map((name) => fields[name]).find((value) => typeof value === 'string');
  const said: Said[] = [{ role: 'user', text }];
  if (typeof answer === 'string') said.push({ role: 'assistant', text: answer });
  return { ...common, said };
}

/** ShareGPT's, OpenAI's, or a turn of text alone (MT-Bench). */
function saidOf(one: unknown): Said | null {
  if (typeof one === 'string') return { role: 'user', text: one };
  const { from, role, value, content } = one as Record<string, unknown>;
  const text = value ?? content;
  const known = ROLES[String(from ?? role ?? 'user')];
  if (known === undefined || typeof text !== 'string') return null;
  return { role: known, text };
}

function turnsOf(
  { said, outputTokens }: Conversation,
  { countTokens, contextTokens, gapMs, ...options }: DatasetOptions,
): { turns: PlannedTurn[]; wasCut: boolean } {
  const turns: PlannedTurn[] = [];
  let items: TurnItem[] = [];
  let itemTokens = 0;
  let history = 0;
  for (const [at, { role, text }] of said.entries()) {
    if (role === 'assistant') continue; // its length is read where its question is
    items.push({ role, parts: [{ kind: 'text', text }] });
    itemTokens += countTokens(text);
    if (role === 'system') continue;
    const next = said[at + 1];
    const answered = next?.role === 'assistant' ? Math.max(1, countTokens(next.text)) : null;
    const maxTokens = outputTokens ?? answered ?? options.outputTokens;
    const promptTokens = history + itemTokens;
    if (promptTokens + maxTokens > contextTokens) return { turns, wasCut: true };
    const first = turns.length === 0;
    turns.push({
      ...{ reset: false, items, gapMs: first ? 0 : gapMs, gap: first ? 'none' : 'human', promptTokens },
      ...{ idealCachedTokens: history, maxTokens, exact: true, interruption: null, original: null },
    });
    history = promptTokens + maxTokens;
    [items, itemTokens] = [[], 0];
  }
  return { turns, wasCut: false };
}
