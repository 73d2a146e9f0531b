// GET /v1/models and /v1/models/{id}: the model that is served, and the lanes where there are any. Pure. Before it: http.ts.
import type { Route } from '../http.ts';
import { codexCatalog } from './codex-catalog.ts';
import { modelFault } from './model-name.ts';
import type { OpenAiWorld } from './world.ts';

export function modelRoutes(world: OpenAiWorld): readonly Route[] {
  const { model, generator, startedSeconds, lanes } = world;
  const describe = (id: string) => ({
    id,
    object: 'model',
    created: startedSeconds,
    owned_by: 'sparklane',
  });
  // vLLM's name for it; editors size their prompts by it. What an upstream holds is not known here.
  const bounded = (id: string) => ({ ...describe(id), max_model_len: generator.contextTokensMax });
  const others = (lanes?.models ?? []).filter((name) => modelFault(name, model) !== null);
  const data = [
    ...[model.name, ...(model.aliases ?? [])].map(bounded),
    ...others.map((name) => (lanes?.isLocal(name) === true ? bounded(name) : describe(name))),
  ];
  const catalog = codexCatalog({ name: model.name, contextTokens: generator.contextTokensMax });
  return [
    {
      method: 'GET',
      path: '/v1/models',
      open: false,
      answer: (call) => {
        const list = { object: 'list', data };
        // Codex asks with its version and reads `models`; everybody else reads `data`.
        const forCodex = new URLSearchParams(call.request.query).has('client_version');
        call.reply(200, forCodex ? { ...list, ...catalog } : list);
      },
    },
    {
      method: 'GET',
      path: '/v1/models/:*', // OWNER/NAME has a slash
      open: false,
      answer: (call) => {
        const { parameter } = call.facts;
        const described = data.find(({ id }) => id === parameter);
        const absent = described === undefined ? modelFault(parameter, model) : null;
        if (absent === null) call.reply(200, described ?? data[0]);
        else call.refuse(absent);
      },
    },
  ];
}
