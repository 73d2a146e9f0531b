// Sequence: one running generation, as the engine sees it: its tokens, how many of them are computed, the blocks
// and the seat it holds. State only; scheduler.ts decides about it and engine.ts changes it.
import type { Timer } from '../../kernels/clock.ts';
import type { BlockKey } from './block-archive.ts';
import { type Draft, Drafter } from './drafter.ts';
import type { PrefixNode } from './prefix-cache.ts';
import type {
  FinishReason,
  SequenceEnd,
  SequenceFailureCode,
  SequenceRequest,
  SequenceSink,
} from './request.ts';
import { Speculation } from './speculation.ts';

export type Phase = 'waiting' | 'running' | 'ended';

/** Why a sequence is to leave at the next plan. */
export type Departure =
  | { readonly reason: 'cancelled' }
  | { readonly reason: 'failed'; readonly code: SequenceFailureCode; readonly message: string };

/** Blocks on their way for one sequence, and the ones before them, which must stay meanwhile. */
export interface ColdFetch {
  readonly sequence: Sequence; // for whom; may have left
  readonly tokens: Int32Array;
  readonly node: PrefixNode; // after the blocks that were found without the archive
  readonly held: readonly number[]; // all its blocks: found ones, then fresh ones
  readonly keys: readonly BlockKey[]; // of the fresh ones
  readonly startMs: number;
  ended: boolean;
}

/** Guesses as the device is to verify them. */
export interface SequenceDraft extends Draft {
  readonly masks: readonly (Uint32Array | null)[] | null; // [1 + tokens] what may be drawn in place of each and after the last
}

/** What a draft model guesses to come after the first `tokenCount` tokens. */
export interface ModelGuess {
  readonly tokenCount: number;
  readonly tokens: Int32Array; // [≥ 1]
}

export class Sequence {
  readonly id: number;
  readonly request: SequenceRequest;
  readonly sink: SequenceSink;
  readonly submitMs: number;
  readonly promptCount: number;
  tokens: Int32Array; // [capacity ≥ tokenCount] prompt, then output; grows by doubling
  tokenCount: number;
  chunkedCount: number; // leading tokens that are computed in chunks: the prompt, and output that came with a move
  computedCount = 0; // tokens whose KV exists; < tokenCount while there is work
  presentCount = 0; // tokens whose KV lies in the seat; < computedCount until restored blocks are brought in
  cachedCount = 0; // prompt tokens found in the prefix cache
  coldCount = 0; // of these, brought back from the archive
  coldFetch: ColdFetch | null = null; // what it waits for, or has waited for
  coldTried = false; // the archive was asked since it last began to wait
  reachedCount = 0; // largest computedCount so far: below it tokens are computed once more
  phase: Phase = 'waiting';
  paused = false;
  departure: Departure | null = null;
  ending: FinishReason | null = null; // its last token is drawn; it leaves when its step has answered
  failure: SequenceEnd['failure'] = null; // with the ending 'failed'
  replica = -1;
  slot = -1;
  inFlight = false; // has a row in a step that has not answered
  seatedMs = -1; // first time in a seat; -1 before
  seatReported = false;
  firstTokenMs = -1; // -1 before
  lastTokenMs = -1;
  deadline: Timer | null = null;
  readonly blocks: number[] = []; // blocks[i] holds tokens [i·blockSize, (i + 1)·blockSize)
  savedCount = 0; // leading blocks whose content the block store has, or will have after the step in flight
  promisedCount = 0; // blocks it was seated for and has not taken yet
  registeredCount = 0; // leading blocks that the prefix cache knows
  readonly drafter: Drafter | null;
  readonly speculation: Speculation | null;
  draft: SequenceDraft | null = null; // being verified by the step in flight
  modelGuess: ModelGuess | null = null; // the draft model's latest
  node: PrefixNode | null = null; // of the last registered block; null while waiting

  constructor(id: number, request: SequenceRequest, sink: SequenceSink, submitMs: number) {
    this.id = id;
    this.request = request;
    this.sink = sink;
    this.submitMs = submitMs;
    this.promptCount = request.tokens.length;
    this.tokens = new Int32Array(this.promptCount + Math.min(request.maxTokens, 256));
    this.tokens.set(request.tokens);
    this.tokenCount = this.promptCount;
    this.chunkedCount = this.promptCount;
    const { speculation } = request;
    this.drafter = speculation === null ? null : new Drafter(speculation.prediction);
    this.speculation = speculation === null ? null : new Speculation();
  }

  get outputCount(): number {
    return this.tokenCount - this.promptCount;
  }

  /** Tokens to compute before the next one can be drawn; 1 while decoding. */
  get remainingCount(): number {
    return this.tokenCount - this.computedCount;
  }

  /** Whether anything is drawn at all, or the prompt is only to be computed. */
  get prefillOnly(): boolean {
    return this.request.maxTokens === 0;
  }

  /** It has stood up: nothing of it is computed any more. */
  forget(): void {
    this.computedCount = 0;
    this.presentCount = 0;
    this.registeredCount = 0;
    this.savedCount = 0;
    this.node = null;
    this.draft = null;
    this.coldFetch = null;
    this.coldTried = false;
  }

  /** Appends the first `count` drawn tokens, or fewer if one of them gives a reason to end, which is answered. */
  take(tokens: readonly number[], count: number, contextTokensMax: number): FinishReason | null {
    const { constraint, ignoreStopTokens, sampling, maxTokens } = this.request;
    for (let index = 0; index < count; index++) {
      const token = tokens[index]!;
      this.#append(token);
      constraint?.accept(token);
      if (!ignoreStopTokens && sampling.stopTokenIds.includes(token)) return 'stop';
      if (this.outputCount >= maxTokens || this.tokenCount >= contextTokensMax) return 'length';
    }
    return null;
  }

  /** Its row could not be sampled: nothing more can be drawn. */
  fail(message: string): void {
    this.ending = 'failed';
    this.failure = { code: 'sampling-failed', message };
  }

  #append(token: number): void {
    if (this.tokenCount === this.tokens.length) {
      const grown = new Int32Array(this.tokens.length * 2); // rows in flight keep their view of the old one
      grown.set(this.tokens);
      this.tokens = grown;
    }
    this.tokens[this.tokenCount++] = token;
  }
}
