// Routes that answer at once and whole: embeddings, and the plain ones (health, models, tokenize, an answer that is not
// streamed). Pure; http-target.ts sends them. They have no tokens to time: what counts is the end.
import { FlagError } from '../../base/flag-error.ts';
import { type Answer, field, numberOr } from './answer.ts';
import type { OpenAiOptions } from './chat.ts';
import { readCommon } from './chat.ts';
import { messagesOf } from './content.ts';
import type { HttpProtocol } from './http-target.ts';

const CODE = 'function add(a, b) { return a + b; }\n';

/** Asked the same every time. */
export const PLAIN_ROUTES = {
  health: { method: 'GET', path: '/healthz', body: {} },
  models: { method: 'GET', path: '/v1/models', body: {} },
  tokenize: { method: 'POST', path: '/tokenize', body: { content: CODE, prompt: CODE } },
  completion: {
    method: 'POST',
    path: '/v1/completions',
    body: { prompt: 'function add(a, b) {', max_tokens: 16, stream: false },
  },
} as const;

export type PlainRoute = keyof typeof PLAIN_ROUTES;
export const PLAIN_ROUTE_NAMES = Object.keys(PLAIN_ROUTES) as PlainRoute[];

/** Throws FlagError. */
export function parseRoute(text: string): PlainRoute {
  const route = PLAIN_ROUTE_NAMES.find((name) => name === text);
  if (route === undefined) throw new FlagError('routes', text, PLAIN_ROUTE_NAMES.join(', '));
  return route;
}

export function plainRouteProtocol(route: PlainRoute, { model }: OpenAiOptions): HttpProtocol<null> {
  const { method, path, body } = PLAIN_ROUTES[route];
  return {
    ...{ name: `${method} ${path}`, path, method, isWhole: true },
    newHistory: () => null,
    append: () => {},
    body: () => ({ ...body, model }),
    read: (answered, answer) => {
      readCommon(answered, answer);
      answer.finishReason = 'stop';
    },
    remember: () => {},
  };
}

/** Each item of a turn is one input. */
export function embeddingsProtocol({ model, plain, content }: OpenAiOptions): HttpProtocol<string[]> {
  return {
    ...{ name: 'embeddings', path: '/v1/embeddings', isWhole: true },
    newHistory: () => [],
    append: (inputs, ask) => {
      inputs.splice(0, inputs.length, ...messagesOf(ask.items, content).map((message) => message.content));
    },
    body: (inputs) => ({
      model,
      input: inputs.length === 1 ? inputs[0] : inputs,
      ...(!plain && { encoding_format: 'base64' }), // a quarter of the bytes of decimal numbers
    }),
    read: readEmbeddings,
    remember: () => {},
  };
}

function readEmbeddings(answered: unknown, answer: Answer): void {
  readCommon(answered, answer);
  const data = field(answered, 'data');
  if (
    Array.isArray(data) &&
    data.length > 0 &&
    data.every((entry) => field(entry, 'embedding') !== undefined)
  ) {
    answer.finishReason = 'stop';
  } else {
    answer.failure ??= { kind: 'no embeddings', message: JSON.stringify(answered).slice(0, 200) };
  }
  answer.promptTokens = numberOr(field(answered, 'usage', 'prompt_tokens'), answer.promptTokens);
}
