// What the engine is asked and what it answers: token ids in, token ids out. It never sees text, JSON or
// sockets. Before it on the request's line: server/generation/generation.ts; after it: admission.ts.
import type { DeviceFailureCode, SamplingParams, TokenLogprobs } from '../../kernels/backend.ts';
import type { Continuation } from './borne-out.ts';
import type { MissReason } from './prefix-cache.ts';

/** Main turns go before side requests (titles, warm-ups), those before prefill that nobody waits for. */
export type Priority = 'turn' | 'side' | 'background';

/**
 * Decides which tokens may come next, e.g. a compiled grammar (server/grammar/). One per sequence; the engine calls
 * it synchronously: mask() before each drawn token, accept() after it. It must always allow at least one token.
 */
export interface TokenConstraint {
  /** Allowed tokens as a bit set of ceil(vocabSize / 32) words, valid until accept(); null allows all. */
  mask(): Uint32Array | null;
  accept(token: number): void;
  /** Independent of this one from now on, and its masks stay as they are: to look ahead over guesses. */
  fork(): TokenConstraint;
}

/** Permission to guess ahead; the answer is the same with and without. */
export interface SpeculationRequest {
  readonly draftTokensMax: number; // guesses per step, ≥ 1
  readonly prediction: Int32Array | null; // tokens that the output will probably resemble
  readonly remembered?: RememberedAnswers | null; // of the same key
}

/** What was answered before, to guess from. */
export interface RememberedAnswers {
  /** Places where the end of `query` [0, count) stood, latest first, and up to `countMax` tokens that followed. */
  find(query: Int32Array, count: number, countMax: number): readonly Continuation[];
}

export interface SequenceRequest {
  readonly tokens: Int32Array; // [n ≥ 1] prompt; the engine copies it
  readonly maxTokens: number; // output tokens ≥ 0; 0 = prefill only, finishes with 'length' once all is computed
  readonly sampling: SamplingParams; // its stopTokenIds end the sequence
  readonly constraint: TokenConstraint | null;
  readonly ignoreStopTokens: boolean; // `ignore_eos`: only maxTokens ends the sequence
  /**
   * Whether the answer ends with this token by what it says, as a stop string. Asked synchronously for each token in order
   * when it has been drawn, so that nothing is drawn or kept behind the end, whenever anybody hears of it.
   */
  readonly endsWith?: ((token: number) => boolean) | null;
  /** The prompt's own tokens are judged: each with so many alternatives ≥ 0. It is computed anew and kept for nobody. */
  readonly promptLogprobs?: number | null;
  readonly speculation: SpeculationRequest | null; // null: draw one token at a time
  readonly priority: Priority;
  readonly cacheSalt: string; // prefixes are shared only between equal salts (one per API key)
  readonly deadlineMs: number | null; // clock time after which the sequence fails with 'deadline'
}

export type FinishReason =
  | 'stop' // a stop token was drawn, or one with which the answer ends (it is the last token delivered)
  | 'length' // maxTokens, or the end of the context
  | 'cancelled'
  | 'failed';

/**
 * Why a sequence failed: the device lost it, there was no distribution to draw from, its time ran out, the device that replaced
 * its own cannot hold it, or what it brought along threw: its constraint, its end or its reader.
 */
export type SequenceFailureCode =
  | DeviceFailureCode
  | 'sampling-failed'
  | 'deadline'
  | 'shutdown'
  | 'context-shrunk'
  | 'request-threw';

/** What the caller of a request that threw hears. */
export const INTERNAL = 'an internal error; the log has it';

export interface SequenceUsage {
  readonly promptTokens: number;
  readonly cachedTokens: number; // prompt tokens not computed, because their KV was found
  readonly outputTokens: number;
  readonly acceptedDraftTokens: number; // guesses that were right
  readonly rejectedDraftTokens: number; // guesses computed in vain
  readonly queueMs: number; // submit → first seat
  readonly missReason?: MissReason | null; // why the prompt was computed from there on; null: it never sat down
}

export interface SequenceEnd {
  readonly reason: FinishReason;
  readonly failure: { readonly code: SequenceFailureCode; readonly message: string } | null; // only if 'failed'
  readonly usage: SequenceUsage;
}

/**
 * Receives one sequence's life. Called synchronously from the engine's commit, never from submit() or cancel():
 * onPrompt once before that if it was asked for, onTokens zero or more times, then onEnd exactly once. It may call engine.submit, cancel, pause and resume.
 */
export interface SequenceSink {
  /** [promptTokens − 1] of all prompt tokens but the first. */
  onPrompt?(logprobs: readonly TokenLogprobs[]): void;
  /** `index` of the first token within the output, from 0; `logprobs` is parallel to `tokens` or null. */
  onTokens(tokens: readonly number[], index: number, logprobs: readonly TokenLogprobs[] | null): void;
  onEnd(end: SequenceEnd): void;
}

/** Expected refusals at the door. `prompt-too-long` can never succeed; the others may, later. */
export type RefusalReason = 'queue-full' | 'prompt-too-long' | 'draining';

export type SubmitResult =
  | { readonly ok: true; readonly sequenceId: number }
  | {
      readonly ok: false;
      readonly reason: RefusalReason;
      readonly message: string; // with the number and the bound
      readonly retryAfterMs: number | null;
    };

/** The engine as the rest of the server sees it (server/engine/engine.ts). */
export interface SequenceEngine {
  readonly contextTokensMax: number; // prompt + output of one sequence
  submit(request: SequenceRequest, sink: SequenceSink): SubmitResult;
  /** Takes effect at the next plan; onEnd('cancelled') follows. Unknown and ended ids are ignored. */
  cancel(sequenceId: number): void;
  /** A paused sequence keeps its seat but gets no rows: its reader is slow. Idempotent. */
  pause(sequenceId: number): void;
  resume(sequenceId: number): void;
}
