// The answer of one generation on its way to one reader: drawn, sent, and for a while kept so that it can be sent
// again. Owns order and merging (a reader that fell behind gets several tokens at once); never sees frames or
// sockets. Before it: session.ts pushes what the generator delivers; after it: the session's reader.
import assert from 'node:assert/strict';
import type { TokenLogprobs } from '../../kernels/backend.ts';
import type { GenerationDelta } from '../generation/generation.ts';

/** Consecutive tokens of an answer. */
export interface OutboxBatch {
  readonly index: number; // of tokens[0] within the answer
  readonly tokens: readonly number[]; // [n ≥ 1]
  readonly text: string;
  readonly reasoning: string; // before the text; '' unless it is told apart
  readonly timeMs: number; // clock time when the last of them arrived
  readonly logprobs: readonly TokenLogprobs[] | null; // [n] or null
}

/** What an outbox keeps, for another one to go on as it. Plain data. */
export interface OutboxState {
  readonly firstIndex: number; // of tokens[0] within the answer
  readonly tokens: readonly number[]; // [n ≥ 0]
  readonly texts: readonly string[]; // [n]
  readonly reasonings: readonly string[] | null; // [n] or null: none was told apart
  readonly logprobs: readonly TokenLogprobs[] | null; // [n] or null
  readonly tail: string;
  readonly reasoningTail: string;
}

export class Outbox {
  readonly #replayTokensMax: number;
  // Parallel arrays, one entry per kept token; entry 0 is token #firstIndex of the answer.
  #tokens: number[] = [];
  #texts: string[] = [];
  #reasonings: string[] | null = null; // null: none was told apart
  #timesMs: number[] = [];
  #logprobs: TokenLogprobs[] | null = null;
  #firstIndex = 0;
  #sentIndex = 0; // everything before it was taken
  #tail = '';
  #reasoningTail = '';

  /** Keeps at least the latest `replayTokensMax` ≥ 0 sent tokens (at most twice as many), and all unsent ones. */
  constructor(replayTokensMax: number) {
    assert(replayTokensMax >= 0);
    this.#replayTokensMax = replayTokensMax;
  }

  /** One that keeps what another did, all of it as sent; its tokens count as arrived at `timeMs`. */
  static from(state: OutboxState, replayTokensMax: number, timeMs: number): Outbox {
    const outbox = new Outbox(replayTokensMax);
    outbox.#tokens = [...state.tokens];
    outbox.#texts = [...state.texts];
    outbox.#reasonings = state.reasonings === null ? null : [...state.reasonings];
    outbox.#timesMs = state.tokens.map(() => timeMs);
    outbox.#logprobs = state.logprobs === null ? null : [...state.logprobs];
    outbox.#firstIndex = state.firstIndex;
    outbox.#sentIndex = outbox.nextIndex;
    outbox.#tail = state.tail;
    outbox.#reasoningTail = state.reasoningTail;
    return outbox;
  }

  /** A copy. */
  get state(): OutboxState {
    return {
      firstIndex: this.#firstIndex,
      tokens: [...this.#tokens],
      texts: [...this.#texts],
      reasonings: this.#reasonings === null ? null : [...this.#reasonings],
      logprobs: this.#logprobs === null ? null : [...this.#logprobs],
      ...{ tail: this.#tail, reasoningTail: this.#reasoningTail },
    };
  }

  /** Of the oldest token that can still be sent. */
  get firstIndex(): number {
    return this.#firstIndex;
  }

  /** Tokens pushed so far. */
  get nextIndex(): number {
    return this.#firstIndex + this.#tokens.length;
  }

  get unsentCount(): number {
    return this.nextIndex - this.#sentIndex;
  }

  /** Text that came without tokens after the last one: what was held for a stop string that did not come. */
  get tail(): string {
    return this.#tail;
  }

  /** Likewise of the reasoning. */
  get reasoningTail(): string {
    return this.#reasoningTail;
  }

  /** Text of a delta belongs to its last token, so that it can be found again by the token's index. */
  push(delta: Pick<GenerationDelta, 'tokens' | 'text' | 'logprobs'>, timeMs: number, reasoning = ''): void {
    const { tokens, logprobs } = delta;
    if (tokens.length === 0) {
      this.#tail += delta.text;
      this.#reasoningTail += reasoning;
      return;
    }
    const reasoned = this.#reasoningTail + reasoning;
    if (reasoned !== '') this.#reasonings ??= this.#texts.map(() => '');
    const last = tokens.length - 1;
    for (let i = 0; i <= last; i++) {
      this.#tokens.push(tokens[i]!);
      this.#texts.push(i < last ? '' : this.#tail + delta.text);
      this.#reasonings?.push(i < last ? '' : reasoned);
      this.#timesMs.push(timeMs);
      if (logprobs !== null) {
        this.#logprobs ??= [];
        this.#logprobs.push(logprobs[i]!);
      }
    }
    this.#tail = '';
    this.#reasoningTail = '';
  }

  /** The next 1 to `countMax` unsent tokens, which then count as sent; null when there are none. */
  take(countMax: number): OutboxBatch | null {
    const start = this.#sentIndex - this.#firstIndex;
    const end = Math.min(this.#tokens.length, start + countMax);
    if (end <= start) return null;
    const batch: OutboxBatch = {
      index: this.#sentIndex,
      tokens: this.#tokens.slice(start, end),
      text: end === start + 1 ? this.#texts[start]! : this.#texts.slice(start, end).join(''),
      reasoning: this.#reasonings?.slice(start, end).join('') ?? '',
      timeMs: this.#timesMs[end - 1]!,
      logprobs: this.#logprobs?.slice(start, end) ?? null,
    };
    this.#sentIndex += end - start;
    this.#forget();
    return batch;
  }

  /** Sends again from token `index` on; false when that token is no longer kept, or was never pushed. */
  rewind(index: number): boolean {
    if (index < this.#firstIndex || index > this.nextIndex) return false;
    this.#sentIndex = index;
    return true;
  }

  /** In large strides: cutting the front of an array costs its length. */
  #forget(): void {
    const excess = this.#sentIndex - this.#firstIndex - this.#replayTokensMax;
    if (excess <= Math.max(this.#replayTokensMax, 64)) return;
    this.#tokens = this.#tokens.slice(excess);
    this.#texts = this.#texts.slice(excess);
    this.#reasonings = this.#reasonings?.slice(excess) ?? null;
    this.#timesMs = this.#timesMs.slice(excess);
    this.#logprobs = this.#logprobs?.slice(excess) ?? null;
    this.#firstIndex += excess;
  }
}
