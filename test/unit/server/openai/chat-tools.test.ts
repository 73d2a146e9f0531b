// Tools, structured output and predictions in chat completions.
import { describe, expect, test } from 'vitest';
import { hermesCall, type Json, responsesServer } from '../../../responses-world.ts';

const messages = [{ role: 'user', content: 'What is here?' }];
const tools = [{ type: 'function', function: { name: 'shell', parameters: { type: 'object' } } }];
const path = '/v1/chat/completions';

interface Chunk {
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly content?: string; readonly tool_calls?: readonly Json[] };
    readonly finish_reason: string | null;
  }[];
}

interface Said {
  readonly message: { readonly content: string | null };
  readonly finish_reason: string;
}

interface Response_ {
  readonly status: string;
  readonly output: readonly {
    readonly type: string;
    readonly content?: readonly { readonly text: string }[];
  }[];
}

describe('tool calls', () => {
  const say = () => `Looking.\n${hermesCall('shell', { a: 1 })}\n${hermesCall('shell', { b: 2 })}`;

  test('whole', async () => {
    const server = await responsesServer({ say });
    const call = await server.request('POST', path, { messages, tools });
    expect(call.json).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: {
            role: 'assistant',
            content: 'Looking.',
            tool_calls: [
              { type: 'function', function: { name: 'shell', arguments: '{"a":1}' } },
              { type: 'function', function: { name: 'shell', arguments: '{"b":2}' } },
            ],
          },
        },
      ],
    });
  });

  test('streamed come as deltas whose pieces add up', async () => {
    const server = await responsesServer({ say });
    const call = await server.request('POST', path, { messages, tools, stream: true, n: 2 });
    const chunks = call.events.filter((event) => event !== '[DONE]') as Chunk[];
    for (const index of [0, 1]) {
      const choices = chunks.flatMap(({ choices: all }) => all.filter((choice) => choice.index === index));
      const calls: { id: unknown; name: string; arguments: string }[] = [];
      for (const { delta } of choices) {
        for (const piece of delta.tool_calls ?? []) {
          const made = piece['function'] as { name?: string; arguments: string };
          calls[piece['index'] as number] ??= { id: piece['id'], name: made.name!, arguments: '' };
          calls[piece['index'] as number]!.arguments += made.arguments;
        }
      }
      expect(calls).toMatchObject([
        { name: 'shell', arguments: '{"a":1}' },
        { name: 'shell', arguments: '{"b":2}' },
      ]);
      expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
      expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe('Looking.');
      expect(choices.at(-1)!.finish_reason).toBe('tool_calls');
    }
  });

  const answer = `Looking.\n${hermesCall('shell', { a: 1 })}`;

  test.each([...answer].map((_, index) => index + 1).filter((count) => count < answer.length - 12))(
    'cut after %i bytes show no markup, and are not finished, in either API',
    async (max_tokens) => {
      const server = await responsesServer({ say: () => answer });
      const whole = await server.request('POST', path, { messages, tools, max_tokens });
      const { message, finish_reason } = (whole.json as unknown as { choices: Said[] }).choices[0]!;
      expect((message.content ?? '').trimEnd()).toBe('Looking.'.slice(0, max_tokens));
      expect(finish_reason).toBe('length');
      const stream = await server.request('POST', path, { messages, tools, max_tokens, stream: true });
      const chunks = stream.events.filter((event) => event !== '[DONE]') as Chunk[];
      expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(
        message.content ?? '',
      );
      const function_ = { type: 'function', name: 'shell', parameters: { type: 'object' } };
      const ask = { input: 'Hi', tools: [function_], max_output_tokens: max_tokens };
      const response = (await server.request('POST', '/v1/responses', ask)).json as unknown as Response_;
      expect(response.status).toBe('incomplete');
      const texts = response.output
        .filter(({ type }) => type === 'message')
        .map(({ content }) => content![0]!.text);
      expect(texts.join('')).toBe(message.content ?? '');
    },
  );

  test('cut by a stop string are not finished either', async () => {
    const server = await responsesServer({ say: () => answer });
    const call = await server.request('POST', path, { messages, tools, stop: ['"a"'] });
    expect(call.json).toMatchObject({
      choices: [
        { finish_reason: 'length', message: { content: 'Looking.', tool_calls: [{ type: 'function' }] } },
      ],
    });
    const stream = await server.request('POST', path, { messages, tools, stop: ['"a"'], stream: true });
    const chunks = stream.events.filter((event) => event !== '[DONE]') as Chunk[];
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('length');
  });

  test('an answer that looks like a call and is none is text', async () => {
    const server = await responsesServer({ say: () => '<tool_call> is a tag' });
    const call = await server.request('POST', path, { messages, tools });
    expect(call.json).toMatchObject({
      choices: [{ finish_reason: 'stop', message: { content: '<tool_call> is a tag' } }],
    });
  });

  test('with tool_choice none the text is not read at all', async () => {
    const server = await responsesServer({ say: () => hermesCall('shell', {}) });
    const call = await server.request('POST', path, { messages, tools, tool_choice: 'none' });
    expect(call.json).toMatchObject({ choices: [{ message: { content: hermesCall('shell', {}) } }] });
  });
});

