// Several models in one process, which is not this one: two that write and one that embeds, asked by many at a time while memory
// holds only some of them, so that they come and go. Whatever each says is what it says alone.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../kernels/random.ts';
import { NativeClient } from '../../server/client/client.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import { type ChildServer, startChild } from '../faults/child-server.ts';
import { builtGraphs } from '../run-folders.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = join(import.meta.dirname, '../..');
const directory = join(temporaryDirectory(), 'models');
const configFile = join(temporaryDirectory(), 'config.json');
let server: ChildServer;

beforeAll(async () => {
  mkdirSync(join(directory, 'torn'), { recursive: true });
  mkdirSync(join(directory, 'acme/strange'), { recursive: true });
  cpSync(join(root, 'test/golden/models/encoders/bert-mean'), join(directory, 'bert-mean'), {
    recursive: true,
  });
  cpSync(join(root, 'models/spark-nano'), join(directory, 'torn'), { recursive: true });
  writeFileSync(join(directory, 'torn/model.safetensors'), 'not weights');
  writeFileSync(join(directory, 'acme/strange/config.json'), '{"architectures":["MambaForCausalLM"]}');
  writeFileSync(join(directory, 'notes.txt'), 'no model');
  const models = { chatty: { model: otherModel(), contextTokens: 512, aliases: ['gpt-*'] } };
  writeFileSync(configFile, JSON.stringify({ models, modelsDirectory: directory }));
  // Room for either of the two that write beside the one that embeds.
  server = await startChild({
    ...{ port: '0', model: 'spark-nano', config: configFile, 'cache-directory': builtGraphs() },
    ...{ 'kv-cache-size': '48MiB', 'models-memory-max': '96MiB', slots: '4', 'context-tokens': '512' },
    ...{ temperature: '0', 'log-level': 'info' },
  });
}, 240_000);

afterAll(() => server.end('SIGTERM'));

