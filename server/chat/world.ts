// What the OpenAI routes share: the model, the generator, bounds, and where ids and times come from. Types and two
// small makers only. Before it: app.ts builds one; used by every file of this folder.
import type { AnswerLog } from '../generation/answer-log.ts';
import type { Lanes } from '../lanes/lanes.ts';
import type { LongTexts } from '../text/long-texts.ts';
import type { Answering } from './answering.ts';
import type { LocalModel } from './local-model.ts';
import { askedName } from './model-name.ts';

export interface OpenAiWorld extends LocalModel {
  readonly answering: Answering; // for whoever is in a lane, that of the lane
  readonly texts: Pick<LongTexts, 'run'>; // whatever asks for tokens outside of HttpCall.guard asks within its run
  readonly answerLog: Pick<AnswerLog, 'watch'>;
  readonly lanes?: Lanes | null; // where requests may be routed
  readonly startedSeconds: number; // time of day; when the model was made available
  readonly epochSeconds: () => number; // time of day, whole
  readonly freshId: () => string;
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
    model: askedName(asked, world.answering.model),
    system_fingerprint: world.answering.fingerprint,
  };
}
