// GET /v1/models for who asks in Anthropic's way, with its version in a header: the same models in that API's shape.
// Pure. Before it: app.ts wraps the OpenAI routes; after it: those, for everybody else.
import type { ChatService } from '../chat/chat-service.ts';
import { modelFault } from '../chat/model-name.ts';
import type { Route } from '../http/route.ts';
import { messagesErrors } from './errors.ts';

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
  const theirs = routes
    .filter(({ method, path }) => method === 'GET' && /^\/v1\/models(\/:\*)?$/.test(path))
    .map(
      (route): Route => ({
        ...route,
        ...messagesErrors,
        onlyFor: (request) => request.header(VERSION_HEADER) !== '',
        answer: (call) => {
          const asked = call.parameter;
          const refused = asked === '' || names.includes(asked) ? null : modelFault(asked, model);
          if (refused !== null) call.refuse(refused);
          else if (asked !== '') call.reply(200, describe(asked));
          else {
            const list = { data: names.map(describe), has_more: false };
            call.reply(200, { ...list, first_id: names[0], last_id: names.at(-1) });
          }
        },
      }),
    );
  return [...routes, ...theirs];
}
