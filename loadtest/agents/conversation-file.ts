// What the linter reads: a recording of ours, or request bodies as a client sent them, one JSON object a line (chat completions,
// Responses, Messages), which are recorded here and now. Owns the checks of both.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { parsedJson } from '../../server/base/json-text.ts';
import { FlagError, TraceError } from '../base/flag-error.ts';
import { type RecordedSession, Recording } from './recording.ts';

const FILE_SIZE_MAX = 512 * 1024 * 1024; // bytes

const count = z.number().int().min(0);
const turn = z.looseObject({
  in: count,
  hash_runs: z.array(count),
  segments: z.array(z.tuple([z.enum(['tools', 'system', 'user', 'assistant', 'tool']), count])),
  volatile: z.array(z.tuple([count, z.string()])),
  prompt_tokens: count.nullable(),
  cached_tokens: count.nullable(),
});
const session = z.looseObject({ id: z.string(), block_size: count, requests: z.array(turn) });

/** Throws FlagError or TraceError naming the line. */
export function readConversations(path: string): readonly RecordedSession[] {
  const file = basename(path);
  const sessions: RecordedSession[] = [];
  const recording = new Recording();
  for (const [index, line] of readLines(path).entries()) {
    if (line.trim() === '') continue;
    const refusal = (reason: string) => new TraceError(file, index + 1, reason);
    const value = parsedJson(line, (reason) => refusal(`not JSON (${reason})`));
    const fields = value as Readonly<Record<string, unknown>> | null;
    if (typeof fields === 'object' && fields !== null && 'requests' in fields) {
      const parsed = session.safeParse(fields);
      if (parsed.success) sessions.push(parsed.data as unknown as RecordedSession);
      else throw refusal(`${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}`);
      continue;
    }
    const before = recording.ignored;
    const body = (fields?.['body'] ?? fields?.['request'] ?? fields) as unknown;
    const silent = { outputTokens: null, promptTokens: null, cachedTokens: null };
    recording.add({ body, startMs: index, endMs: index, ...silent });
    if (recording.ignored > before)
      throw refusal('neither a recorded session nor a request with messages, input or prompt');
  }
  return [...sessions, ...recording.sessions];
}

function readLines(path: string): string[] {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > FILE_SIZE_MAX) throw new Error(`larger than ${FILE_SIZE_MAX} bytes`);
    return bytes.toString('utf8').split(/\r?\n/);
  } catch (error) {
    throw new FlagError('file', path, `a readable file (${(error as Error).message})`);
  }
}