describe('the form of an answer', () => {
  test('goes to the engine as a constraint, one for each choice', async () => {
    const server = await responsesServer({ say: () => '{}' });
    const response_format = { type: 'json_object' };
    await server.request('POST', path, { messages, response_format, n: 2 });
    const [first, second] = server.server.submitted.map(({ constraint }) => constraint);
    expect(first).not.toBeNull();
    expect(first).not.toBe(second);
  });

  test.each([
    { type: 'string', pattern: '(?=a)' },
    { type: 'string', not: { format: 'email' } },
    { type: 'object', minProperties: 5000, additionalProperties: { type: 'integer' } },
    { type: 'object', propertyNames: { anyOf: [{ minLength: 1 }, { pattern: 'a' }] } },
    { type: 'array', items: { $dynamicRef: '#x' } },
    { type: 'array', uniqueItems: true },
  ])('whose keyword cannot be enforced is refused, strict or not: %j', async (schema) => {
    const server = await responsesServer({ say: () => '{}' });
    const format = { type: 'json_schema', name: 'x', schema };
    const chat = { messages, response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } };
    expect((await server.request('POST', path, chat)).status).toBe(400);
    const call = await server.request('POST', '/v1/responses', { input: 'Hi', text: { format } });
    expect([call.status, call.json]).toMatchObject([400, { error: { param: 'text.format' } }]);
  });

  test('that is no schema is refused, naming it', async () => {
    const server = await responsesServer({ say: () => '{}' });
    const json_schema = { name: 'x', schema: { type: 'sausage' } };
    const call = await server.request('POST', path, {
      messages,
      response_format: { type: 'json_schema', json_schema },
    });
    expect([call.status, call.json]).toMatchObject([400, { error: { param: 'response_format' } }]);
  });

  test('a caller that leaves while it is compiled starts nothing', async () => {
    const server = await responsesServer({ say: () => '{}' });
    const call = server.send('POST', path, { messages, response_format: { type: 'json_object' } });
    server.clock.step();
    server.clock.step();
    call.leave();
    await server.settle();
    expect(server.server.submitted).toEqual([]);
  });
});

describe('speculation', () => {
  test.each([
    [{}, {}, { draftTokensMax: 8, prediction: null }],
    [{}, { seed: 1 }, { draftTokensMax: 8, prediction: null }], // guesses move no bit
    [{ invariance: 'none' }, { seed: 1 }, null], // who names a seed wants the same text again
    [{ invariance: 'none' }, {}, { draftTokensMax: 8, prediction: null }],
    [{ speculation: 'unseeded' }, { seed: 1 }, null],
    [{ speculation: 'unseeded' }, { seed: 1, speculation: true }, { draftTokensMax: 8, prediction: null }],
    [{ speculation: 'asked' }, {}, null],
    [{ speculation: 'asked' }, { speculation: true }, { draftTokensMax: 8, prediction: null }],
    [{ speculation: 'on' }, { seed: 1 }, { draftTokensMax: 8, prediction: null }],
    [{ speculation: 'on' }, {}, { draftTokensMax: 8, prediction: null }],
    [{ speculation: 'on' }, { speculation: false }, null],
    [{ speculation: 'off' }, { speculation: true }, null],
    [
      {},
      { prediction: { type: 'content', content: [{ type: 'text', text: 'Hi' }] } },
      { draftTokensMax: 8, prediction: Int32Array.of(72, 105) },
    ],
  ])('with flags %j a request %j asks for %j', async (flags, more, expected) => {
    const server = await responsesServer({ say: () => 'Hi', flags });
    await server.request('POST', path, { messages, ...more });
    const { speculation } = server.server.submitted[0]!;
    if (expected === null) expect(speculation).toBeNull();
    else expect(speculation).toMatchObject(expected);
  });

  test('a prediction of another type is refused', async () => {
    const server = await responsesServer({ say: () => 'Hi' });
    const call = await server.request('POST', path, {
      messages,
      prediction: { type: 'diff', content: 'Hi' },
    });
    expect([call.status, call.json]).toMatchObject([400, { error: { param: 'prediction.type' } }]);
  });
});
