// GET /openapi.json by the specification's own schema, and against the documents: each example's body is what it says, and
// what the server refuses of a field's type or bound, it refuses too.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { taskRoutes } from '../../../../server/outcomes/routes.ts';
import { httpServer } from '../../../http-world.ts';
import { MemoryTransport } from '../../../memory-transport.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: object } } };
  readonly responses: { readonly 200: { readonly content: Readonly<Record<string, object>> } };
  readonly security?: readonly object[];
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly info: { readonly version: string };
}

async function served(flags: Record<string, unknown> = {}) {
  const clock = new VirtualClock();
  const server = httpServer({ clock, flags, app: { routes: taskRoutes(null) } });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const ask = (method: string, path: string, body?: object) => {
    const call = transport.call({ method, path, ...(body !== undefined && { body }), headers: KEY });
    clock.run();
    return call;
  };
  return { ask, document: ask('GET', '/openapi.json').json as Document };
}

const KEY = { authorization: 'Bearer secret-key' };

let world: Awaited<ReturnType<typeof served>>;

beforeAll(async () => {
  world = await served();
});

test('it is a valid OpenAPI 3.1 document', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(world.document) as never);
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
  expect(validator.version).toBe('3.1');
});

test('every operation has an id of its own, and its schemas compile', () => {
  const operations = Object.values(world.document.paths).flatMap((methods) => Object.values(methods));
  expect(operations.length).toBeGreaterThan(35);
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  for (const { requestBody } of operations) if (requestBody) validatorOf(requestBody);
});

test('the bounds are this server’s', async () => {
  const { document } = await served({ choiceCountMax: '3' });
  const schema = document.paths['/v1/completions']!['post']!.requestBody!.content['application/json'].schema;
  expect(JSON.stringify((schema as { properties: Record<string, object> }).properties['n'])).toContain(
    '"maximum":3',
  );
});

test('a server with keys says which routes want one', async () => {
  const { document } = await served({ apiKeys: ['secret-key'] });
  expect(document.paths['/v1/models']!['get']!.security).toEqual([{ bearer: [] }, { header: [] }]);
  expect(document.paths['/healthz']!['get']!.security).toBeUndefined();
  expect(world.document.paths['/v1/models']!['get']!.security).toBeUndefined();
});

test('streams are told where an answer may be one', () => {
  const types = (path: string) => Object.keys(world.document.paths[path]!['post']!.responses[200].content);
  expect(types('/v1/chat/completions')).toEqual(['application/json', 'text/event-stream']);
  expect(types('/api/chat')).toEqual(['application/json', 'application/x-ndjson']);
  expect(types('/tokenize')).toEqual(['application/json']);
});

test('ids in paths are parameters', () => {
  expect(world.document.paths['/v1/responses/{id}/cancel']!['post']!.parameters).toEqual([
    { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
  ]);
});

describe('the examples of the documents', () => {
  const examples = readdirSync(join(root(), 'docs/protocol')).flatMap((name) =>
    Array.from(
      readFileSync(join(root(), 'docs/protocol', name), 'utf8').matchAll(
        /curl [^\n]*?127\.0\.0\.1:8080(\/[\w/-]+)(?:[^\n]*\\\n)?[^\n]*? -d '([\s\S]*?)'/g,
      ),
      ([, path, body]) => ({ path: path!, body: JSON.parse(body!) as object }),
    ),
  );

  test('there are some', () => expect(examples.length).toBeGreaterThan(10));

  test.each(examples)('POST $path', ({ path, body }) => {
    const operation = world.document.paths[path.replace('T-1', '{id}')]?.['post'];
    if (path === '/admin/backend') return; // a route of the program, not of this small server
    const validate = validatorOf(operation!.requestBody!);
    expect(validate(body), JSON.stringify(validate.errors)).toBe(true);
  });
});

// What the server answers 400 to is no instance of the schema, what it takes is one.
const chat = { messages: [{ role: 'user', content: 'hi' }] };

test.each<[string, object, boolean]>([
  ['/v1/chat/completions', chat, true],
  ['/v1/chat/completions', { ...chat, temperature: null, unknown: 1 }, true],
  ['/v1/chat/completions', { ...chat, temperature: 'hot' }, false],
  ['/v1/chat/completions', { ...chat, n: 0 }, false],
  ['/v1/chat/completions', { messages: [] }, false],
  ['/v1/chat/completions', { ...chat, top_logprobs: 1e6 }, false],
  ['/v1/completions', { prompt: ['a', 'b'] }, true],
  ['/v1/completions', { prompt: [1, 2] }, true],
  ['/v1/completions', { prompt: { text: 'a' } }, false],
  ['/v1/responses', { input: 'hi' }, true],
  ['/v1/responses', { input: 'hi', temperature: [] }, false],
  ['/v1/completions', { prompt: [1, -2] }, false],
  ['/v1/completions', { prompt: [] }, false],
  ['/v1/chat/completions', { ...chat, functions: [] }, false],
  ['/tokenize', { prompt: 'a' }, true],
  ['/tokenize', { prompt: 7 }, false],
  ['/v1/messages', { model: 'bytes', max_tokens: 4, messages: chat.messages }, true],
  ['/v1/messages', { model: 'bytes', max_tokens: 0.5, messages: chat.messages }, false],
])('server and document agree on POST %s %j: %s', (path, body, fits) => {
  const validate = validatorOf(world.document.paths[path]!['post']!.requestBody!);
  expect(validate(body), JSON.stringify(validate.errors)).toBe(fits);
  expect(world.ask('POST', path, body).status).toBe(fits ? 200 : 400);
});

function validatorOf({ content }: NonNullable<Operation['requestBody']>) {
  return new Ajv2020({ strict: false, validateFormats: false }).compile(content['application/json'].schema);
}

function root(): string {
  return join(import.meta.dirname, '../../../..');
}
