// What of a request reaches an upstream, in its own words: nothing is left behind without a word.
import { describe, expect, test } from 'vitest';
import { lanesServer, TWO_LANES } from '../../../lanes-world.ts';
import type { Json } from '../../../responses-world.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };

async function asked(dialect: string, fields: Json, path = '/v1/chat/completions') {
  const { reliability } = TWO_LANES;
  const lanes = {
    ...TWO_LANES,
    reliability: { ...reliability, upstream: { ...reliability.upstream, dialect } },
  };
  const texts: string[] = [];
  const server = await lanesServer({ lanes });
  const post = server.wire.post.bind(server.wire);
  server.wire.post = (body, events) => {
    texts.push(body);
    return post(body, events);
  };
  const call = await server.request('POST', path, { model: 'reliability', messages, ...fields });
  const text = texts[0] ?? null;
  return { call, text, body: text === null ? null : (JSON.parse(text) as Json) };
}

describe('goes along', () => {
  test.each<[string, Json, Json]>([
    [
      'openai',
      { temperature: 0.5, logit_bias: { 5: 1 }, user: 'ada' },
      { temperature: 0.5, logit_bias: { 5: 1 }, user: 'ada' },
    ],
    ['vllm', { min_p: 0.1, top_k: 5 }, { min_p: 0.1, top_k: 5 }],
    [
      'vllm',
      { stop_token_ids: [7], bad_words: ['no'], ignore_eos: true },
      { stop_token_ids: [7], bad_words: ['no'], ignore_eos: true },
    ],
    ['vllm', { enable_thinking: false }, { chat_template_kwargs: { enable_thinking: false } }],
    ['vllm', { guided_regex: '[ab]' }, { structured_outputs: { regex: '[ab]' } }],
    ['vllm', { guided_choice: ['a', 'b'] }, { structured_outputs: { choice: ['a', 'b'] } }],
    ['vllm', { grammar: 'root ::= "a"' }, { structured_outputs: { grammar: 'root ::= "a"' } }],
    ['vllm', { structured_outputs: { json: schema } }, { structured_outputs: { json: schema } }],
    ['llama-server', { min_p: 0.1, repetition_penalty: 1.1 }, { min_p: 0.1, repeat_penalty: 1.1 }],
    ['llama-server', { grammar: 'root ::= "a"' }, { grammar: 'root ::= "a"' }],
    ['llama-server', { guided_choice: ['a"', 'b'] }, { grammar: 'root ::= "a\\"" | "b"' }],
    ['llama-server', { guided_json: schema }, { json_schema: schema }],
    [
      'openai',
      { json_schema: schema },
      { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } } },
    ],
    [
      'openai',
      { response_format: { type: 'json_object', schema } },
      { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } } },
    ],
    ['openai', { structured_outputs: { json_object: true } }, { response_format: { type: 'json_object' } }],
    ['openai', { response_format: { type: 'json_object' } }, { response_format: { type: 'json_object' } }],
  ])('%s: %j', async (dialect, fields, theirs) => {
    const { call, body } = await asked(dialect, fields);
    expect(call.status).toBe(200);
    expect(body).toMatchObject(theirs);
    for (const name of Object.keys(fields)) if (!(name in theirs)) expect(body).not.toHaveProperty(name);
  });

  test('a seed to its last digit', async () => {
    const server = await lanesServer();
    const texts: string[] = [];
    const post = server.wire.post.bind(server.wire);
    server.wire.post = (body, events) => {
      texts.push(body);
      return post(body, events);
    };
    const json = JSON.stringify({ model: 'reliability', messages, seed: 0 }).replace(
      '"seed":0',
      '"seed":9007199254740993',
    );
    const headers = { 'content-type': 'application/json' };
    server.transport.call({ method: 'POST', path: '/v1/chat/completions', headers, body: json });
    await server.settle();
    expect(texts[0]).toMatch(/"seed":9007199254740993\}$/);
  });

  test('what asks for nothing stays behind', async () => {
    const { call, body } = await asked('openai', {
      top_k: -1,
      min_p: 0,
      bad_words: [],
      skip_special_tokens: true,
    });
    expect(call.status).toBe(200);
    for (const name of ['top_k', 'min_p', 'bad_words', 'skip_special_tokens'])
      expect(body).not.toHaveProperty(name);
  });
});

