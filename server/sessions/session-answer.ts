// One answer of a session: from the question to the end that its reader has heard. Owns the outbox, the pace (a reader
// that is behind pauses its own generation) and the numbers of the end; never starts another. Before it: session.ts;
// after it: generation/generation.ts draws, the reader takes.
import type { Clock, Timer } from '../../kernels/clock.ts';
import { type Fault, faultOfFailure, faultOfRefusal } from '../base/errors.ts';
import type { MissReason } from '../engine/prefix-cache.ts';
import type { SequenceUsage } from '../engine/request.ts';
import type {
  GenerationDelta,
  GenerationEnd,
  GenerationRequest,
  GenerationSink,
  RunningGeneration,
  TextGenerator,
} from '../generation/generation.ts';
import { Outbox, type OutboxBatch, type OutboxState } from './outbox.ts';
import type { Transcript } from './transcript.ts';

/** Who receives answers. Called from the engine's commit, or from the session's own methods. */
export interface AnswerListener {
  /** Whether it can take tokens now. After a no, Session.flush() tells that it can again. */
  isReady(): boolean;
  onTokens(generation: number, batch: OutboxBatch): void;
  onEnd(end: AnswerEnd): void; // after the last of its tokens, once per generation
}

/** What a piece of an answer's text is of its two parts; marks between them are in neither. */
export interface SplitText {
  readonly reasoning: string;
  readonly text: string;
}

/** Reads one answer in two parts. */
export interface AnswerSplit {
  readonly answering: boolean; // the reasoning, if any, is over
  push(text: string): SplitText;
  end(cut: boolean): SplitText; // what it held back
}

export interface AnswerEnd extends Omit<SequenceUsage, 'missReason'> {
  readonly generation: number;
  readonly reason: GenerationEnd['reason'];
  readonly text: string; // what came after the text of the last token
  readonly reasoning: string; // likewise
  readonly reasoningTokens: number | null; // marks included; null: not told apart
  readonly stopString: string | null;
  readonly fault: Fault | null; // only if 'failed'
  readonly position: number; // tokens in the session now
  readonly missReason: MissReason | null; // why the others were computed
  readonly ttftMs: number | null; // asked → first token drawn
  readonly tpotMs: number | null; // (last − first) / (tokens − 1)
  readonly totalMs: number; // asked → end
}

/** An answer that has ended, for a session elsewhere that goes on as its own. Plain data. */
export interface EndedAnswer {
  readonly kept: OutboxState;
  readonly end: AnswerEnd;
}

export interface AnswerBounds {
  readonly unsentTokensMax: number; // drawn and not yet taken by the reader: generation pauses
  readonly replayTokensMax: number; // sent and kept
}

export interface SessionAnswerParts {
  readonly clock: Clock;
  readonly transcript: Transcript; // its answer is open, unless this one has ended
  readonly bounds: AnswerBounds;
  readonly frameIntervalMs: number; // between deliveries of tokens; 0: none
  readonly split: AnswerSplit | null; // null: its text is told as it is
  readonly reader: (answer: SessionAnswer) => AnswerListener | null; // null: nobody listens now
  readonly onDrawn: (tokens: readonly number[]) => void;
  readonly onEnding: (end: AnswerEnd) => void; // its end is known, and its reader has not heard of it
  readonly onEnded: (end: AnswerEnd) => void; // the engine has nothing more to do for it
}

/** Where an answer stands, for whoever comes back to it. */
export interface AnswerState {
  readonly generation: number;
  readonly running: boolean; // more may be drawn
  readonly firstIndex: number; // oldest token that can be sent again
  readonly nextIndex: number; // tokens drawn so far
}

const BATCH_TOKENS_MAX = 256; // in one delivery to a reader that fell behind

