// What of a session has to be known elsewhere so that it goes on there with the same tokens: its transcript before the latest
// question, and that question. The answer is drawn again from them: what a sequence says depends on its prompt, parameters and
// seed alone. Plain data. Made and read by session.ts; kept by whoever implements SessionKeeper.
import type { ChatMessage } from '../../models/chat-template.ts';
import type { GenerationRequest } from '../generation/generation.ts';

/** Defaults of a session's questions, over the model's own. */
export type SessionSampling = {
  readonly [Name in
    | 'temperature'
    | 'topP'
    | 'topK'
    | 'minP'
    | 'repetitionPenalty'
    | 'frequencyPenalty'
    | 'presencePenalty']?: number | undefined;
};

/** What one question asks for; the session adds the prompt. `maxTokens: null` goes as far as the context does. */
export type Question = Omit<
  GenerationRequest,
  'tokens' | 'choiceCount' | 'cacheSalt' | 'session' | 'maxTokens'
> & {
  readonly generation: number; // chosen by the asker, above every earlier one of the session
  readonly maxTokens: number | null;
  readonly frameIntervalMs: number; // tokens that come sooner after others are told together; 0: each at once
  readonly reasoning: boolean; // told apart from the answer
};

export interface TranscriptState {
  readonly raw: boolean;
  readonly tokens: Int32Array; // a copy
  readonly chat: { readonly messages: readonly ChatMessage[]; readonly text: string } | null;
  readonly marks: readonly { readonly text: number; readonly tokens: number }[];
}

/** A question with nothing of this process in it: its seed is fixed, nothing is guessed ahead, its deadline is a span. */
export type SavedQuestion = Omit<Question, 'seed' | 'speculation' | 'deadlineMs' | 'logitBias'> & {
  readonly seed: number;
  readonly timeoutMs: number | null;
  readonly logitBias: readonly (readonly [number, number])[] | null;
};

export interface SessionState {
  readonly sampling: SessionSampling;
  readonly transcript: TranscriptState;
  readonly question: SavedQuestion | null; // to be answered anew
  readonly answered: boolean; // it had been, to its end: nothing else may come before that
  readonly generation: number; // the latest number that was used; −1: none
}

/** A session, as far as its keeper sees it. */
export interface KeptSession {
  readonly id: string;
  readonly owner: string;
  readonly state: SessionState;
}

/** Hears of every change of a session that others have to know of, before its client does. */
export interface SessionKeeper {
  /** For questions without one. */
  freshSeed(): number;
  /** `session.state` is another one. */
  changed(session: KeptSession): void;
  /** Its owner has ended it, or it has expired. */
  ended(session: KeptSession): void;
}

/** With what is of this process only left out, and with its seed fixed. */
export function savedQuestion(question: Question, nowMs: number, freshSeed: () => number): SavedQuestion {
  const { seed, speculation: _, deadlineMs, logitBias, ...rest } = question;
  return {
    ...rest,
    seed: seed ?? freshSeed(),
    timeoutMs: deadlineMs === null ? null : Math.max(0, deadlineMs - nowMs),
    logitBias: logitBias === null ? null : [...logitBias],
  };
}

/** The same question here and now. */
export function askedAgain({ timeoutMs, logitBias, ...rest }: SavedQuestion, nowMs: number): Question {
  return {
    ...rest,
    speculation: null,
    deadlineMs: timeoutMs === null ? null : nowMs + timeoutMs,
    logitBias: logitBias === null ? null : new Map(logitBias),
  };
}
