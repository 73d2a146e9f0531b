// Timeline: what happened to one turn, as times; measures() turns them into the numbers of the report. The formulas are
// the ones that measure/runs/latencies.ts states. Owns no clock.
import type { Delta, TurnEnd } from '../wires/target.ts';

/** Arrivals closer together than this are one burst: one read of the socket, several frames. */
const BURST_MS = 0.1;

/** How the tokens of a turn were counted, best first. */
export type CountedBy = 'server-stamps' | 'tokenizer' | 'usage-spread' | 'chunks' | 'unknown';

// A chunk that holds several words holds several tokens: no usual vocabulary has a token across a space. So do chunks that
// are longer on average than tokens are. Where nobody counts such chunks, the number of tokens is not known.
const SEVERAL_WORDS = /\S\s+\S/;
const WORDY_SHARE_MAX = 0.1; // of the chunks
const CHUNK_LENGTH_MAX = 8; // characters, mean; tokens of code and prose have 3 to 5

/** The times of a turn that is over. */
export interface TurnTimes {
  readonly intendedMs: number;
  readonly dispatchedMs: number;
  readonly sentMs: number | null;
  readonly firstMs: number | null;
  readonly lastMs: number | null;
  readonly endMs: number;
  /** Tokens that arrived together with the first one. */
  readonly firstBurstTokens: number;
  /** Every gap between bursts, with the tokens that came at its end. */
  eachGap(fn: (gapMs: number, tokenCount: number, atMs: number) => void): void;
}

/** When bursts began to arrive, and the tokens in each. */
export interface Bursts {
  readonly ms: readonly number[] | Float64Array;
  readonly tokens: readonly number[] | Int32Array;
}

export type TurnMeasures = Readonly<ReturnType<Timeline['measures']>>;

export class Timeline implements TurnTimes {
  readonly intendedMs: number;
  readonly dispatchedMs: number;
  sentMs: number | null = null;
  firstMs: number | null = null;
  lastMs: number | null = null;
  endMs = 0;
  interruptedMs: number | null = null;
  #firstAnswerMs: number | null = null; // first token that is no reasoning
  #lastArrivalMs = Number.NEGATIVE_INFINITY;
  #receivedAtInterrupt = 0;
  readonly #burstMs: number[] = []; // [b] when each burst began to arrive
  #burstTokens: number[] = []; // [b] tokens in each; 0 where nobody has said
  readonly #burstLengths: number[] = []; // [b] characters in each
  readonly #burstChunks: number[] = []; // [b] chunks in each
  #wordyChunks = 0; // that hold several words
  #countedBy: CountedBy = 'server-stamps';
  #receivedTokens = 0;
  #serverTokens: number | null = null; // the answer's length as the server tells it at the end

  constructor(intendedMs: number, dispatchedMs: number) {
    this.intendedMs = intendedMs;
    this.dispatchedMs = dispatchedMs;
  }

  /** Tokens so far; chunks count as one until a better count is known. */
  get receivedTokens(): number {
    return this.#receivedTokens;
  }

  /** `counted`: tokens of the text by the model's own tokenizer, where the server gives no count and we have one. */
  add(atMs: number, delta: Delta, counted: number | null): void {
    const known = delta.count ?? counted;
    if (known === 0 && delta.text === '') return;
    if (delta.count === null) this.#countedBy = counted === null ? 'chunks' : 'tokenizer';
    this.firstMs ??= atMs;
    this.lastMs = atMs;
    if (!delta.reasoning) this.#firstAnswerMs ??= atMs;
    if (atMs - this.#lastArrivalMs >= BURST_MS || this.#burstMs.length === 0) {
      this.#burstMs.push(atMs);
      this.#burstTokens.push(0);
      this.#burstLengths.push(0);
      this.#burstChunks.push(0);
    }
    this.#lastArrivalMs = atMs;
    const burst = this.#burstMs.length - 1;
    this.#burstTokens[burst]! += known ?? 0;
    this.#burstLengths[burst]! += delta.text.length;
    this.#burstChunks[burst]!++;
    if (SEVERAL_WORDS.test(delta.text)) this.#wordyChunks++;
    this.#receivedTokens += known ?? 1;
  }

