// Ollama's API, for its packages, for Copilot's and Zed's providers and for `codex --oss`: the models that
// are here. Owns the table of its paths and its errors' shape. Before it: http/door.ts; after it: chat.ts, generate.ts, model-card.ts.
import { z } from 'zod';
import type { Clock } from '../../kernels/clock.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { DescribedService } from '../chat/described-service.ts';
import { modelFault } from '../chat/model-name.ts';
import type { EmbeddingService } from '../embeddings/routes.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { answerChat, CHAT_PATH, chatSchema } from './chat.ts';
import { answerEmbed, answerOlderEmbed, embedSchema, olderEmbedSchema } from './embed.ts';
import { answerGenerate, GENERATE_PATH, generateSchema } from './generate.ts';
import { listed, listedOthers, running, shown } from './model-card.ts';
import { answerPull } from './pull.ts';

const table = routesIn('ollama');

// Of Ollama's API, not ours: Codex asks for 0.13.4 at least (its Responses API), Copilot for 0.6.4.
const API_VERSION = '0.15.0';

const FILES = 'models are files of this machine, and are neither made nor removed over its API';

export const namedSchema = z.object({
  model: z.string().nullish(),
  name: z.string().nullish(), // its older spelling
  stream: z.boolean().nullish(),
});

/** `answerPage`: shows people a page at `/`; null where there is none. */
export function ollamaRoutes(
  service: DescribedService,
  embeddings: EmbeddingService,
  answerPage: AnswerPage | null,
): readonly Route[] {
  const { model, bounds } = service;
  const names = [model.name, ...(model.aliases ?? [])];
  const unsupported = (method: 'POST' | 'DELETE', path: string): Route => ({
    ...{ method, path, open: false, about: { group: 'ollama', summary: 'Refused' }, errorBody: ollamaError },
    answer: (call) => call.refuse(fault('unsupported', `${path.replace(/\/:$/, '')}: ${FILES}`)),
  });
  return [
    table.get(
      '/',
      {
        summary: 'The page for people; for programs some words that they look for',
        answers: 'text',
        open: true,
      },
      (call) => greet(call, answerPage),
    ),
    get('/api/version', 'Version of its API', () => ({ version: API_VERSION })),
    get('/api/tags', 'The models', () => ({
      models: [...names.map((name) => listed(name, service)), ...listedOthers(service)],
    })),
    get('/api/ps', 'The models that are loaded', () => ({ models: running(service) })),
    postRoute('/api/show', { summary: 'A model', body: namedSchema }, (call, body) => {
      const absent = absentFault(body, service);
      if (absent === null) call.reply(200, shown(service));
      else call.refuse(absent);
    }),
    postRoute(
      '/api/pull',
      { summary: 'Whether a model is here', body: namedSchema, answers: 'lines' },
      (call, body) => {
        const absent = absentFault(body, service);
        answerPull(call, { name: nameOf(body), stream: body.stream !== false, absent }, service);
      },
    ),
    postRoute(
      CHAT_PATH,
      { summary: 'The next message of a conversation', body: chatSchema(bounds), answers: 'lines' },
      (call, body) => answerChat(call, body, service),
    ),
    postRoute(
      GENERATE_PATH,
      { summary: 'Completion of a prompt', body: generateSchema(bounds), answers: 'lines' },
      (call, body) => answerGenerate(call, body, service),
    ),
    ...embedRoutes({ ...embeddings, clock: service.clock }),
    ...['/api/create', '/api/copy', '/api/push', '/api/blobs/:'].map((path) => unsupported('POST', path)),
    unsupported('DELETE', '/api/delete'),
  ];
}

export function embedRoutes(service: EmbeddingService & { readonly clock: Clock }): readonly Route[] {
  return [
    postRoute(
      '/api/embed',
      { summary: 'Vectors of texts', body: embedSchema(service.bounds) },
      (call, body) => answerEmbed(call, body, service),
    ),
    postRoute('/api/embeddings', { summary: 'The vector of a text', body: olderEmbedSchema }, (call, body) =>
      answerOlderEmbed(call, body, service),
    ),
  ];
}

export function postRoute<T>(
  path: string,
  about: { readonly summary: string; readonly body: z.ZodType<T>; readonly answers?: 'lines' },
  answer: (call: HttpCall, body: T) => void,
): Route {
  return {
    method: 'POST',
    path,
    open: false,
    about: { group: 'ollama', ...about },
    errorBody: ollamaError,
    answer: (call) => call.readJson(about.body, (body) => answer(call, body), { anyType: true }),
  };
}

function get(path: string, summary: string, value: () => object): Route {
  return {
    method: 'GET',
    path,
    open: false,
    about: { group: 'ollama', summary },
    errorBody: ollamaError,
    answer: (call) => call.reply(200, value()),
  };
}

/** Its packages look for "not found" where they would pull. */
function ollamaError({ code, message }: Fault): object {
  return { error: code === 'model_not_found' ? `model not found: ${message}` : message };
}

type AnswerPage = (call: HttpCall) => void;

/**
 * Some clients look for these words before anything else. People's browsers ask for a page; programs that take anything get
 * it too, and find the words in it.
 */
function greet(call: HttpCall, answerPage: AnswerPage | null): void {
  const accepted = call.request.header('accept');
  if (answerPage !== null && /text\/html|\*\/\*/.test(accepted)) answerPage(call);
  else if (accepted.includes('text/html')) call.refuse(fault('not_found', 'there is nothing at /'));
  else call.replyText(200, 'Ollama is running', { 'content-type': 'text/plain; charset=utf-8' });
}

function absentFault(body: z.output<typeof namedSchema>, { model }: DescribedService): Fault | null {
  const name = nameOf(body);
  return name === ''
    ? fault('invalid_request', 'model: is needed', { param: 'model' })
    : modelFault(name, model);
}

function nameOf({ model, name }: z.output<typeof namedSchema>): string {
  return model || name || '';
}