export class SessionAnswer implements GenerationSink {
  readonly generation: number; // the asker's number
  readonly #parts: SessionAnswerParts;
  #outbox: Outbox;
  readonly #askedMs: number;
  #running: RunningGeneration | null = null; // null before it has started and once it has ended
  #text = ''; // all that was drawn
  #reasoningTokens = 0;
  #keep: boolean | null = null; // null: not cancelled
  #closed = false; // in the transcript
  #paused = false;
  #firstMs = -1; // −1 before the first token
  #lastMs = -1;
  #end: AnswerEnd | null = null;
  #told = false;
  #deliveredMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null; // tokens wait for their interval

  constructor(generation: number, parts: SessionAnswerParts) {
    this.generation = generation;
    this.#parts = parts;
    this.#outbox = new Outbox(parts.bounds.replayTokensMax);
    this.#askedMs = parts.clock.nowMs();
  }

  /** One that has ended elsewhere, where all of it was told: here it can be told again. */
  static from({ kept, end }: EndedAnswer, parts: SessionAnswerParts): SessionAnswer {
    const answer = new SessionAnswer(end.generation, parts);
    answer.#outbox = Outbox.from(kept, parts.bounds.replayTokensMax, parts.clock.nowMs());
    answer.#end = end;
    answer.#told = true;
    return answer;
  }

