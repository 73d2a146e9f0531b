// GET /v1/models and /v1/models/{id}: the one model that is served. Pure. Before it: http.ts.
import type { Route } from '../http.ts';
import { codexCatalog } from './codex-catalog.ts';
import { modelFault } from './fields.ts';
import type { OpenAiWorld } from './world.ts';

export function modelRoutes(world: OpenAiWorld): readonly Route[] {
  const { model, generator, startedSeconds } = world;
  const described = {
    id: model.name,
    object: 'model',
    created: startedSeconds,
    owned_by: 'sparklane',
    max_model_len: generator.contextTokensMax, // vLLM's name for it; editors size their prompts by it
  };
  const catalog = codexCatalog({ name: model.name, contextTokens: generator.contextTokensMax });
  return [
    {
      method: 'GET',
      path: '/v1/models',
      open: false,
      answer: (call) => {
        const list = { object: 'list', data: [described] };
        // Codex asks with its version and reads `models`; everybody else reads `data`.
        const forCodex = new URLSearchParams(call.request.query).has('client_version');
        call.reply(200, forCodex ? { ...list, ...catalog } : list);
      },
    },
    {
      method: 'GET',
      path: '/v1/models/:',
      open: false,
      answer: (call) => {
        const { parameter } = call.facts;
        const absent = modelFault(parameter, model.name);
        if (absent === null) call.reply(200, described);
        else call.refuse(absent);
      },
    },
  ];
}
