// POST /v1/responses with server-sent events: the whole history with every turn, nothing stored. http-target.ts sends it.
import type { Answer } from './answer.ts';
import type { HttpProtocol } from './http-target.ts';
import {
  createFields,
  type InputItem,
  inputOf,
  outputItems,
  type ResponsesOptions,
  readResponseEvent,
} from './responses-events.ts';

export function responsesSseProtocol(options: ResponsesOptions): HttpProtocol<InputItem[]> {
  const finished = new WeakMap<Answer, unknown>(); // the response object that came at the end
  return {
    name: 'Responses SSE',
    path: '/v1/responses',
    newHistory: () => [],
    append: (history, ask) => {
      history.push(...inputOf(ask, options));
    },
    body: (history, ask) => ({ ...createFields(options, ask), input: history }),
    read: (event, answer) => {
      const response = readResponseEvent(event, answer);
      if (response !== null) finished.set(answer, response);
    },
    remember: (history, answer) => {
      history.push(...outputItems(finished.get(answer) ?? null, answer));
    },
  };
}
