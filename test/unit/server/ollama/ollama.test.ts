// Ollama's API as its packages use it: lines of JSON, calls as objects, options, times in nanoseconds, errors in its form.
import { describe, expect, test } from 'vitest';
import { loadModel } from '../../../../models/model.ts';
import { messagesForTemplate } from '../../../../server/ollama/messages.ts';
import { wholeByteModel } from '../../../http-world.ts';
import type { MemoryCall } from '../../../memory-transport.ts';
import { hermesCall, type Json, responsesServer } from '../../../responses-world.ts';

type Options = Partial<Parameters<typeof responsesServer>[0]>;

const world = (say: string, options: Options = {}) => responsesServer({ say: () => say, ...options });

function linesOf(call: MemoryCall): Json[] {
  expect(call.headers['content-type']).toBe('application/x-ndjson');
  expect(call.text.endsWith('\n')).toBe(true);
  const lines = call.text.slice(0, -1).split('\n');
  return lines.map((line) => JSON.parse(line) as Json);
}

const messages = [{ role: 'user', content: 'Hi' }];
const chat = { model: 'bytes', messages };
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

describe('POST /api/chat', () => {
  test('streams lines of JSON unless told not to, the last one with times', async () => {
    const server = await world('Hello there.', { engine: { tokensPerStep: 1, stepMs: 10 } });
    const lines = linesOf(await server.request('POST', '/api/chat', chat));
    const texts = lines.map(({ message }) => (message as { content: string }).content);
    expect(texts.join('')).toBe('Hello there.');
    expect(lines.map(({ done }) => done)).toEqual([...lines.slice(1).map(() => false), true]);
    expect(lines[0]).toMatchObject({ model: 'bytes', created_at: '2026-11-20T12:00:00.000Z' });
    expect(lines.at(-1)).toMatchObject({
      ...{ done_reason: 'stop', message: { role: 'assistant', content: '' } },
      ...{ eval_count: 13, eval_duration: 120e6, load_duration: 0, total_duration: 130e6 },
      prompt_eval_count: server.server.submitted[0]!.tokens.length,
    });
    expect(server.prompts[0]).toBe('user: Hi\nassistant: ');
  });

  test('answers whole with stream false', async () => {
    const server = await world('Hello.');
    const call = await server.request('POST', '/api/chat', { ...chat, stream: false });
    expect(call.headers['content-type']).toBe('application/json');
    expect(call.json).toMatchObject({ message: { role: 'assistant', content: 'Hello.' }, done: true });
  });

  test('tells calls with their arguments as objects, once they are whole', async () => {
    const said = `Let me see. ${hermesCall('weather', { city: 'Oslo' })}\n${hermesCall('weather', { city: 'Rome' })}`;
    for (const stream of [true, false]) {
      const server = await world(said);
      const call = await server.request('POST', '/api/chat', { ...chat, tools: [weather], stream });
      const lines = stream ? linesOf(call) : [call.json as Json];
      const calls = lines.flatMap(({ message }) => (message as { tool_calls?: Json[] }).tool_calls ?? []);
      expect(calls.map((one) => one['function'])).toEqual([
        { index: 0, name: 'weather', arguments: { city: 'Oslo' } },
        { index: 1, name: 'weather', arguments: { city: 'Rome' } },
      ]);
      expect(call.text).not.toContain('tool_call>');
      expect(lines.at(-1)).toMatchObject({ done: true, done_reason: 'stop' });
    }
  });

  test('says length where a call was cut off, and shows nothing of it', async () => {
    const server = await world(hermesCall('weather', { city: 'Oslo' }));
    const body = { ...chat, tools: [weather], options: { num_predict: 30 } };
    const call = await server.request('POST', '/api/chat', body);
    expect(linesOf(call).at(-1)).toMatchObject({ done_reason: 'length' });
    expect(call.text).not.toContain('tool_call');
  });

  test('lays a tool’s result out beside its call, though neither has an id', async () => {
    const model = loadModel('spark-nano');
    const server = await world('It is sunny.', { app: { model } });
    const called = (name: string, city: string) => ({ function: { name, arguments: { city } } });
    const history = [
      ...messages,
      { role: 'assistant', content: '', tool_calls: [called('weather', 'Oslo'), called('time', 'Rome')] },
      { role: 'tool', tool_name: 'time', content: 'noon' },
      { role: 'tool', tool_name: 'weather', content: 'rain' },
    ];
    const [, call, ...results] = messagesForTemplate(history);
    const ids = (call!['tool_calls'] as { id: string }[]).map(({ id }) => id);
    expect(results.map((result) => result['tool_call_id'])).toEqual([ids[1], ids[0]]);
    await server.request('POST', '/api/chat', { model: 'spark-nano', messages: history, tools: [weather] });
    const prompt = model.tokenizer.decode(server.server.submitted[0]!.tokens, { keepSpecial: true });
    expect(prompt).toMatch(/"city":\s*"Oslo"[\s\S]*"city":\s*"Rome"[\s\S]*noon[\s\S]*rain/);
  });

  test('holds a format, json or a schema', async () => {
    const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };
    for (const format of ['json', schema]) {
      const server = await world('{"a": 1}');
      const call = await server.request('POST', '/api/chat', { ...chat, format });
      expect(linesOf(call).at(-1)).toMatchObject({ done: true });
      expect(server.server.submitted[0]!.constraint).not.toBeNull();
    }
    const server = await world('');
    const refused = await server.request('POST', '/api/chat', { ...chat, format: { $ref: '#/nowhere' } });
    expect([refused.status, refused.json]).toMatchObject([400, { error: expect.stringContaining('format') }]);
    const free = await server.request('POST', '/api/chat', { ...chat, format: '' });
    expect(free.status).toBe(200);
  });

  test('honours options, refuses those out of bounds by name, and ignores what it does not know', async () => {
    const server = await world('abcdefgh STOP more');
    const options = {
      ...{ temperature: 0.7, top_k: 5, top_p: 0.5, min_p: 0.1, seed: 3, repeat_penalty: 1.2 },
      ...{ presence_penalty: 0.5, frequency_penalty: 0.25, stop: ['STOP'], num_gpu: 99, mirostat: 2 },
    };
    const lines = linesOf(await server.request('POST', '/api/chat', { ...chat, options }));
    expect(server.server.submitted[0]!.sampling).toMatchObject({
      ...{ temperature: 0.7, topK: 5, topP: 0.5, minP: 0.1, seed: 3, repetitionPenalty: 1.2 },
      ...{ presencePenalty: 0.5, frequencyPenalty: 0.25 },
    });
    expect(lines.map(({ message }) => (message as { content: string }).content).join('')).toBe('abcdefgh ');
    for (const [name, value] of [
      ['temperature', -1],
      ['top_p', 2],
      ['repeat_penalty', 0],
      ['num_predict', -3],
      ['num_ctx', 0],
      ['seed', 0.5],
    ]) {
      const call = await server.request('POST', '/api/chat', { ...chat, options: { [name!]: value } });
      expect([name, call.status, call.json]).toEqual([
        name,
        400,
        { error: expect.stringContaining(`options.${name}`) },
      ]);
    }
  });

  test('num_predict and num_ctx bound the answer', async () => {
    const server = await world('a long answer');
    const ask = (options: object) => server.request('POST', '/api/chat', { ...chat, options, stream: false });
    const promptTokens = 'user: Hi\nassistant: '.length + 1;
    expect((await ask({ num_predict: 3 })).json).toMatchObject({ eval_count: 3, done_reason: 'length' });
    expect((await ask({ num_ctx: promptTokens + 5 })).json).toMatchObject({ eval_count: 5 });
    expect((await ask({ num_ctx: 1e6, num_predict: -1 })).json).toMatchObject({ done_reason: 'stop' });
    const refused = await ask({ num_ctx: promptTokens });
    expect([refused.status, refused.json]).toEqual([
      400,
      { error: expect.stringContaining(`${promptTokens} tokens`) },
    ]);
  });

  test('an image leaves a note', async () => {
    const template = loadModel('spark-nano');
    const server = await world('Nice.', { app: { model: template } });
    const images = ['aGVsbG8='];
    const body = { model: 'spark-nano', messages: [{ role: 'user', content: 'See', images }] };
    expect((await server.request('POST', '/api/chat', body)).status).toBe(200);
    const prompt = template.tokenizer.decode(server.server.submitted[0]!.tokens, { keepSpecial: true });
    expect(prompt).toContain('[an image that this model cannot see]');
  });

  test('without messages loads or unloads, which is to say nothing', async () => {
    const server = await world('');
    const load = await server.request('POST', '/api/chat', { model: 'bytes' });
    expect(load.json).toMatchObject({ done: true, done_reason: 'load' });
    const unload = await server.request('POST', '/api/chat', {
      ...{ model: 'bytes', messages: [], keep_alive: 0 },
    });
    expect(unload.json).toMatchObject({ done_reason: 'unload' });
    expect(server.server.submitted).toEqual([]);
    for (const keep_alive of ['5m', '1h30m', -1, '-1', '0']) {
      const call = await server.request('POST', '/api/chat', { ...chat, keep_alive });
      expect([keep_alive, call.status]).toEqual([keep_alive, 200]);
    }
    const odd = await server.request('POST', '/api/chat', { ...chat, keep_alive: 'soon' });
    expect([odd.status, odd.json]).toEqual([400, { error: expect.stringContaining('keep_alive') }]);
  });

  test('log-probabilities come with their tokens', async () => {
    const server = await world('ab');
    const body = { ...chat, logprobs: true, top_logprobs: 2, stream: false };
    const { logprobs } = (await server.request('POST', '/api/chat', body)).json as { logprobs: Json[] };
    expect(logprobs.map(({ token, logprob }) => [token, logprob])).toEqual([
      ['a', -0.5],
      ['b', -0.5],
    ]);
    expect(logprobs[0]!['top_logprobs']).toHaveLength(2);
  });
});