describe('is refused by name', () => {
  test.each<[string, Json, string]>([
    ['openai', { min_p: 0.1 }, 'min_p'],
    ['openai', { grammar: 'root ::= "a"' }, 'grammar'],
    ['openai', { guided_choice: ['a'] }, 'guided_choice'],
    ['openai', { enable_thinking: true }, 'enable_thinking'],
    ['openai', { response_format: { type: 'grammar', syntax: 'regex', definition: 'a' } }, 'response_format'],
    ['llama-server', { guided_regex: 'a' }, 'guided_regex'],
    ['llama-server', { bad_words: ['a'] }, 'bad_words'],
    ['vllm', { prompt_logprobs: 1 }, 'prompt_logprobs'],
    ['vllm', { separate_reasoning: false }, 'separate_reasoning'],
    [
      'vllm',
      { stream: true, stream_options: { continuous_usage_stats: true } },
      'stream_options.continuous_usage_stats',
    ],
    ['vllm', { guided_json: '{' }, 'guided_json'],
  ])('%s: %j', async (dialect, fields, param) => {
    const { call, body } = await asked(dialect, fields);
    expect(body).toBeNull();
    expect([call.status, call.json]).toMatchObject([400, { error: { param } }]);
  });

  test('of a response, too', async () => {
    const text = { format: { type: 'grammar', syntax: 'regex', definition: 'a+' } };
    const refused = await asked('openai', { input: 'Hi', text }, '/v1/responses');
    expect([refused.call.status, refused.call.json]).toMatchObject([
      400,
      { error: { param: 'text.format' } },
    ]);
    const held = await asked('vllm', { input: 'Hi', text }, '/v1/responses');
    expect(held.body).toMatchObject({ structured_outputs: { regex: 'a+' } });
  });

  test.each(['/v1/completions', '/api/generate', '/completion'])(
    'a lane on %s, which takes no conversations',
    async (path) => {
      const { call } = await asked('openai', { prompt: 'Hi' }, path);
      expect(call.status).toBe(400);
      expect(call.text).toContain('/v1/chat/completions');
    },
  );
});

describe('Ollama', () => {
  test('chats in lanes, in its own shape, with its options in the upstream’s words', async () => {
    const { call, body } = await asked(
      'llama-server',
      { stream: false, options: { top_k: 3, num_predict: 9 }, format: schema },
      '/api/chat',
    );
    expect(call.json).toMatchObject({
      message: { role: 'assistant', content: 'strong heard 1' },
      done: true,
    });
    expect(body).toMatchObject({ model: 'strong', top_k: 3, max_tokens: 9, json_schema: schema });
  });

  test('its calls and their results get names', async () => {
    const calls = [{ function: { name: 'look', arguments: { a: 1 } } }];
    const told = [
      ...messages,
      { role: 'assistant', content: '', tool_calls: calls },
      { role: 'tool', content: 'seen' },
    ];
    const { body } = await asked('openai', { stream: false, messages: told }, '/api/chat');
    expect(body!['messages']).toMatchObject([
      {},
      {
        tool_calls: [{ id: 'call00000', type: 'function', function: { name: 'look', arguments: '{"a":1}' } }],
      },
      { role: 'tool', tool_call_id: 'call00000' },
    ]);
  });

  test('the server’s own model answers as before', async () => {
    const server = await lanesServer({ say: () => 'own' });
    const call = await server.request('POST', '/api/chat', { model: 'bytes', messages, stream: false });
    expect(call.json).toMatchObject({ model: 'bytes', message: { content: 'own' } });
  });
});
