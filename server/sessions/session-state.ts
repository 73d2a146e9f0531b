// What of a session has to be known elsewhere so that it goes on there with the same tokens: its transcript, the latest answer that
// has ended, and the question that is being answered, with the transcript before it. That answer is drawn again: what a sequence says
// depends on its prompt, parameters and seed alone. Plain data. Made and read by session.ts; kept by whoever implements SessionKeeper.
import type { GenerationRequest } from '../generation/generation.ts';
import type { EndedAnswer } from './session-answer.ts';
import type { TranscriptState } from './transcript.ts';

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

/** A question with nothing of this process in it: its seed is fixed, nothing is guessed ahead, its deadline is a span. */
export type SavedQuestion = Omit<Question, 'seed' | 'speculation' | 'deadlineMs' | 'logitBias'> & {
  readonly seed: number;
  readonly timeoutMs: number | null;
  readonly logitBias: readonly (readonly [number, number])[] | null;
};

export interface SessionState {
  readonly sampling: SessionSampling;
  readonly transcript: TranscriptState;
  readonly question: SavedQuestion | null; // being answered: `transcript` is what was before it
  readonly answer: EndedAnswer | null; // to tell again to whoever has not heard all of it; null: none has ended yet
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
  /** The answer to its question has gone on by these. */
  drew(session: KeptSession, tokens: readonly number[]): void;
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

/** The same question here and now. `drawn`: what is known of its answer; guesses, so that nothing hangs on it. */
export function askedAgain(
  { timeoutMs, logitBias, ...rest }: SavedQuestion,
  nowMs: number,
  drawn: Int32Array | null,
): Question {
  return {
    ...rest,
    // As many a step as the device takes: that they are right is all but certain.
    speculation: drawn === null ? null : { draftTokensMax: drawn.length, prediction: drawn },
    deadlineMs: timeoutMs === null ? null : nowMs + timeoutMs,
    logitBias: logitBias === null ? null : new Map(logitBias),
  };
}