  /** Null before its end, and where that is the server's, so that others draw it. A copy. */
  get ended(): EndedAnswer | null {
    if (this.#end === null || this.#end.fault?.code === 'shutdown') return null;
    return { kept: this.#outbox.state, end: this.#end };
  }

  /** The reader has its end. */
  get told(): boolean {
    return this.#told;
  }

  /** Tokens are being drawn for it: neither ended nor waiting for its reader. */
  get drawing(): boolean {
    return this.#running !== null && !this.#paused;
  }

  get running(): boolean {
    return this.#running !== null;
  }

  get state(): AnswerState {
    const { firstIndex, nextIndex } = this.#outbox;
    return { generation: this.generation, running: this.running, firstIndex, nextIndex };
  }

  /** Tells again from token `index` on, and the end; false when that token is no longer kept, or was never drawn. */
  rewind(index: number): boolean {
    if (!this.#outbox.rewind(index)) return false;
    this.#told = false;
    return true;
  }

  /** The reader wants nothing of what was drawn so far; the end is still told, if it was not. */
  skip(): void {
    this.#outbox.rewind(this.#outbox.nextIndex);
  }

  /** The reader has its end already, wherever it heard of it. */
  settle(): void {
    this.skip();
    if (this.#end !== null) this.#told = true;
  }

  /** Null once it runs; the engine's refusal otherwise. */
  start(generator: TextGenerator, request: GenerationRequest): Fault | null {
    const started = generator.start(request, this);
    if (!started.ok) return faultOfRefusal(started);
    this.#running = started;
    return null;
  }

  /** Draws no more; the end follows. Only the first call decides whether the answer stays. False: it has ended. */
  cancel(keep: boolean): boolean {
    if (this.#running === null) return false;
    this.#keep ??= keep;
    this.#running.cancel();
    return true;
  }

  onDelta(delta: GenerationDelta): void {
    const { clock, transcript, onDrawn } = this.#parts;
    const nowMs = clock.nowMs();
    if (delta.tokens.length > 0) {
      if (this.#firstMs < 0) this.#firstMs = nowMs;
      this.#lastMs = nowMs;
      transcript.pushAnswer(delta.tokens);
      onDrawn(delta.tokens);
    }
    this.#text += delta.text;
    this.#push(delta, nowMs);
    if (!this.#gathers(nowMs)) this.deliver();
  }

  onEnd(end: GenerationEnd): void {
    const { onEnding, onEnded } = this.#parts;
    this.#running = null;
    this.#timer?.cancel();
    this.#close(end);
    const threw = end.failure?.code === 'request-threw'; // maybe what splits it
    const left = threw ? undefined : this.#parts.split?.end(end.reason !== 'stop');
    if (left !== undefined) {
      this.#outbox.push({ tokens: [], text: left.text, logprobs: null }, this.#lastMs, left.reasoning);
    }
    this.#end = this.#endOf(end);
    onEnding(this.#end);
    this.deliver();
    onEnded(this.#end);
  }

  /** Once. A cancellation that came too late, after the last token was drawn, drops nothing. */
  #close({ reason }: GenerationEnd): void {
    if (this.#closed) return;
    this.#closed = true;
    const keep = this.#keep !== false || reason !== 'cancelled';
    this.#parts.transcript.closeAnswer({ keep, text: this.#text });
  }

  /** Hands on what the reader can take now. */
  deliver(): void {
    if (this.#told) return;
    const reader = this.#parts.reader(this);
    while (reader?.isReady()) {
      const batch = this.#outbox.take(BATCH_TOKENS_MAX);
      if (batch === null) break;
      reader.onTokens(this.generation, batch);
    }
    if (this.#end !== null && this.#outbox.unsentCount === 0 && reader?.isReady()) {
      this.#told = true;
      reader.onEnd(this.#end);
    } else this.#setPace(reader);
  }

  #push(delta: GenerationDelta, nowMs: number): void {
    const { split } = this.#parts;
    if (split === null) {
      this.#outbox.push(delta, nowMs);
      return;
    }
    const { reasoning, text } = split.push(delta.text);
    if (!split.answering) this.#reasoningTokens += delta.tokens.length;
    this.#outbox.push({ ...delta, text }, nowMs, reasoning);
  }

  /** Tokens that come soon after others wait for more: a frame costs its reader and us as much as a token does. */
  #gathers(nowMs: number): boolean {
    const { clock, frameIntervalMs, bounds } = this.#parts;
    if (this.#timer !== null) return this.#outbox.unsentCount < bounds.unsentTokensMax;
    const waitMs = this.#deliveredMs + frameIntervalMs - nowMs;
    if (waitMs <= 0) {
      this.#deliveredMs = nowMs;
      return false;
    }
    this.#timer = clock.schedule(waitMs, () => {
      this.#timer = null;
      this.#deliveredMs = clock.nowMs();
      this.deliver();
    });
    return true;
  }

  /** Nobody computes for somebody who is behind, or away, by more than may be kept for him. */
  #setPace(reader: AnswerListener | null): void {
    const { unsentTokensMax, replayTokensMax } = this.#parts.bounds;
    const bound = reader === null ? Math.max(unsentTokensMax, replayTokensMax) : unsentTokensMax;
    const behind = !reader?.isReady() && this.#outbox.unsentCount >= bound;
    if (behind === this.#paused || this.#running === null) return;
    this.#paused = behind;
    if (behind) this.#running.pause();
    else this.#running.resume();
  }

  #endOf(end: GenerationEnd): AnswerEnd {
    const nowMs = this.#parts.clock.nowMs();
    const tokenCount = this.#outbox.nextIndex;
    return {
      generation: this.generation,
      reason: end.reason,
      text: this.#outbox.tail,
      reasoning: this.#outbox.reasoningTail,
      reasoningTokens: this.#parts.split === null ? null : this.#reasoningTokens,
      stopString: end.stopString,
      fault: end.failure === null ? null : faultOfFailure(end.failure),
      position: this.#parts.transcript.tokenCount,
      promptTokens: end.promptTokens,
      cachedTokens: end.cachedTokens,
      missReason: end.missReason ?? null,
      outputTokens: tokenCount,
      acceptedDraftTokens: end.acceptedDraftTokens,
      rejectedDraftTokens: end.rejectedDraftTokens,
      queueMs: end.queueMs,
      ttftMs: tokenCount > 0 ? this.#firstMs - this.#askedMs : null,
      tpotMs: tokenCount > 1 ? (this.#lastMs - this.#firstMs) / (tokenCount - 1) : null,
      totalMs: nowMs - this.#askedMs,
    };
  }
}
