// GET /v1/models and /v1/models/{id}: the one model that is served. Pure. Before it: http.ts.
import type { Route } from '../http.ts';
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
  return [
    {
      method: 'GET',
      path: '/v1/models',
      open: false,
      answer: (call) => call.reply(200, { object: 'list', data: [described] }),
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
