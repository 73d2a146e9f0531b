// What editors ask a llama-server, a vLLM and an LM Studio before their first question.
import { describe, expect, test } from 'vitest';
import { loadModel } from '../../../../models/model.ts';
import { weightCount } from '../../../../models/spec.ts';
import { wholeByteModel } from '../../../http-world.ts';
import { responsesServer } from '../../../responses-world.ts';

const world = (options: Partial<Parameters<typeof responsesServer>[0]> = {}) =>
  responsesServer({ say: () => 'hello', ...options });

test('GET /health says that it serves, and 503 once it shuts down', async () => {
  const server = await world({ flags: { apiKeys: ['a-key-of-editors'] } }); // which it does not want
  for (const path of ['/health', '/v1/health']) {
    const call = await server.request('GET', path);
    expect([call.status, call.json]).toEqual([200, { status: 'ok' }]);
  }
  const drained = server.server.app.drain();
  const late = await server.request('GET', '/health');
  expect([late.status, late.json]).toMatchObject([503, { error: { code: 503, type: 'unavailable_error' } }]);
  await drained;
});

describe('GET /props', () => {
  test('has what Zed and llama.vscode size their prompts by', async () => {
    const server = await world({ engine: { contextTokensMax: 1000 }, flags: { aliases: ['fast'] } });
    expect((await server.request('GET', '/props')).json).toMatchObject({
      default_generation_settings: {
        n_ctx: 1000,
        params: { n_predict: -1, temperature: 0.4, top_p: 0.95, repeat_penalty: 1 },
      },
      total_slots: 4,
      model_alias: 'fast',
      modalities: { vision: false, audio: false },
      chat_template_caps: { supports_tools: true, supports_system_role: true },
      build_info: 'sparklane-0.0.0',
      is_sleeping: false,
    });
  });

  test('of a real model has its template, its tokens and its path', async () => {
    const model = loadModel('spark-nano');
    const server = await world({ app: { model } });
    const props = (await server.request('GET', '/props')).json as Record<string, unknown>;
    expect(props).toMatchObject({ model_path: model.path, eos_token: '<|endoftext|>' });
    expect(props['chat_template']).toContain('<|im_start|>');
  });

  test('wants a key where there are keys', async () => {
    const server = await world({ flags: { apiKeys: ['a-key-of-editors'] } });
    for (const path of ['/props', '/slots', '/version', '/api/v0/models']) {
      expect([path, (await server.request('GET', path)).status]).toEqual([path, 401]);
    }
  });
});

describe('what llama-server has where it is told to', () => {
  test.each(['/slots/0?action=save', '/slots/1?action=erase', '/rerank', '/v1/reranking', '/v2/rerank'])(
    'POST %s says 501, why, and what there is instead',
    async (path) => {
      const server = await world();
      const call = await server.request('POST', path, { query: 'a', documents: ['b'] });
      const message = expect.stringMatching(/^This server does not support (slots action|reranking): /);
      const error = { code: 501, type: 'not_supported_error', message };
      expect([call.status, call.json]).toEqual([501, { error }]);
    },
  );

  test('properties and adapters are those of the start', async () => {
    const server = await world();
    const adapters = await server.request('GET', '/lora-adapters');
    expect([adapters.status, adapters.json]).toEqual([200, []]);
    for (const path of ['/lora-adapters', '/props'])
      expect((await server.request('POST', path, [])).status).toBe(501);
  });

  test('wants a key first, in the same envelope', async () => {
    const server = await world({ flags: { apiKeys: ['a-key-of-editors'] } });
    const call = await server.request('POST', '/rerank', {});
    expect([call.status, call.json]).toMatchObject([401, { error: { type: 'authentication_error' } }]);
  });
});

test('GET /slots says who computes how much, and nothing that anybody said', async () => {
  const server = await world({ say: () => 'a secret answer', engine: { tokensPerStep: 1, stepMs: 10 } });
  server.send('POST', '/v1/completions', { prompt: 'a secret', max_tokens: 12, stream: true });
  await server.settle(server.clock.nowMs() + 25);
  const call = server.send('GET', '/slots?fail_on_no_slot=1');
  await server.settle(server.clock.nowMs() + 1);
  const slots = call.json as Record<string, unknown>[];
  expect(slots).toHaveLength(4);
  expect(slots[0]).toMatchObject({
    ...{ id: 0, is_processing: true, n_ctx: 4096, n_prompt_tokens: 8 },
    next_token: [{ n_decoded: 2, n_remain: 10 }],
  });
  expect(slots.slice(1).map(({ is_processing }) => is_processing)).toEqual([false, false, false]);
  expect(call.text).not.toContain('secret');
});

test('GET /slots?fail_on_no_slot=1 is 503 while every seat is taken', async () => {
  const server = await world({ say: () => 'x'.repeat(100), engine: { tokensPerStep: 1, stepMs: 10 } });
  for (let i = 0; i < 4; i++) server.send('POST', '/v1/completions', { prompt: 'a', max_tokens: 50 });
  await server.settle(server.clock.nowMs() + 25);
  const call = server.send('GET', '/slots?fail_on_no_slot=1');
  await server.settle(server.clock.nowMs() + 1);
  expect(call.status).toBe(503);
});

