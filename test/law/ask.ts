// Asks one case of a server over real sockets and brings the answer into a form that can be compared: everything the
// caller saw, less what is never twice the same (ids, times) or says how it was computed (cache hits, guesses).
import { NativeClient } from '../../server/client/client.ts';
import type { GenerationEnded, TokensFrame } from '../../server/client/messages.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import type { HttpCase, LawCase, NativeCase, ThreadCase } from './cases.ts';

/** What one choice drew; logprobs of the model's distribution as it is, parallel to tokens where they were asked. */
export interface DrawnChoice {
  readonly tokens: readonly number[];
  readonly logprobs: readonly number[];
  readonly tops: readonly (readonly TopToken[])[]; // most likely first
}

export interface TopToken {
  readonly bytes: readonly number[] | null; // of chat completions
  readonly id: number | null; // of native answers
  readonly logprob: number;
}

export interface Answer {
  readonly said: unknown; // to be equal as a whole
  readonly choices: readonly DrawnChoice[];
  readonly promptTokens: number;
  readonly guesses: number; // that came true
}

/** Where a caller asks, and as whom. */
export interface Door {
  readonly url: string;
  readonly key: string;
}

export function ask(door: Door, asked: LawCase): Promise<Answer> {
  if (asked.kind === 'thread') return askThread(door, asked);
  return asked.kind === 'http' ? askHttp(door, asked) : askNative(door, asked);
}

async function askHttp(door: Door, { path, body }: HttpCase): Promise<Answer> {
  const response = await post(door, path, body);
  return answerOf(response.status, (await response.json()) as Body);
}

/** Each turn goes on from what was answered before. */
async function askThread(door: Door, { path, turns }: ThreadCase): Promise<Answer> {
  const said: unknown[] = [];
  let guesses = 0;
  const messages: unknown[] = [];
  let previous: string | null = null;
  for (const { text, body } of turns) {
    messages.push({ role: 'user', content: text });
    const asked =
      path === '/v1/responses'
        ? { input: text, store: true, ...(previous !== null && { previous_response_id: previous }), ...body }
        : { messages, ...body };
    const response = await post(door, path, asked);
    const json = (await response.json()) as Body & { readonly id: string };
    const answer = answerOf(response.status, json);
    said.push(answer.said);
    guesses += answer.guesses;
    previous = json.id;
    messages.push({ role: 'assistant', content: json.choices?.[0]?.message?.content ?? '' });
  }
  return { said, choices: [], promptTokens: 0, guesses };
}

function answerOf(status: number, json: Body): Answer {
  const choices = (json.choices ?? []).map(drawnOf);
  return {
    said: [status, lasting(json)],
    choices,
    promptTokens: json.usage?.prompt_tokens ?? 0,
    guesses: json.usage?.completion_tokens_details?.accepted_prediction_tokens ?? 0,
  };
}

interface Body {
  readonly choices?: readonly WireChoice[];
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens_details?: { readonly accepted_prediction_tokens?: number };
  };
}

interface WireChoice {
  readonly message?: { readonly content: string | null };
  readonly token_ids?: readonly number[];
  readonly logprobs?: {
    readonly content?: readonly (WireLogprob & { readonly top_logprobs: readonly WireLogprob[] })[];
    readonly token_logprobs?: readonly number[];
    readonly top_logprobs?: readonly Readonly<Record<string, number>>[] | null;
  } | null;
}

interface WireLogprob {
  readonly logprob: number;
  readonly bytes: readonly number[];
}

function drawnOf({ token_ids: tokens = [], logprobs }: WireChoice): DrawnChoice {
  if (logprobs?.content !== undefined) {
    const tops = logprobs.content.map(({ top_logprobs: top }) =>
      top.map(({ bytes, logprob }) => ({ bytes, id: null, logprob })),
    );
    return { tokens, logprobs: logprobs.content.map(({ logprob }) => logprob), tops };
  }
  const tops = (logprobs?.top_logprobs ?? []).map((top) =>
    Object.values(top)
      .sort((a, b) => b - a)
      .map((logprob) => ({ bytes: null, id: null, logprob })),
  );
  return { tokens, logprobs: logprobs?.token_logprobs ?? [], tops };
}

