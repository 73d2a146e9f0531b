// Every kind of reply and event of OpenAI's APIs, by OpenAI's published document: whole and streamed answers of chat and text
// completions, responses over HTTP and WebSocket, conversations, lists, errors. What the document has no word for is listed.
import { describe, expect, test } from 'vitest';
import { ChatTemplate } from '../../models/template/chat-template.ts';
import { wholeByteModel } from '../http-world.ts';
import { lanesServer } from '../lanes-world.ts';
import type { MemoryCall } from '../memory-transport.ts';
import {
  hermesCall,
  type Json,
  type ResponsesServer,
  type ResponsesWorldOptions,
  responsesServer,
  sseEvents,
} from '../responses-world.ts';
import { chunksOf } from '../scripted-wire.ts';
import { eventSchema, faultsBy } from './published-schemas.ts';

const shell = { name: 'shell', parameters: { type: 'object', properties: { a: { type: 'integer' } } } };
const functionTool = { type: 'function', ...shell };
const customTool = { type: 'custom', name: 'patch' };
const answers = {
  text: 'Hello there.',
  call: `Looking.\n${hermesCall('shell', { a: 1 })}`,
  calls: `${hermesCall('shell', { a: 1 })}\n${hermesCall('shell', { a: 2 })}`,
  custom: hermesCall('patch', { input: 'x\ny' }),
  thought: '<think>\nhm\n</think>\n\nYes.',
};
const thinking = ChatTemplate.parse(
  '{%- for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: {# </think> #}',
);

const failing = {
  script: () => ({ tokens: [72, 105], failure: { code: 'worker-died', message: 'it died' } }),
};

async function world(
  says: keyof typeof answers,
  more: Partial<ResponsesWorldOptions> = {},
): Promise<ResponsesServer> {
  const thinks = says === 'thought' ? { app: { model: { ...wholeByteModel, chatTemplate: thinking } } } : {};
  return responsesServer({ say: () => answers[says], ...thinks, ...more });
}

async function soon(
  server: ResponsesServer,
  method: string,
  path: string,
  body?: object,
): Promise<MemoryCall> {
  const call = server.send(method, path, body);
  await server.settle(server.clock.nowMs() + 1000);
  return call;
}

function expectValid(name: string, value: unknown): void {
  expect(`${name}: ${faultsBy(name, asDocumented(name, value))}`).toBe(`${name}: `);
}

/**
 * Without two nulls that the document's schemas have no word for and its own examples show: the usage of a response that
 * runs, and why a piece of a text completion ended that did not.
 */
function asDocumented(name: string, value: unknown): unknown {
  const isResponse = name === 'Response' || eventSchema(String((value as Json)['type'])) !== null;
  const left = isResponse ? 'usage' : name === 'CreateCompletionResponse' ? 'finish_reason' : null;
  const text = JSON.stringify(value, (key, inner: unknown) =>
    key === left && inner === null ? undefined : inner,
  );
  const kept = JSON.parse(text) as Json & { readonly choices?: readonly object[] };
  if (left !== 'finish_reason') return kept;
  return { ...kept, choices: kept.choices!.map((choice) => ({ finish_reason: 'stop', ...choice })) };
}

/** Each event by the schema of its type, and all of them by their union. */
function expectEvents(events: readonly Json[]): void {
  expect(events.length).toBeGreaterThan(0);
  for (const event of events) {
    const name = eventSchema(String(event['type']));
    expect(name, `an event of the type ${String(event['type'])}`).not.toBeNull();
    expectValid(name!, event);
    expectValid('ResponseStreamEvent', event);
  }
}

