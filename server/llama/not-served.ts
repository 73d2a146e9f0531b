// What llama-server can be started with and this server cannot: saved slots, reranking, adapters that change while it runs, other
// properties. Owns its answers to who asks all the same: llama-server's own 501, and what there is instead. Before it: http/door.ts.
import { ERRORS, type Fault, fault } from '../base/errors.ts';
import { type Route, routesIn } from '../http/route.ts';

const table = routesIn('llama-server');

const SLOTS =
  'This server does not support slots action: prompts are found again by their tokens, in whatever slot; --kv-disk-size keeps them over restarts, a cache_salt of its own hides one';
const RERANKING =
  'This server does not support reranking: it loads no cross-encoder. POST /v1/embeddings makes vectors to compare';
const PROPERTIES =
  'This server does not support changing global properties: they are its options (sparklane serve --help)';
const ADAPTERS =
  'This server does not support changing adapters: --lora merges them into the model as it is loaded';

export const notServedRoutes: readonly Route[] = [
  refused('/slots/:', 'Saves, restores and erases a slot', SLOTS),
  ...['/v1/rerank', '/v1/reranking', '/v2/rerank'].map((path) =>
    refused(path, 'Ranks documents by a query', RERANKING),
  ),
  refused('/props', 'Changes properties', PROPERTIES),
  // What was merged is the model: there is none whose scale could be changed.
  table.get('/lora-adapters', 'Adapters that can be switched on and off: none', (call) =>
    call.reply(200, []),
  ),
  refused('/lora-adapters', 'Sets the scales of adapters', ADAPTERS),
];

function refused(path: string, summary: string, message: string): Route {
  const route = table.post(path, `${summary}: refused`, (call) => call.refuse(fault('not_served', message)));
  return { ...route, errorBody: llamaError };
}

function llamaError({ code, message }: Fault): object {
  const { status, type } = ERRORS[code];
  return { error: { code: status, message, type } };
}