const passing = new Set([
  ...[
    'id',
    'previous_response_id',
    'created',
    'created_at',
    'completed_at',
    'call_id',
    'system_fingerprint',
    'cached_tokens',
    'sparklane', // of usage: why a prompt was computed
  ],
  ...['accepted_prediction_tokens', 'rejected_prediction_tokens', 'timings', 'tokens_cached'],
]);

/** The same value without what is never twice the same. */
function lasting(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lasting);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !passing.has(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, lasting(inner)]));
}

async function askNative(door: Door, { sampling, turns }: NativeCase): Promise<Answer> {
  const client = await connect(door);
  try {
    const session = client.open(sampling);
    const said: unknown[] = [];
    const choices: DrawnChoice[] = [];
    for (const { text, edit, forks, question } of turns) {
      void session.append({ text });
      if (edit !== null) void session.edit(edit, { text: edit.text });
      const heard = listening();
      const answering = forks ? session.fork() : session;
      const end = await answering.generate(question, heard.reader).end;
      if (forks) void answering.close();
      said.push([heard.text + end.text, heard.choice, lastingEnd(end)]);
      choices.push(heard.choice);
    }
    return { said, choices, promptTokens: 0, guesses: 0 };
  } finally {
    client.close();
  }
}

function lastingEnd({ reason, stopString, position, usage, error }: GenerationEnded) {
  return { reason, stopString, position, outputTokens: usage.outputTokens, error };
}

export function connect({ url, key }: Door): Promise<NativeClient> {
  const options = { apiKey: key, frameSizeMax: 2 ** 24, connectTimeoutMs: 600_000 };
  return NativeClient.connect(webSocketTo(url, options), { client: 'law' });
}

/** Gathers the frames of one native answer. */
export function listening() {
  const tokens: number[] = [];
  const logprobs: number[] = [];
  const tops: TopToken[][] = [];
  const heard = {
    text: '',
    choice: { tokens, logprobs, tops } satisfies DrawnChoice,
    reader: (frame: TokensFrame) => {
      heard.text += frame.text;
      tokens.push(...frame.tokens);
      for (const [logprob, ids, values] of frame.logprobs ?? []) {
        logprobs.push(logprob);
        tops.push(ids.map((id, rank) => ({ id, bytes: null, logprob: values[rank]! })));
      }
    },
  };
  return heard;
}

/** Reads the stream of a case until `events` have come, then leaves. Answers the text of its first choice so far. */
export async function askAndLeave(door: Door, { path, body }: HttpCase, events: number): Promise<string> {
  const leaving = new AbortController();
  const response = await post(door, path, { ...body, stream: true }, leaving.signal);
  let text = '';
  let rest = '';
  let left = events;
  try {
    for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + bytes).split('\n');
      rest = lines.pop()!;
      for (const line of lines.filter((one) => one.startsWith('data: {'))) {
        text += firstChoiceText(JSON.parse(line.slice(6)));
        if (--left === 0) return text;
      }
    }
    return text;
  } finally {
    leaving.abort();
  }
}

interface Chunk {
  readonly choices?: readonly {
    readonly index: number;
    readonly text?: string;
    readonly delta?: { readonly content?: string | null };
  }[];
}

function firstChoiceText({ choices = [] }: Chunk): string {
  const first = choices.find(({ index }) => index === 0);
  return first?.text ?? first?.delta?.content ?? '';
}

/** Text of the first choice of a whole answer to the same case. */
export function wholeText({ said }: Answer): string {
  const [, body] = said as [number, { choices?: { text?: string; message?: { content: string | null } }[] }];
  const first = body.choices?.[0];
  return first?.text ?? first?.message?.content ?? '';
}

function post({ url, key }: Door, path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
}
