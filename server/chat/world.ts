// What the OpenAI routes share: the model, the generator, bounds, and where ids and times come from. Types and two
// small makers only. Before it: app.ts builds one; used by every file of this folder.
import type { Clock } from '../../kernels/clock.ts';
import type { AnswerLog } from '../generation/answer-log.ts';
import type { DraftingBounds } from '../generation/drafting.ts';
import type { TextGenerator } from '../generation/generation.ts';
import type { Lanes } from '../lanes/lanes.ts';
import type { LongTexts } from '../text/long-texts.ts';
import type { ServedModel } from '../text/served-model.ts';
import type { FormWorld } from './form.ts';
import { askedName } from './model-name.ts';
import type { PromptEncoder } from './prompt-encoder.ts';

export interface RequestBounds {
  readonly choiceCountMax: number; // n
  readonly promptCountMax: number; // prompts of one completions request
  readonly logprobsMax: number; // alternatives per token
  readonly tokenizeSizeMax: number; // characters of /tokenize, tokens of /detokenize
  readonly requestTimeoutMs: number;
  readonly draftTokensMax: number; // guessed per step; 0: never
  readonly draftsUnasked: DraftingBounds['draftsUnasked']; // where the request does not say
  readonly streamBufferSizeMax: number; // unread bytes of one answer at which its generation pauses
}

export interface OpenAiWorld {
  readonly model: ServedModel;
  readonly forms: FormWorld;
  readonly prompts: Pick<PromptEncoder, 'encode'>;
  readonly texts: Pick<LongTexts, 'run'>; // whatever asks for tokens outside of HttpCall.guard asks within its run
  readonly generator: Pick<TextGenerator, 'start' | 'contextTokensMax'>;
  readonly answerLog: Pick<AnswerLog, 'watch'>;
  readonly lanes?: Lanes | null; // where requests may be routed
  readonly route?: LaneRoute | null; // where this one was
  readonly bounds: RequestBounds;
  readonly fingerprint: string; // changes with whatever may change an answer: model, precision, version
  readonly startedSeconds: number; // time of day; when the model was made available
  readonly clock: Clock;
  readonly epochSeconds: () => number; // time of day, whole
  readonly freshId: () => string;
}

/** What a request's lane adds to it. */
export interface LaneRoute {
  readonly system: string; // before all that the client told the model; '' is nothing
  readonly metadata: Readonly<Record<string, string>>; // of the decision, for the answer
  release(): void; // no answer will begin; harmless once one has
}

/** What every chunk of one answer, and the whole answer, begins with. */
export interface AnswerHead {
  readonly id: string;
  readonly created: number; // time of day, seconds
  readonly model: string;
  readonly system_fingerprint: string;
}

/** `asked`: the model as the request calls it. */
export function newHead(
  world: OpenAiWorld,
  idPrefix: 'chatcmpl' | 'cmpl',
  asked: string | null | undefined,
): AnswerHead {
  return {
    id: `${idPrefix}-${world.freshId()}`,
    created: world.epochSeconds(),
    model: askedName(asked, world.model),
    system_fingerprint: world.fingerprint,
  };
}