  /** The person pressed Esc. */
  interrupt(atMs: number): void {
    this.interruptedMs = atMs;
    this.#receivedAtInterrupt = this.#receivedTokens;
  }

  end(atMs: number, end: TurnEnd): void {
    this.endMs = atMs;
    if (this.#countedBy === 'chunks' && this.#burstMs.length > 0) this.#countChunks(end.outputTokens);
    this.#serverTokens = end.outputTokens;
  }

  /** All in milliseconds or tokens; null where it has no meaning (no token came, nothing was interrupted, …). */
  measures() {
    const { intendedMs, firstMs, lastMs, sentMs, dispatchedMs, interruptedMs } = this;
    const tokenCount = this.#countedBy === 'unknown' ? null : sumOf(this.#burstTokens);
    return {
      ttftMs: firstMs === null ? null : firstMs - intendedMs,
      ttftFromSentMs: firstMs === null || sentMs === null ? null : firstMs - sentMs, // what a client that only looks at its own clock would report
      ttfoMs: this.#firstAnswerMs === null ? null : this.#firstAnswerMs - intendedMs,
      tpotMs:
        tokenCount === null || tokenCount < 2
          ? null
          : (this.#lastBurstMs - this.#firstBurstMs) / (tokenCount - 1),
      e2eMs: this.endMs - intendedMs,
      stallMs: this.#longestGapMs(),
      dispatchLagMs: dispatchedMs - intendedMs,
      wireLagMs: sentMs === null ? null : sentMs - dispatchedMs,
      tokenCount, // null: nobody counted, and chunks are more than tokens
      burstCount: this.#burstMs.length,
      countedBy: this.#countedBy,
      stopToSilenceMs: interruptedMs === null ? null : Math.max(0, (lastMs ?? interruptedMs) - interruptedMs),
      wastedTokens:
        interruptedMs === null || tokenCount === null
          ? null
          : Math.max(0, (this.#serverTokens ?? this.#receivedTokens) - this.#receivedAtInterrupt),
    };
  }

  get bursts(): Bursts {
    return { ms: this.#burstMs, tokens: this.#burstTokens };
  }

  eachGap(fn: (gapMs: number, tokenCount: number, atMs: number) => void): void {
    eachGapOf(this.bursts, fn);
  }

  get firstBurstTokens(): number {
    return this.#burstTokens[0] ?? 0;
  }

  get #firstBurstMs(): number {
    return this.#burstMs[0] ?? 0;
  }

  get #lastBurstMs(): number {
    return this.#burstMs.at(-1) ?? 0;
  }

  #longestGapMs(): number | null {
    if (this.#burstMs.length === 0) return null;
    let longest = 0;
    this.eachGap((gapMs) => {
      longest = Math.max(longest, gapMs);
    });
    return longest;
  }

  // Nobody stamped the tokens. The server's total, where it tells one, is spread over the bursts by their length in
  // characters (every burst keeps at least one token while there are enough); otherwise a chunk counts as a token, unless
  // chunks are plainly more than that.
  #countChunks(total: number | null): void {
    const lengths = this.#burstLengths;
    const characters = sumOf(lengths);
    if (total === null) {
      const chunks = sumOf(this.#burstChunks);
      const isMore = this.#wordyChunks > WORDY_SHARE_MAX * chunks || characters > CHUNK_LENGTH_MAX * chunks;
      if (isMore) this.#countedBy = 'unknown';
      this.#burstTokens = isMore ? lengths.map(() => 0) : [...this.#burstChunks];
      return;
    }
    this.#countedBy = 'usage-spread';
    const least = total < lengths.length ? 0 : 1;
    const spare = total - least * lengths.length;
    let passed = 0;
    let given = 0;
    this.#burstTokens = lengths.map((length, burst) => {
      passed += length;
      const isLast = burst === lengths.length - 1;
      const upTo = isLast ? spare : characters === 0 ? 0 : Math.round((spare * passed) / characters);
      const tokens = least + upTo - given;
      given = upTo;
      return tokens;
    });
  }
}

export function eachGapOf({ ms, tokens }: Bursts, fn: Parameters<TurnTimes['eachGap']>[0]): void {
  for (let at = 1; at < ms.length; at++) fn(ms[at]! - ms[at - 1]!, tokens[at]!, ms[at]!);
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