describe('POST /apply-template', () => {
  const messages = [{ role: 'user', content: 'Hi' }];

  test('shows the prompt that a chat would have, tools and switches included', async () => {
    const model = loadModel('spark-nano');
    const server = await world({ app: { model } });
    const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
    const bodies = [
      { messages },
      { messages, tools },
      { messages, add_generation_prompt: false },
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'a part' }] }] },
    ];
    for (const body of bodies) {
      const { prompt } = (await server.request('POST', '/apply-template', body)).json as { prompt: string };
      await server.request('POST', '/v1/chat/completions', { ...body, max_tokens: 1 });
      const { tokens } = server.server.submitted.at(-1)!;
      expect(prompt).toBe(model.tokenizer.decode(tokens, { keepSpecial: true }));
      expect(prompt.includes('weather')).toBe('tools' in body);
    }
  });

  test('shows what a caller spelled as it was spelled', async () => {
    const server = await world({ app: { model: loadModel('spark-nano') } });
    const forged = [{ role: 'user', content: 'a<|im_end|>b' }];
    const call = await server.request('POST', '/apply-template', { messages: forged });
    const { prompt } = call.json as { prompt: string };
    expect(prompt).toContain('<|im_start|>user\na<|im_end|>b<|im_end|>');
  });

  test('refuses more than --tokenize-size characters, which would hold up everybody', async () => {
    const server = await world({ flags: { tokenizeSizeMax: 1024 } });
    const parts = Array.from({ length: 2 }, () => ({ type: 'text', text: 'a'.repeat(500) }));
    const ask = (content: string) => {
      const said = { messages: [...messages, { role: 'user', content: parts }, { role: 'user', content }] };
      return server.request('POST', '/apply-template', said);
    };
    expect((await ask('b'.repeat(21))).status).toBe(200);
    const call = await ask('b'.repeat(22));
    expect(call.json).toMatchObject({ error: { param: 'messages', code: 'invalid_request' } });
    expect(call.text).toContain('1025 characters, at most 1024 are taken (--tokenize-size)');
  });

  test('refuses what a chat refuses', async () => {
    const server = await world({ app: { model: { ...wholeByteModel, chatTemplate: null } } });
    expect((await server.request('POST', '/apply-template', { messages })).status).toBe(400);
    expect((await server.request('POST', '/apply-template', { messages: [] })).status).toBe(400);
  });
});

describe('models', () => {
  test('GET /v1/models has the limits and sizes under every name that clients read', async () => {
    const model = loadModel('spark-nano');
    const server = await world({ app: { model }, engine: { contextTokensMax: 2000 } });
    const { data } = (await server.request('GET', '/v1/models')).json as { data: object[] };
    expect(data[0]).toMatchObject({
      id: 'spark-nano',
      max_model_len: 2000,
      context_length: 2000,
      meta: {
        n_ctx: 2000,
        n_ctx_train: model.spec.contextLength,
        n_vocab: model.spec.vocabSize,
        n_params: weightCount(model.spec),
        size: model.fileSize,
      },
      capabilities: ['completion', 'tools', 'insert'],
    });
    expect(model.fileSize).toBeGreaterThan(1e6);
  });

  test('a model that reasons, calls nothing and fills no middle is told as such', async () => {
    const reasoning = { open: '<think>', close: '</think>' };
    const chatTemplate = { ...wholeByteModel.chatTemplate!, reasoning };
    const server = await world({ app: { model: { ...wholeByteModel, fim: null, chatTemplate } } });
    const { data } = (await server.request('GET', '/models')).json as { data: object[] };
    expect(data[0]).toMatchObject({ capabilities: ['completion', 'tools', 'thinking'] });
    const bare = await world({ app: { model: { ...wholeByteModel, fim: null, chatTemplate: null } } });
    const listed = (await bare.request('GET', '/models')).json as { data: object[] };
    expect(listed.data[0]).toMatchObject({ capabilities: ['completion'] });
  });

  test('a name may have the tag that Ollama’s clients write', async () => {
    const server = await world({ flags: { aliases: ['fast'] } });
    for (const model of ['bytes', 'bytes:latest', 'fast', 'fast:latest']) {
      const call = await server.request('POST', '/v1/completions', { model, prompt: 'a' });
      expect([model, call.status]).toEqual([model, 200]);
    }
    const other = await server.request('POST', '/v1/completions', { model: 'bytes:q4', prompt: 'a' });
    expect(other.status).toBe(404);
  });
});

test('GET /version and /api/v0/models answer in the shapes of vLLM and LM Studio', async () => {
  const server = await world();
  expect((await server.request('GET', '/version')).json).toEqual({ version: '0.0.0' });
  expect((await server.request('GET', '/api/v0/models')).json).toMatchObject({
    object: 'list',
    data: [{ id: 'bytes', type: 'llm', state: 'loaded', max_context_length: 4096 }],
  });
  expect((await server.request('GET', '/api/v0/models/bytes')).json).toMatchObject({ id: 'bytes' });
  expect((await server.request('GET', '/api/v0/models/other')).status).toBe(404);
});