describe('chat completions', () => {
  const messages = [{ role: 'user', content: 'Hi' }];
  test.each<[string, keyof typeof answers, object]>([
    ['text', 'text', {}],
    ['several choices', 'text', { n: 2 }],
    ['log-probabilities', 'text', { logprobs: true, top_logprobs: 2 }],
    ['cut', 'text', { max_completion_tokens: 3 }],
    ['usage of its own', 'text', { stream_options: { include_usage: true } }],
    ['without usage', 'text', { stream_options: { include_usage: false } }],
    ['metadata', 'text', { metadata: { task_id: 'x' } }],
    [
      'a schema',
      'text',
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'x', schema: { const: 'Hello there.' } },
        },
      },
    ],
    ['a call', 'call', { tools: [{ type: 'function', function: shell }] }],
    ['calls', 'calls', { tools: [{ type: 'function', function: shell }] }],
    ['a call cut', 'call', { tools: [{ type: 'function', function: shell }], stop: ['"a"'] }],
    [
      'only one of the tools',
      'call',
      {
        tools: [{ type: 'function', function: shell }],
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'shell' } }] },
        },
      },
    ],
    ['a function call', 'call', { functions: [shell] }],
    ['reasoning', 'thought', {}],
  ])('%s', async (name, says, more) => {
    const server = await world(
      name === 'a schema' ? 'text' : says,
      name === 'a schema' ? { say: () => '"Hello there."' } : {},
    );
    const whole = await soon(server, 'POST', '/v1/chat/completions', { messages, ...more });
    expect(whole.status).toBe(200);
    expectValid('CreateChatCompletionResponse', whole.json);
    const stream = await soon(server, 'POST', '/v1/chat/completions', { messages, stream: true, ...more });
    const chunks = stream.events.filter((event) => event !== '[DONE]');
    expect(chunks.length).toBeGreaterThan(1);
    for (const chunk of chunks) expectValid('CreateChatCompletionStreamResponse', chunk);
  });
});

test.each([
  ['text', {}],
  ['several', { n: 2, prompt: ['a', 'b'] }],
  ['log-probabilities', { logprobs: 2 }],
  ['echo', { echo: true }],
  ['cut', { max_tokens: 3 }],
])('text completions: %s', async (_, more) => {
  const server = await world('text');
  const whole = await soon(server, 'POST', '/v1/completions', { prompt: 'Hi', ...more });
  expect(whole.status).toBe(200);
  expectValid('CreateCompletionResponse', whole.json);
  const stream = await soon(server, 'POST', '/v1/completions', { prompt: 'Hi', stream: true, ...more });
  for (const chunk of stream.events.filter((event) => event !== '[DONE]'))
    expectValid('CreateCompletionResponse', chunk);
});