describe('think', () => {
  const reasoning = { open: '<think>', close: '</think>' };
  const reads = (name: string) => name === 'enable_thinking';
  const model = { ...wholeByteModel, chatTemplate: { ...wholeByteModel.chatTemplate!, reasoning, reads } };

  test('what a model reasons stands apart', async () => {
    for (const stream of [true, false]) {
      const server = await world('<think>Hm.</think>Yes.', { app: { model } });
      const call = await server.request('POST', '/api/chat', { ...chat, think: true, stream });
      const said = (stream ? linesOf(call) : [call.json as Json]).map(
        ({ message }) => message as { content: string; thinking?: string },
      );
      expect(said.map(({ thinking = '' }) => thinking).join('')).toBe('Hm.');
      expect(said.map(({ content }) => content).join('')).toBe('Yes.');
    }
  });

  test('a model that cannot refuses to, and one that can may be told not to', async () => {
    const plain = await world('');
    for (const think of [true, 'high']) {
      const call = await plain.request('POST', '/api/chat', { ...chat, think });
      expect([call.status, call.json]).toEqual([400, { error: expect.stringContaining('think') }]);
    }
    expect((await plain.request('POST', '/api/chat', { ...chat, think: false })).status).toBe(200);
    const able = await world('', { app: { model } });
    for (const think of [true, false, 'low', null]) {
      expect((await able.request('POST', '/api/chat', { ...chat, think })).status).toBe(200);
    }
  });
});

