// ChatService: what every dialect's routes share: the model and who answers, bounds, and where ids and times come from. A type,
// and the head that every answer begins with. Before it: app.ts makes one.
import type { AnswerLog } from '../generation/answer-log.ts';
import type { Lanes } from '../lanes/lanes.ts';
import type { Residence } from '../shelf/shelf.ts';
import type { LongTexts } from '../text/long-texts.ts';
import type { Answering } from './answering.ts';
import type { OtherModel } from './catalogue-model.ts';
import type { LocalModel } from './local-model.ts';
import { askedName } from './model-name.ts';

export interface ChatService extends LocalModel {
  readonly answering: Answering; // for whoever is in a lane, that of the lane
  readonly texts: Pick<LongTexts, 'run' | 'once'>; // whatever asks for tokens outside of HttpCall.guard asks within its run
  readonly answerLog: Pick<AnswerLog, 'watch'>;
  readonly lanes?: Lanes | null; // where requests may be routed
  readonly others?: () => readonly OtherModel[]; // that this server has beside it
  readonly residence?: () => Residence; // whether its own is in memory; without it, it always is
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
  service: ChatService,
  idPrefix: 'chatcmpl' | 'cmpl',
  asked: string | null | undefined,
): AnswerHead {
  return {
    id: `${idPrefix}-${service.freshId()}`,
    created: service.epochSeconds(),
    model: askedName(asked, service.answering.model),
    system_fingerprint: service.answering.fingerprint,
  };
}
