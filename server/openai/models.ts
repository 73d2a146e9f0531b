// GET /v1/models and /v1/models/{id}: the model that is served, and the lanes where there are any. Pure. Before it: http/door.ts.
import { type OtherModel, statusOf } from '../chat/catalogue-model.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { modelFacts } from '../chat/model-facts.ts';
import { modelFault } from '../chat/model-name.ts';
import { type Route, routesIn } from '../http/route.ts';
import { codexCatalog } from './codex-catalog.ts';

const table = routesIn('models');

export function modelRoutes(service: ChatService): readonly Route[] {
  const { model, generator, startedSeconds, lanes } = service;
  const describe = (id: string) => ({
    id,
    object: 'model',
    created: startedSeconds,
    owned_by: 'sparklane',
  });
  // Editors size their prompts by it, under the names of vLLM, OpenRouter and llama-server (`meta`). What an upstream holds
  // is not known here.
  const bounded = (id: string) => ({
    ...describe(id),
    max_model_len: generator.contextTokensMax,
    context_length: generator.contextTokensMax,
    ...described(service),
    ...(service.residence !== undefined && statusOf(service.residence())),
  });
  const others = (lanes?.models ?? []).filter((name) => modelFault(name, model) !== null);
  // The device, and with it the context, may be another one later.
  const listed = () => [
    ...[model.name, ...(model.aliases ?? [])].map(bounded),
    ...(service.others?.() ?? []).flatMap((other) => otherModel(other, describe)),
    ...others.map((name) => (lanes?.isLocal(name) === true ? bounded(name) : describe(name))),
  ];
  return [
    table.get(
      '/v1/models',
      {
        summary: 'What is served, with its limits',
        query: { client_version: 'of Codex, which then gets its catalogue beside the list' },
      },
      (call) => {
        const list = { object: 'list', data: listed() };
        const contextTokens = generator.contextTokensMax;
        // Codex asks with its version and reads `models`; everybody else reads `data`.
        const forCodex = new URLSearchParams(call.request.query).has('client_version');
        const writers = (service.others?.() ?? []).filter(({ listed: { kind } }) => kind === 'decoder');
        const slugs = [{ name: model.name, contextTokens }, ...writers.map(({ listed: one }) => one)];
        call.reply(
          200,
          forCodex ? { ...list, models: slugs.flatMap((one) => codexCatalog(one).models) } : list,
        );
      },
    ),
    // OWNER/NAME has a slash
    table.get('/v1/models/:*', 'One of them', (call) => {
      const { parameter } = call;
      const data = listed();
      const known = data.find(({ id }) => id === parameter);
      const absent = known === undefined ? modelFault(parameter, model) : null;
      if (absent === null) call.reply(200, known ?? data[0]);
      else call.refuse(absent);
    }),
  ];
}

/** One that is perhaps not in memory, under each of its names. */
function otherModel(
  { listed, residence }: OtherModel,
  describe: (id: string) => object,
): readonly (object & { readonly id: string })[] {
  const {
    name,
    aliases,
    contextTokens,
    trainedTokens,
    vocabSize,
    hiddenSize,
    parameterCount,
    fileSize,
    capabilities,
  } = listed;
  const meta = {
    ...{ n_ctx: contextTokens, n_ctx_train: trainedTokens, n_vocab: vocabSize, n_embd: hiddenSize },
    ...{ n_params: parameterCount, size: fileSize },
  };
  const bounds = { max_model_len: contextTokens, context_length: contextTokens };
  return [name, ...aliases.filter((alias) => !alias.endsWith('*'))].map((id) => ({
    ...{ ...describe(id), id },
    ...{ ...bounds, meta, capabilities, ...statusOf(residence) },
  }));
}

/** llama-server's `meta`, and what the model can do. */
function described(service: ChatService): object {
  const { contextTokens, trainedTokens, parameterCount, fileSize, capabilities } = modelFacts(service);
  const { vocabSize, hiddenSize } = service.model.spec;
  return {
    meta: {
      n_ctx: contextTokens,
      n_ctx_train: trainedTokens,
      n_vocab: vocabSize,
      ...(hiddenSize !== undefined && { n_embd: hiddenSize }),
      ...(parameterCount !== null && { n_params: parameterCount }),
      ...(fileSize > 0 && { size: fileSize }),
    },
    capabilities,
  };
}
