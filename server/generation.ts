// One request's n choices: token ids from the engine become text for a reader. Owns detokenising, stop strings
// and logprob texts; never sees JSON, HTTP or sockets. Before it: server/openai/*.ts and server/session.ts;
// after it: server/engine/engine.ts.
import type { TokenLogprobs } from '../kernels/backend.ts';
import type { Priority, SequenceFailureCode } from './engine/request.ts';

/** A checked request: every bound has been enforced at the edge. */
export interface GenerationRequest {
  readonly tokens: Int32Array; // [n ≥ 1] prompt
  readonly choiceCount: number; // ≥ 1
  readonly maxTokens: number; // output tokens per choice, ≥ 0
  readonly minTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly logitBias: ReadonlyMap<number, number> | null;
  readonly seed: number | null; // null: the server draws one
  readonly logprobs: number | null; // null = none; n ≥ 0 = chosen token and n most likely
  readonly stopStrings: readonly string[];
  readonly ignoreStopTokens: boolean;
  readonly priority: Priority;
  readonly cacheSalt: string;
  readonly deadlineMs: number | null; // clock time
}

/** Text that is safe to show: no half character, no part of a stop string. Parallel arrays describe its tokens. */
export interface GenerationDelta {
  readonly choice: number;
  readonly text: string; // may be '' while a character or a possible stop string is incomplete
  readonly tokens: readonly number[]; // ids newly delivered with this delta
  readonly index: number; // of tokens[0] within the choice's output
  readonly logprobs: readonly TokenLogprobs[] | null;
}

export interface GenerationEnd {
  readonly choice: number;
  readonly reason: 'stop' | 'length' | 'cancelled' | 'failed';
  readonly stopString: string | null; // the one that ended it, if any
  readonly failure: { readonly code: SequenceFailureCode; readonly message: string } | null;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly queueMs: number;
}

export interface GenerationSink {
  onDelta(delta: GenerationDelta): void;
  onEnd(end: GenerationEnd): void; // once per choice
}
