// `functions` and `function_call`, as chat completions had them before tools: asked, answered, streamed, in the history,
// and through an upstream.
import { describe, expect, test } from 'vitest';
import { lanesServer } from '../../../lanes-world.ts';
import { hermesCall, type Json, responsesServer } from '../../../responses-world.ts';
import { chunksOf } from '../../../scripted-wire.ts';

const path = '/v1/chat/completions';
const messages = [{ role: 'user', content: 'What is here?' }];
const functions = ['shell', 'read'].map((name) => ({
  name,
  description: 'runs it',
  parameters: { type: 'object', properties: { a: { type: 'integer' } } },
}));

interface Choice {
  readonly message?: Json;
  readonly delta?: Json & { readonly function_call?: { readonly name?: string; readonly arguments: string } };
  readonly finish_reason: string | null;
}

const choicesOf = (value: unknown) => (value as { choices: Choice[] }).choices;

describe('a call', () => {
  const say = () => `Looking.\n${hermesCall('shell', { a: 1 })}`;

  test('is the message’s function_call', async () => {
    const server = await responsesServer({ say });
    const call = await server.request('POST', path, { messages, functions });
    expect(choicesOf(call.json)).toEqual([
      {
        index: 0,
        message: {
          ...{ role: 'assistant', refusal: null, content: 'Looking.' },
          function_call: { name: 'shell', arguments: '{"a":1}' },
        },
        logprobs: null,
        finish_reason: 'function_call',
      },
    ]);
  });

  test('comes in pieces that add up', async () => {
    const server = await responsesServer({ say });
    const call = await server.request('POST', path, { messages, functions, stream: true });
    const choices = call.events.filter((event) => event !== '[DONE]').flatMap(choicesOf);
    const pieces = choices.flatMap(({ delta }) => (delta?.function_call ? [delta.function_call] : []));
    expect(pieces.map(({ name }) => name).filter((name) => name !== undefined)).toEqual(['shell']);
    expect(pieces.map((piece) => piece.arguments).join('')).toBe('{"a":1}');
    expect(choices.every(({ delta }) => delta!['tool_calls'] === undefined)).toBe(true);
    expect(choices.at(-1)!.finish_reason).toBe('function_call');
  });

  test('that is cut off is not finished', async () => {
    const server = await responsesServer({ say });
    const call = await server.request('POST', path, { messages, functions, stop: ['"a"'] });
    expect(choicesOf(call.json)).toMatchObject([
      { finish_reason: 'length', message: { function_call: { name: 'shell' } } },
    ]);
  });
});

test('one that is named is the only one that can be called; with none there is none', async () => {
  const server = await responsesServer({ say: () => hermesCall('read', { a: 2 }) });
  const named = { messages, functions, function_call: { name: 'read' } };
  expect(choicesOf((await server.request('POST', path, named)).json)).toMatchObject([
    { finish_reason: 'function_call', message: { content: null, function_call: { name: 'read' } } },
  ]);
  const none = { messages, functions, function_call: 'none' };
  const [said] = choicesOf((await server.request('POST', path, none)).json);
  expect(said).toMatchObject({ finish_reason: 'stop', message: { content: hermesCall('read', { a: 2 }) } });
});

test('history with calls and results is told to the model as that of tools', async () => {
  const server = await responsesServer({ say: () => 'Two files.' });
  const call = { name: 'shell', arguments: '{"a":1}' };
  const result = { content: 'a.ts', name: 'shell' };
  const old = [
    ...messages,
    { role: 'assistant', content: null, function_call: call },
    { role: 'function', ...result },
  ];
  const today = [
    ...messages,
    { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: call }] },
    { role: 'tool', tool_call_id: 'call_1', ...result },
  ];
  await server.request('POST', path, { messages: old, functions });
  const tools = functions.map((one) => ({ type: 'function', function: one }));
  await server.request('POST', path, { messages: today, tools, parallel_tool_calls: false });
  expect(server.prompts[0]).toBe(server.prompts[1]);
  expect(server.prompts[0]).toContain('a.ts');
});

test.each([
  ['both forms', { functions, tools: [] }, 'functions'],
  ['a name that is none of theirs', { functions, function_call: { name: 'zzz' } }, 'function_call'],
  ['a name without functions', { function_call: { name: 'shell' } }, 'function_call'],
  ['another word', { functions, function_call: 'always' }, 'function_call'],
  ['a function without a name', { functions: [{ description: 'x' }] }, 'functions[0].name'],
])('refused: %s', async (_, fields, param) => {
  const server = await responsesServer({ say: () => 'Hi.' });
  const call = await server.request('POST', path, { messages, ...fields });
  expect([call.status, (call.json as { error: Json }).error['param']]).toEqual([400, param]);
});

test('an upstream is asked for tools and answered in the form that its caller knows', async () => {
  const calls = [{ name: 'shell', arguments: ['{', '}'] }];
  const server = await lanesServer({ upstream: () => ({ pieces: chunksOf([], { calls }) }) });
  const body = { model: 'reliability', messages, functions, function_call: { name: 'shell' } };
  const call = await server.request('POST', path, body);
  expect(choicesOf(call.json)).toMatchObject([
    { finish_reason: 'function_call', message: { function_call: { name: 'shell', arguments: '{}' } } },
  ]);
});
