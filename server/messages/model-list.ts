// GET /v1/models for who asks in Anthropic's way, with its version in a header: the same models in that API's shape.
// Pure. Before it: app.ts wraps the OpenAI routes; after it: those, for everybody else.

import type { ChatService } from '../chat/chat-service.ts';
import { modelFault } from '../chat/model-name.ts';
import type { Route } from '../http/door.ts';
import { messagesError, messagesStatus } from './errors.ts';

const VERSION_HEADER = 'anthropic-version';

export function withMessagesModels(routes: readonly Route[], service: ChatService): readonly Route[] {
  const { model, generator, startedSeconds, lanes } = service;
  const describe = (id: string) => ({
    type: 'model',
    id,
    display_name: id,
    created_at: new Date(startedSeconds * 1000).toISOString(),
    max_input_tokens: contextTokensOf(id),
    max_tokens: contextTokensOf(id),
  });
  const writers = (service.others?.() ?? []).filter(({ listed }) => listed.kind === 'decoder');
  const contextTokensOf = (id: string) =>
    writers.find(({ listed }) => listed.name === id)?.listed.contextTokens ?? generator.contextTokensMax;
  const neighbours = writers.map(({ listed }) => listed.name);
  const names = [...new Set([model.name, ...(model.aliases ?? []), ...neighbours, ...(lanes?.models ?? [])])];
  return routes.map((route) => {
    if (route.method !== 'GET' || !/^\/v1\/models(\/:\*)?$/.test(route.path)) return route;
    return {
      ...route,
      answer: (call) => {
        const { facts, request } = call;
        if (request.header(VERSION_HEADER) === '') {
          route.answer(call);
          return;
        }
        const asked = call.parameter;
        const headers = { 'request-id': facts.id };
        const refused = asked === '' || names.includes(asked) ? null : modelFault(asked, model);
        if (refused !== null) {
          call.reply(messagesStatus(refused), messagesError(refused, facts.id), headers);
        } else if (asked !== '') call.reply(200, describe(asked), headers);
        else {
          const list = { data: names.map(describe), has_more: false };
          call.reply(200, { ...list, first_id: names[0], last_id: names.at(-1) }, headers);
        }
      },
    };
  });
}