describe('responses', () => {
  const image = { type: 'input_image', image_url: 'data:image/png;base64,AA==' };
  test.each<[string, keyof typeof answers, object]>([
    ['text', 'text', {}],
    [
      'items',
      'text',
      {
        input: [
          { role: 'developer', content: 'x' },
          { role: 'user', content: [{ type: 'input_text', text: 'a' }, image] },
        ],
      },
    ],
    [
      'instructions and what else is told back',
      'text',
      {
        ...{
          instructions: 'x',
          metadata: { a: 'b' },
          user: 'ada',
          safety_identifier: 'a',
          prompt_cache_key: 'k',
        },
        ...{
          temperature: 0.5,
          top_p: 0.5,
          truncation: 'auto',
          reasoning: { effort: 'low' },
          parallel_tool_calls: false,
        },
        ...{
          presence_penalty: 0.1,
          frequency_penalty: 0.1,
          top_logprobs: 1,
          max_output_tokens: 100,
          service_tier: 'auto',
        },
      },
    ],
    ['instructions as items', 'text', { instructions: [{ role: 'system', content: 'x' }] }],
    ['log-probabilities', 'text', { include: ['message.output_text.logprobs'], top_logprobs: 2 }],
    ['cut', 'text', { max_output_tokens: 3 }],
    ['a form', 'text', { text: { format: { type: 'text' }, verbosity: 'low' } }],
    ['a call', 'call', { tools: [functionTool] }],
    ['calls', 'calls', { tools: [functionTool] }],
    ['a call cut', 'call', { tools: [functionTool], max_output_tokens: 50 }],
    [
      'a call of a namespace',
      'text',
      { tools: [{ type: 'namespace', name: 'n', description: 'x', tools: [functionTool] }] },
    ],
    ['a custom call', 'custom', { tools: [customTool] }],
    ['tool choices', 'call', { tools: [functionTool], tool_choice: { type: 'function', name: 'shell' } }],
    [
      'allowed tools',
      'call',
      {
        tools: [functionTool],
        tool_choice: {
          type: 'allowed_tools',
          mode: 'required',
          tools: [{ type: 'function', name: 'shell' }],
        },
      },
    ],
    ['reasoning', 'thought', {}],
  ])('%s', async (name, says, more) => {
    const say =
      name.startsWith('tool choices') || name.startsWith('allowed')
        ? { say: () => hermesCall('shell', { a: 1 }) }
        : {};
    const server = await world(says, say);
    const body = { input: 'Hi', ...more };
    const whole = await soon(server, 'POST', '/v1/responses', body);
    expect(whole.status, whole.text).toBe(200);
    expectValid('Response', whole.json);
    const { id } = whole.json as Json;
    const stored = await soon(server, 'GET', `/v1/responses/${String(id)}`);
    expectValid('Response', stored.json);
    const items = await soon(server, 'GET', `/v1/responses/${String(id)}/input_items`);
    expectValid('ResponseItemList', items.json);
    expectEvents(sseEvents(await soon(server, 'POST', '/v1/responses', { ...body, stream: true })));
    const client = server.connect();
    client.create(body);
    await server.settle(server.clock.nowMs() + 1000);
    expectEvents(client.take());
    expectValid('TokenCountsResource', (await soon(server, 'POST', '/v1/responses/input_tokens', body)).json);
  });

  test('a failure', async () => {
    const server = await world('text', { engine: failing as ResponsesWorldOptions['engine'] & {} });
    expectEvents(sseEvents(await soon(server, 'POST', '/v1/responses', { input: 'Hi', stream: true })));
  });

  test('in the background, and by an upstream', async () => {
    const server = await lanesServer({
      upstream: () => ({ pieces: chunksOf(['one ', 'two']), pieceMs: 50 }),
    });
    const begun = await soon(server, 'POST', '/v1/responses', {
      model: 'reliability',
      input: 'Hi',
      background: true,
    });
    expectValid('Response', begun.json);
    const { id } = begun.json as Json;
    expectValid('Response', (await soon(server, 'GET', `/v1/responses/${String(id)}`)).json);
    expectEvents(sseEvents(await soon(server, 'GET', `/v1/responses/${String(id)}?stream=true`)));
    expectValid('Response', (await soon(server, 'POST', `/v1/responses/${String(id)}/cancel`)).json);
    expectEvents(
      sseEvents(
        await soon(server, 'POST', '/v1/responses', { model: 'reliability', input: 'Hi', stream: true }),
      ),
    );
  });

  test('compacted', async () => {
    const server = await world('text');
    const input = [
      { role: 'user', content: 'Hi' },
      { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: 'x' },
    ];
    const { json } = await soon(server, 'POST', '/v1/responses/compact', { model: 'bytes', input });
    expectValid('CompactResource', json);
    const next = await soon(server, 'POST', '/v1/responses', {
      input: [...((json as Json)['output'] as Json[]), { role: 'user', content: 'Go on' }],
    });
    const items = await soon(server, 'GET', `/v1/responses/${String((next.json as Json)['id'])}/input_items`);
    expectValid('ResponseItemList', items.json);
  });
});

test('conversations, their items of every kind, and responses in them', async () => {
  const server = await world('call');
  const items = [
    ...['user', 'system', 'developer', 'assistant'].map((role) => ({ role, content: 'x' })),
    { type: 'message', role: 'user', content: [{ type: 'input_image', image_url: 'https://x.test/a.png' }] },
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'x' }] },
    { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'hm' }] },
    { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c', output: 'x' },
    { type: 'custom_tool_call', call_id: 'd', name: 'g', input: 'x' },
    { type: 'custom_tool_call_output', call_id: 'd', output: [{ type: 'input_text', text: 'x' }] },
  ];
  const made = await soon(server, 'POST', '/v1/conversations', { metadata: { a: 'b' } });
  expectValid('ConversationResource', made.json);
  const one = `/v1/conversations/${String((made.json as Json)['id'])}`;
  const added = await soon(server, 'POST', `${one}/items`, { items });
  expectValid('ConversationItemList', added.json);
  for (const item of (added.json as { data: Json[] }).data) {
    expectValid('ConversationItem', (await soon(server, 'GET', `${one}/items/${String(item['id'])}`)).json);
  }
  const answered = await soon(server, 'POST', '/v1/responses', {
    ...{ conversation: (made.json as Json)['id'], input: 'Hi', tools: [functionTool] },
  });
  expectValid('Response', answered.json);
  expectValid('ConversationItemList', (await soon(server, 'GET', `${one}/items?limit=100`)).json);
  expectValid('ConversationResource', (await soon(server, 'POST', one, { metadata: {} })).json);
  expectValid('DeletedConversationResource', (await soon(server, 'DELETE', one)).json);
});