/** spark-nano with its last norm's channels the other way round: as quick to load, and what it says is nobody else's. */
function otherModel(): string {
  const path = join(temporaryDirectory(), 'other');
  cpSync(join(root, 'models/spark-nano'), path, { recursive: true });
  const file = join(path, 'model.safetensors');
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const head = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const [from, to] = head['model.norm.weight']!.data_offsets;
  new Uint16Array(bytes.buffer, bytes.byteOffset + start + from, (to - from) / 2).reverse(); // bfloat16
  writeFileSync(file, bytes);
  return path;
}

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function ask(path: string, body: object | null): Promise<Reply> {
  const response = await fetch(`${server.url}${path}`, {
    method: body === null ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body !== null && { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly context_length: number;
  readonly capabilities: readonly string[];
}

async function listed(): Promise<ReadonlyMap<string, Listed>> {
  const { data } = JSON.parse((await ask('/v1/models', null)).text) as { data: readonly Listed[] };
  return new Map(data.map((model) => [model.id, model]));
}

const prompts = {
  'spark-nano': { prompt: 'function add(a: number', max_tokens: 12 },
  chatty: { prompt: 'The capital of France is', max_tokens: 8 },
} as const;

async function complete(model: keyof typeof prompts, more: object = {}): Promise<string> {
  const { status, text } = await ask('/v1/completions', {
    model,
    ...prompts[model],
    temperature: 0,
    ...more,
  });
  expect(status, text).toBe(200);
  return (JSON.parse(text) as { choices: readonly { text: string }[] }).choices[0]!.text;
}

async function embed(): Promise<string> {
  const { status, text } = await ask('/v1/embeddings', { model: 'bert-mean', input: 'the cat sat' });
  expect(status, text).toBe(200);
  return text;
}

describe('lists', () => {
  test('all models are listed with state, context and what they can do; none but the own one is in memory', async () => {
    const models = await listed();
    expect([...models.keys()]).toEqual(['spark-nano', 'chatty', 'bert-mean']);
    expect(models.get('spark-nano')).toMatchObject({ state: 'loaded', context_length: 512 });
    expect(models.get('chatty')).toMatchObject({ state: 'unloaded', context_length: 512 });
    expect(models.get('chatty')!.capabilities).toContain('tools');
    expect(models.get('bert-mean')).toMatchObject({ context_length: 60, capabilities: ['embedding'] });
    const tags = JSON.parse((await ask('/api/tags', null)).text) as { models: readonly { name: string }[] };
    expect(tags.models.map(({ name }) => name)).toEqual([...models.keys()]);
    const running = JSON.parse((await ask('/api/ps', null)).text) as { models: readonly { name: string }[] };
    expect(running.models.map(({ name }) => name)).toEqual(['spark-nano']);
  });

  test('a model that cannot be served is refused with why, and harms no other', async () => {
    const refused = await ask('/v1/completions', { model: 'acme/strange', prompt: 'a' });
    expect([refused.status, refused.text]).toEqual([
      503,
      expect.stringContaining('MambaForCausalLM is not supported'),
    ]);
    const torn = await ask('/v1/chat/completions', {
      model: 'torn',
      messages: [{ role: 'user', content: 'a' }],
    });
    expect([torn.status, torn.text]).toEqual([503, expect.stringContaining('model.safetensors')]);
    expect(await complete('spark-nano')).not.toBe('');
  });

  test('a name that nobody has is refused with the names that there are', async () => {
    const { status, text } = await ask('/v1/completions', { model: 'other', prompt: 'a' });
    expect(status).toBe(404);
    for (const name of ['spark-nano', 'chatty', 'bert-mean']) expect(text).toContain(name);
  });

  test('a model that embeds does not write, and says so', async () => {
    const { status, text } = await ask('/v1/completions', { model: 'bert-mean', prompt: 'a' });
    expect([status, text]).toEqual([400, expect.stringContaining('writes no text')]);
  });
});

test('a caller who waits for a model sees that it is being loaded, in the stream or in a header', async () => {
  const streamed = await ask('/v1/completions', {
    model: 'gpt-4o',
    ...prompts.chatty,
    temperature: 0,
    stream: true,
  });
  expect(streamed.status).toBe(200);
  expect(streamed.text).toMatch(/^: (loading the model|chatty: loading)/m);
  expect(streamed.text).toContain('[DONE]');
  expect(streamed.text).toContain('"model":"gpt-4o"');
  expect((await listed()).get('chatty')).toMatchObject({ state: 'loaded' });
  // It had to make room.
  expect((await listed()).get('spark-nano')).toMatchObject({ state: 'unloaded' });
  const waited = await ask('/v1/completions', { model: 'spark-nano', ...prompts['spark-nano'] });
  expect(Number(waited.headers.get('x-sparklane-load-ms'))).toBeGreaterThan(0);
}, 240_000);

test('keep_alive says how long a model stays, as Ollama has it', async () => {
  await ask('/api/generate', { model: 'chatty', prompt: 'a', keep_alive: 0, options: { num_predict: 1 } });
  await until(async () => (await listed()).get('chatty')!.state === 'unloaded');
  await ask('/api/generate', { model: 'chatty', keep_alive: '10m' });
  expect((await listed()).get('chatty')).toMatchObject({ state: 'loaded' });
  const unloaded = await ask('/api/generate', { model: 'chatty', keep_alive: 0 });
  expect(JSON.parse(unloaded.text)).toMatchObject({ done_reason: 'unload' });
  expect((await listed()).get('chatty')).toMatchObject({ state: 'unloaded' });
  const refused = await ask('/v1/completions', { model: 'chatty', prompt: 'a', keep_alive: 'soon' });
  expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('keep_alive')]);
});

test('a native session of a model outlives its unloading', async () => {
  const connect = async (model: string) =>
    NativeClient.connect(
      webSocketTo(`${server.url}?model=${model}`, {
        apiKey: null,
        frameSizeMax: 2 ** 20,
        connectTimeoutMs: 180_000,
      }),
    );
  const client = await connect('chatty');
  expect(client.hello.model).toBe('chatty');
  const session = await client.open({});
  await session.append({ text: 'The capital of France is' });
  const sampling = { temperature: 0, maxTokens: 6 };
  const said = await (await session.generate(sampling)).text();
  await complete('spark-nano'); // takes its memory
  expect((await listed()).get('chatty')).toMatchObject({ state: 'unloaded' });
  await session.append({ text: ' The capital of Italy is' });
  const more = await (await session.generate(sampling)).text();
  const again = await client.open({});
  await again.append({ text: 'The capital of France is' });
  expect(await (await again.generate(sampling)).text()).toBe(said);
  await again.append({ text: ' The capital of Italy is' });
  expect(await (await again.generate(sampling)).text()).toBe(more);
  client.close();
  await expect(connect('other')).rejects.toThrow(/not here/);
});

test('a stored response goes on with another model', async () => {
  const first = await ask('/v1/responses', {
    model: 'chatty',
    input: 'Say hello.',
    max_output_tokens: 8,
    temperature: 0,
  });
  const { id } = JSON.parse(first.text) as { id: string };
  expect((await ask(`/v1/responses/${id}`, null)).status).toBe(200);
  const body = { model: 'spark-nano', previous_response_id: id, input: 'More.', max_output_tokens: 4 };
  expect((await ask('/v1/responses', body)).status).toBe(200);
});

test('under load, with unloads in between, nothing is lost and nothing altered', async () => {
  const alone = {
    'spark-nano': await complete('spark-nano'),
    chatty: await complete('chatty'),
    vector: await embed(),
  };
  const random = new Random(16);
  let answered = 0;
  const client = async () => {
    for (let turn = 0; turn < 6; turn++) {
      const kind = random.seed() % 3;
      const more = random.seed() % 4 === 0 ? { keep_alive: 0 } : {};
      if (kind === 2) expect(await embed()).toBe(alone.vector);
      else {
        const model = kind === 0 ? 'spark-nano' : 'chatty';
        expect(await complete(model, more)).toBe(alone[model]);
      }
      answered++;
    }
  };
  const before = unloads();
  await Promise.all(Array.from({ length: 6 }, client));
  expect(answered).toBe(36);
  expect(unloads() - before).toBeGreaterThan(2);
});

function unloads(): number {
  return server.lines.filter((line) => line.includes('a model is unloaded')).length;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(setImmediate);
}
