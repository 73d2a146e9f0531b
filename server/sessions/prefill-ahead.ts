// Computes a transcript before anybody asks: whole blocks, at background priority, one sequence at a time. What it
// finishes is found again in the prefix cache. Owns when to start, and the report; never holds up a question.
// Before it: session.ts; after it: the engine itself (a prefill draws no tokens).
import assert from 'node:assert/strict';
import { greedySampling } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import type { SequenceEnd, SequenceEngine, SequenceSink } from '../engine/request.ts';
import type { Transcript } from './transcript.ts';

export interface PrefillReport {
  readonly outcome: 'done' | 'superseded' | 'refused' | 'failed';
  readonly position: number; // tokens from the start of the transcript
  readonly cachedTokens: number;
  readonly computedTokens: number;
  readonly queueMs: number;
}

export interface PrefillParts {
  readonly engine: SequenceEngine;
  readonly clock: Clock;
  readonly transcript: Transcript;
  readonly blockSize: number; // tokens; what does not fill a block cannot be kept
  readonly cacheSalt: string;
  readonly mayStart: () => boolean; // false while an answer runs, or after the session has closed
  readonly onReport: (report: PrefillReport) => void;
}

// An append and its question are two frames, often two reads of the socket. A prefill that starts between them makes the
// question wait for its step and restore the history a second time.
const GATHER_MS = 2;

export class PrefillAhead implements SequenceSink {
  readonly #parts: PrefillParts;
  #running: { readonly sequenceId: number; readonly position: number } | null = null;
  #superseded = false;
  #coveredCount = 0; // tokens that have been computed ahead and have not changed since
  #due = false;
  #stale = false; // what runs was changed meanwhile: once more when it has ended

  constructor(parts: PrefillParts) {
    this.#parts = parts;
  }

  get running(): boolean {
    return this.#running !== null;
  }

  /** Tokens from `start` on are new. */
  forget(start: number): void {
    this.#coveredCount = Math.min(this.#coveredCount, start);
  }

  /** What is being computed has been changed: gives it up and begins again. */
  restart(): void {
    if (this.#running !== null) {
      this.#stale = true;
      this.supersede();
    } else this.schedule();
  }

  /** Starts soon, not at once: appends and the question often come together. One report follows, or an answer. */
  schedule(): void {
    if (this.#due) return;
    this.#due = true;
    this.#parts.clock.schedule(GATHER_MS, () => {
      this.#due = false;
      this.#start();
    });
  }

  /** A question needs its answer: gives way. */
  supersede(): void {
    if (this.#running === null) return;
    this.#superseded = true;
    this.#parts.engine.cancel(this.#running.sequenceId);
  }

  onTokens(): void {
    assert.fail('a prefill draws no tokens');
  }

  onEnd({ reason, usage }: SequenceEnd): void {
    const { position } = this.#running!;
    const superseded = this.#superseded;
    this.#running = null;
    this.#superseded = false;
    const done = reason === 'length';
    if (done && !this.#stale) this.#coveredCount = position;
    this.#parts.onReport({
      outcome: done ? 'done' : superseded ? 'superseded' : 'failed',
      position,
      cachedTokens: usage.cachedTokens,
      computedTokens: done ? usage.promptTokens - usage.cachedTokens : 0,
      queueMs: usage.queueMs,
    });
    const again = this.#stale || (done && this.#wholeCount > position); // changed or grew meanwhile
    this.#stale = false;
    if (again) this.schedule();
  }

  /** Tokens of the transcript in whole blocks. */
  get #wholeCount(): number {
    const { transcript, blockSize } = this.#parts;
    return transcript.tokenCount - (transcript.tokenCount % blockSize);
  }

  #start(): void {
    if (this.#running !== null || !this.#parts.mayStart()) return;
    const position = this.#wholeCount;
    if (position <= this.#coveredCount) {
      this.#reportAtOnce('done', position);
      return;
    }
    const { engine, transcript, cacheSalt } = this.#parts;
    const tokens = transcript.tokens.subarray(0, position);
    const submitted = engine.submit({ ...REQUEST, tokens, cacheSalt }, this);
    if (submitted.ok) this.#running = { sequenceId: submitted.sequenceId, position };
    else this.#reportAtOnce('refused', position); // the question will compute what is missing
  }

  #reportAtOnce(outcome: 'done' | 'refused', position: number): void {
    const cachedTokens = outcome === 'done' ? position : 0;
    this.#parts.onReport({ outcome, position, cachedTokens, computedTokens: 0, queueMs: 0 });
  }
}

const REQUEST = {
  maxTokens: 0,
  sampling: greedySampling, // a prefill draws nothing, but every sequence carries sampling parameters
  constraint: null,
  ignoreStopTokens: true,
  speculation: null,
  priority: 'background',
  deadlineMs: null,
} as const;