describe('POST /api/generate', () => {
  const ask = { model: 'bytes', prompt: 'Hi', stream: false };

  test('asks through the template, raw as it is, and fills in before a suffix', async () => {
    const server = await world('Hello.');
    const body = { ...ask, system: 'Be kind.' };
    const call = await server.request('POST', '/api/generate', body);
    expect(call.json).toMatchObject({ model: 'bytes', response: 'Hello.', done: true, done_reason: 'stop' });
    await server.request('POST', '/api/generate', { ...ask, raw: true });
    await server.request('POST', '/api/generate', { ...ask, suffix: ' end' });
    expect(server.prompts).toEqual(['system: Be kind.\nuser: Hi\nassistant: ', 'Hi', 'Hi end']);
    expect([...server.server.submitted[2]!.tokens]).toEqual([257, 72, 105, 258, 32, 101, 110, 100, 259]);
  });

  test('goes on from the context of an earlier answer', async () => {
    const server = await world('Hello.');
    const first = (await server.request('POST', '/api/generate', ask)).json as { context: number[] };
    expect(first.context).toEqual([
      ...server.server.submitted[0]!.tokens,
      ...Buffer.from('Hello.'),
      wholeByteModel.spec.eosTokenIds[0],
    ]);
    await server.request('POST', '/api/generate', { ...ask, prompt: 'And?', context: first.context });
    expect(server.prompts[1]).toBe('user: Hi\nassistant: Hello.user: And?\nassistant: ');
    const stray = await server.request('POST', '/api/generate', { ...ask, context: [1e6] });
    expect([stray.status, stray.json]).toEqual([400, { error: expect.stringContaining('context') }]);
  });

  test('streams', async () => {
    const server = await world('Hello.');
    const lines = linesOf(await server.request('POST', '/api/generate', { ...ask, stream: true }));
    expect(lines.map(({ response }) => response).join('')).toBe('Hello.');
    expect(lines.at(-1)).toMatchObject({ done: true, eval_count: 7 });
  });

  test('an empty prompt loads; a template of the caller’s own is refused', async () => {
    const server = await world('');
    const load = await server.request('POST', '/api/generate', { model: 'bytes' });
    expect(load.json).toMatchObject({ response: '', done: true, done_reason: 'load' });
    const refused = await server.request('POST', '/api/generate', { ...ask, template: '{{ .Prompt }}' });
    expect([refused.status, refused.json]).toEqual([400, { error: expect.stringContaining('template') }]);
  });

  test('a model that fills in nothing says so', async () => {
    const server = await world('', { app: { model: { ...wholeByteModel, fim: null } } });
    const call = await server.request('POST', '/api/generate', { ...ask, suffix: 'x' });
    expect([call.status, call.json]).toEqual([400, { error: expect.stringContaining('middle') }]);
  });
});

