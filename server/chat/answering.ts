// Answering: who answers a chat request, as every dialect sees it: this server's model (local-answering.ts), or the upstream of
// the lane that the request is in (upstream-answering.ts). From a form, a prompt and the request's fields to an answer whose
// parts are told as events. Types only. Before it: the dialects, over chat/lane-edge.ts; after it: generation/ or upstream/.
import type { Parsed } from '../base/json-body.ts';
import type { GenerateResult, GenerationSink } from '../generation/generation.ts';
import type { LastTurn } from '../generation/prefix-report.ts';
import type { ServedModel } from '../text/served-model.ts';
import type { AnswerEvents, AnswerReader } from './answer-reader.ts';
import type { ChatPrompt, ChatPromptParts } from './chat-prompt.ts';
import type { CommonFields, GenerationParts } from './fields.ts';
import type { AnswerForm, FormAsk } from './form.ts';

export interface Answering {
  readonly model: Pick<ServedModel, 'name' | 'aliases' | 'aliasPrefixes' | 'chatTemplate' | 'defaults'>;
  readonly fingerprint: string; // changes with whatever may change an answer: model, precision, version
  readonly contextTokensMax: number; // prompt and output together
  readonly route: LaneRoute | null; // where the request was routed
  /** What the answer may be; calls `then` once, at once where nothing is to be compiled. */
  withForm(ask: FormAsk, then: (form: Parsed<AnswerForm>) => void): void;
  /** A conversation as whoever answers takes it. */
  layOut(parts: ChatPromptParts): Parsed<ChatPrompt>;
  /** Checks what needs the prompt at hand, and fills in defaults. */
  prepare(fields: CommonFields, ask: AnswerAsk): Parsed<PreparedAnswer>;
}

export interface AnswerAsk extends Omit<GenerationParts, 'tokens'> {
  readonly prompt: ChatPrompt;
}

export interface PreparedAnswer {
  readonly promptTokenCount: number; // about, where an upstream counts its own
  readonly lastTurn?: LastTurn | null; // what it says of the prompt
  /** `shown`: reasoning is told apart from the answer. */
  ready(form: AnswerForm, shown?: boolean): ReadyAnswer;
}

/** Begins once. */
export interface AnswerStart {
  readonly choiceCount: number;
  readonly lastTurn?: LastTurn | null; // what is known of its prompt before it is computed
  /** Starts all choices or none; the sink is never called in the caller's stack. */
  start(sink: GenerationSink): GenerateResult;
}

export interface ReadyAnswer extends AnswerStart {
  /** One for each choice: it is pushed the choice's deltas, and tells their meaning. */
  readonly newReader: (events: AnswerEvents) => AnswerReader;
}

/** What a request's lane adds to it. */
export interface LaneRoute {
  readonly system: string; // before all that the client told the model; '' is nothing
  readonly metadata: Readonly<Record<string, string>>; // of the decision, for the answer
  release(): void; // no answer will begin; harmless once one has
}
