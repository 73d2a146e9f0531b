// One streamed chat answer: chunks of /v1/chat/completions put together as they come. Owns nothing after its end; stopping is
// the caller's signal. Before it: playground.tsx; after it: api.ts.
import { AnswerMeter, type AnswerStats, type MeteredUsage } from './answer-meter.ts';
import { type Api, ApiError } from './api.ts';
import type { ToolCall } from './conversation.ts';
import { readEvents } from './event-stream.ts';

export interface AnswerSoFar {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly ToolCall[];
  readonly stats: AnswerStats;
  readonly finish: string | null; // OpenAI's word; null while it is being written
  readonly note: string; // which lane answers, and why
}

interface Chunk {
  readonly error?: { readonly message: string; readonly code?: string };
  readonly model?: string;
  readonly metadata?: Readonly<Record<string, string>> | null;
  readonly usage?: MeteredUsage | null;
  readonly choices?: readonly {
    readonly finish_reason?: string | null;
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
      readonly tool_calls?: readonly CallDelta[];
    };
  }[];
}

interface CallDelta {
  readonly index: number;
  readonly id?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

/** Collects chunks; a pure reader but for its meter. */
export class StreamReader {
  readonly #meter: AnswerMeter;
  readonly #calls: ToolCall[] = [];
  #text = '';
  #reasoning = '';
  #finish: string | null = null;
  #note = '';

  constructor(nowMs: () => number) {
    this.#meter = new AnswerMeter(nowMs);
  }

  /** `data` of one event. Throws ApiError for an error that the server put into the stream. */
  take(data: string): void {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error !== undefined) throw new ApiError(200, chunk.error.code ?? '', chunk.error.message);
    if (chunk.usage != null) this.#meter.onUsage(chunk.usage);
    if (chunk.metadata != null) this.#note = laneNote(chunk.metadata);
    const choice = chunk.choices?.[0];
    if (choice === undefined) return;
    const { content, reasoning_content: reasoning, tool_calls: calls } = choice.delta ?? {};
    if (content || reasoning || calls !== undefined) this.#meter.onPiece();
    this.#text += content ?? '';
    this.#reasoning += reasoning ?? '';
    for (const call of calls ?? []) this.#takeCall(call);
    this.#finish = choice.finish_reason ?? this.#finish;
  }

  get soFar(): AnswerSoFar {
    const [text, reasoning, finish, note] = [this.#text, this.#reasoning, this.#finish, this.#note];
    return { text, reasoning, finish, note, calls: [...this.#calls], stats: this.#meter.stats };
  }

  #takeCall({ index, id, function: called }: CallDelta): void {
    const before = this.#calls[index] ?? { id: '', name: '', arguments: '' };
    this.#calls[index] = {
      id: id ?? before.id,
      name: called?.name ?? before.name,
      arguments: before.arguments + (called?.arguments ?? ''),
    };
  }
}

/** Calls `onChange` after every piece. Rejects with ApiError, or with the signal's AbortError. */
export async function streamAnswer(
  api: Api,
  body: object,
  options: {
    readonly nowMs: () => number;
    readonly signal: AbortSignal;
    readonly onChange: (answer: AnswerSoFar) => void;
  },
): Promise<AnswerSoFar> {
  const reader = new StreamReader(options.nowMs);
  const response = await api.open('v1/chat/completions', { body, signal: options.signal });
  await readEvents(response, (data) => {
    reader.take(data);
    options.onChange(reader.soFar);
  });
  return reader.soFar;
}

function laneNote(metadata: Readonly<Record<string, string>>): string {
  const lane = metadata['sparklane_lane'];
  if (lane === undefined) return '';
  const reason = metadata['sparklane_reason'];
  return reason === undefined || reason === '' ? `lane ${lane}` : `lane ${lane}: ${reason}`;
}