test('models', async () => {
  const server = await world('text');
  const list = await soon(server, 'GET', '/v1/models');
  expectValid('ListModelsResponse', list.json);
  expectValid('Model', (await soon(server, 'GET', '/v1/models/bytes')).json);
});

test.each<[number, string, string, object | undefined]>([
  [400, 'POST', '/v1/chat/completions', { messages: 1 }],
  [400, 'POST', '/v1/completions', { prompt: 'x', max_tokens: -1 }],
  [404, 'POST', '/v1/chat/completions', { model: 'gpt-9', messages: [{ role: 'user', content: 'x' }] }],
  [400, 'POST', '/v1/chat/completions', { messages: [{ role: 'user', content: 'x'.repeat(9000) }] }],
  [404, 'GET', '/v1/responses/resp_0', undefined],
  [400, 'POST', '/v1/responses', { input: 'x', previous_response_id: 'resp_0' }],
  [404, 'GET', '/v1/conversations/conv_0', undefined],
  [404, 'GET', '/v1/nothing', undefined],
  [405, 'DELETE', '/v1/models', undefined],
])('errors: %i of %s %s', async (status, method, path, body) => {
  const server = await world('text');
  const call = await soon(server, method, path, body);
  expect(call.status).toBe(status);
  expectValid('ErrorResponse', call.json);
});

test('the validators see what is wrong', async () => {
  const server = await world('call');
  const { json } = await soon(server, 'POST', '/v1/responses', { input: 'Hi', tools: [functionTool] });
  const whole = json as Json & { readonly output: readonly Json[] };
  const [message, call] = whole.output;
  const wrong: readonly Json[] = [
    { ...whole, output: [{ ...message, content: 'a text' }] },
    { ...whole, output: [{ ...message, status: 'done' }] },
    { ...whole, output: [{ ...call, arguments: {} }] },
    { ...whole, output: [{ ...call, type: 'call' }] },
    { ...whole, tools: [{ type: 'function', name: 'x' }] },
    { ...whole, created_at: 'now' },
    Object.fromEntries(Object.entries(whole).filter(([key]) => key !== 'tool_choice')),
  ];
  for (const value of wrong) expect(faultsBy('Response', value)).not.toBe('');
  expect(faultsBy('ErrorResponse', { error: 'no' })).not.toBe('');
  expect(
    faultsBy('ConversationItem', { ...message, id: undefined, content: [{ type: 'image_url' }] }),
  ).not.toBe('');
});

describe('beyond the document', () => {
  test('a custom call is whole in it, and in a stream has the same fields', async () => {
    const server = await world('custom');
    const body = {
      messages: [{ role: 'user', content: 'Hi' }],
      tools: [{ type: 'custom', custom: { name: 'patch' } }],
    };
    const whole = await soon(server, 'POST', '/v1/chat/completions', body);
    expectValid('CreateChatCompletionResponse', whole.json);
    const stream = await soon(server, 'POST', '/v1/chat/completions', { ...body, stream: true });
    const faults = stream.events
      .filter((event) => event !== '[DONE]')
      .map((chunk) => faultsBy('CreateChatCompletionStreamResponse', chunk))
      .filter((text) => text !== '');
    expect(faults.length).toBeGreaterThan(0);
    for (const text of faults) expect(text).toMatch(/tool_calls\/0\/type/);
  });

  test('a prompt that is too long fails with a code that Codex knows', async () => {
    const server = await world('text', { engine: { contextTokensMax: 64 } });
    const call = await soon(server, 'POST', '/v1/responses', { input: 'x'.repeat(200), stream: true });
    const events = sseEvents(call);
    const [code] = [(events.at(-1)!['response'] as { error: Json }).error];
    expect(code['code']).toBe('context_length_exceeded');
    expect(faultsBy('ResponseFailedEvent', events.at(-1))).toContain('/response/error/code');
  });
});
