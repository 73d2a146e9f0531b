// Small questions of other servers' clients: vLLM's GET /version, LM Studio's GET /api/v0/models. Before it: http/door.ts; after
// it: chat/model-facts.ts.
import { fault } from '../base/errors.ts';
import type { DescribedService } from '../chat/described-service.ts';
import { modelFacts } from '../chat/model-facts.ts';
import { modelFault } from '../chat/model-name.ts';
import { type Route, routesIn } from '../http/route.ts';

const table = routesIn('models');

export function otherServersRoutes(service: DescribedService): readonly Route[] {
  const { model, about } = service;
  return [
    table.get('/version', 'Version of the server, as vLLM tells it', (call) =>
      call.reply(200, { version: about.version }),
    ),
    table.get('/api/v0/models', 'The models, as LM Studio lists them', (call) => {
      const data = [model.name, ...(model.aliases ?? [])].map((id) => lmStudioModel(id, service));
      call.reply(200, { object: 'list', data });
    }),
    table.get('/api/v0/models/:*', 'One of them', (call) => {
      const { parameter } = call;
      if (modelFault(parameter, model) === null) call.reply(200, lmStudioModel(parameter, service));
      else call.refuse(fault('model_not_found', `the model ${JSON.stringify(parameter)} is not here`));
    }),
  ];
}

function lmStudioModel(id: string, service: DescribedService): object {
  const { architecture, format, contextTokens, capabilities } = modelFacts(service);
  return {
    id,
    object: 'model',
    type: 'llm',
    publisher: 'sparklane',
    arch: architecture,
    compatibility_type: format,
    quantization: service.about.precision,
    state: 'loaded',
    max_context_length: contextTokens,
    loaded_context_length: contextTokens,
    capabilities: capabilities.includes('tools') ? ['tool_use'] : [],
  };
}