describe('what is here', () => {
  test('the model is listed, shown and running', async () => {
    const model = loadModel('spark-nano');
    const server = await world('', {
      ...{ app: { model }, engine: { contextTokensMax: 2000 }, flags: { aliases: ['fast'] } },
    });
    const { models } = (await server.request('GET', '/api/tags')).json as { models: Json[] };
    expect(models.map(({ name }) => name)).toEqual(['spark-nano', 'fast']);
    expect(models[0]).toMatchObject({
      ...{ model: 'spark-nano', size: model.fileSize, digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
      details: { format: 'safetensors', family: model.spec.architecture, parameter_size: '6.53M' },
    });
    for (const name of ['spark-nano', 'spark-nano:latest', 'fast']) {
      const shown = (await server.request('POST', '/api/show', { model: name })).json as Json;
      expect(shown['capabilities']).toEqual(['completion', 'tools', 'insert']);
      const info = shown['model_info'] as Json;
      expect(info[`${String(info['general.architecture'])}.context_length`]).toBe(2000);
    }
    expect((await server.request('GET', '/api/ps')).json).toMatchObject({
      models: [{ name: 'spark-nano', context_length: 2000 }],
    });
    expect((await server.request('GET', '/v1/api/version')).json).toEqual({
      version: expect.stringMatching(/^0\.(1[4-9]|[2-9]\d)\./),
    });
  });

  test('a directory that holds a GGUF file is one', async () => {
    const model = loadModel('smollm2-135m-instruct');
    const server = await world('', { app: { model }, flags: { precision: 'int8' } });
    expect((await server.request('GET', '/api/tags')).json).toMatchObject({
      models: [
        {
          details: {
            ...{ format: 'gguf', family: 'llama', parameter_size: '134.52M', quantization_level: 'int8' },
          },
        },
      ],
    });
    expect(model.fileSize).toBeGreaterThan(50e6);
  });

  test('a model that is not here is 404 in Ollama’s form', async () => {
    const server = await world('');
    const asks = [
      ['/api/show', { model: 'other' }],
      ['/api/chat', { ...chat, model: 'other' }],
      ['/api/generate', { model: 'other', prompt: 'a' }],
      ['/api/pull', { model: 'other', stream: false }],
    ] as const;
    for (const [path, body] of asks) {
      const call = await server.request('POST', path, body);
      expect([path, call.status, call.json]).toEqual([
        path,
        404,
        { error: expect.stringMatching(/^model not found: the model "other" is not here/) },
      ]);
    }
    const nameless = await server.request('POST', '/api/show', {});
    expect([nameless.status, nameless.json]).toEqual([400, { error: 'model: is needed' }]);
  });

  test('a pull of what is here succeeds, another one says how it is done', async () => {
    const server = await world('');
    const here = await server.request('POST', '/api/pull', { name: 'bytes' });
    expect(linesOf(here)).toEqual([{ status: 'pulling manifest' }, { status: 'success' }]);
    const other = await server.request('POST', '/api/pull', { model: 'acme/m' });
    expect(linesOf(other)).toEqual([{ error: expect.stringContaining('sparklane pull acme/m') }]);
  });

  test('what there is not is refused by name', async () => {
    const server = await world('');
    for (const path of ['embed', 'embeddings', 'create', 'copy', 'push', 'blobs/sha256:00', 'delete']) {
      const method = path === 'delete' ? 'DELETE' : 'POST';
      const call = await server.request(method, `/api/${path}`, { model: 'bytes', input: 'a' });
      expect([path, call.status, call.json]).toEqual([path, 400, { error: expect.any(String) }]);
    }
  });

  test('GET / greets programs, not browsers', async () => {
    const server = await world('');
    const greeting = await server.request('GET', '/');
    expect([greeting.status, greeting.text]).toEqual([200, 'Ollama is running']);
    expect((await server.request('HEAD', '/')).status).toBe(200);
    const page = server.transport.call({ path: '/', headers: { accept: 'text/html,*/*' } });
    await server.settle();
    expect(page.status).toBe(404);
  });
});

describe('at the edge', () => {
  test('a body of any type is read, unless a web page may have sent it', async () => {
    const server = await world('Hello.');
    const send = async (headers: Record<string, string>) => {
      const body = JSON.stringify({ ...chat, stream: false });
      const call = server.transport.call({ method: 'POST', path: '/api/chat', headers, body });
      await server.settle();
      return call.status;
    };
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    expect(await send(form)).toBe(200);
    expect(await send({ 'content-type': '' })).toBe(200);
    expect(await send({ ...form, 'sec-fetch-site': 'cross-site' })).toBe(415);
    expect(await send({ ...form, origin: 'http://page.example' })).toBe(403);
  });

  test('a failure within a stream is a line with its error', async () => {
    const failure = { code: 'step-failed', message: 'the device broke' } as const;
    const server = await responsesServer({
      say: () => '',
      engine: { script: () => ({ tokens: [97, 98], failure }) },
    });
    const lines = linesOf(await server.request('POST', '/api/chat', chat));
    expect(lines.at(-1)).toEqual({ error: 'the device broke' });
  });

  test('white space keeps a silent stream open, and is no line', async () => {
    const server = await world('ok', { engine: { stepMs: 25_000 } });
    const call = await server.request('POST', '/api/chat', chat);
    expect(call.text.startsWith('  {')).toBe(true);
    expect(linesOf(call).at(-1)).toMatchObject({ done: true });
  });
});
