// POST /v1/messages: what an answer looks like, whole and streamed, and that a caller who is slow, or gone, costs nobody
// anything.
import { describe, expect, test } from 'vitest';
import { ChatTemplate } from '../../../../models/template/chat-template.ts';
import { upstreamFields } from '../../../../server/chat/upstream-fields.ts';
import { upstreamThinking } from '../../../../server/messages/request.ts';
import { countSchema } from '../../../../server/messages/schema.ts';
import { wholeByteModel } from '../../../http-world.ts';
import { lanesServer } from '../../../lanes-world.ts';
import type { MemoryCall } from '../../../memory-transport.ts';
import {
  hermesCall,
  type Json,
  type ResponsesServer,
  responsesServer,
  sseEvents,
  typesOf,
  withoutRepeats,
} from '../../../responses-world.ts';

const PATH = '/v1/messages';

const tools = [{ name: 'shell', description: 'Runs', input_schema: { type: 'object' } }];

function body(more: object = {}): object {
  return { model: 'bytes', max_tokens: 500, messages: [{ role: 'user', content: 'Hi' }], ...more };
}

/** The message that a stream's events add up to, as an SDK has it; blocks that never stopped are apart. */
function assembled(call: MemoryCall): { readonly message: Json; readonly unfinished: readonly Json[] } {
  let message: Json = {};
  const blocks = new Map<number, Json & { json?: string }>();
  const stopped: Json[] = [];
  for (const event of sseEvents(call)) {
    const index = event['index'] as number;
    const delta = (event['delta'] ?? {}) as Readonly<Record<string, string>>;
    const block = blocks.get(index) as Record<string, unknown> | undefined;
    if (event['type'] === 'message_start') message = event['message'] as Json;
    else if (event['type'] === 'content_block_start') {
      expect(index).toBe(blocks.size);
      blocks.set(index, { ...(event['content_block'] as Json) });
    } else if (event['type'] === 'content_block_delta') {
      for (const field of ['text', 'thinking', 'signature']) {
        if (delta[field] !== undefined) block![field] = `${String(block![field])}${delta[field]}`;
      }
      if (delta['partial_json'] !== undefined)
        block!['json'] = `${String(block!['json'] ?? '')}${delta['partial_json']}`;
    } else if (event['type'] === 'content_block_stop') {
      const { json, ...rest } = block as Json & { json?: string };
      stopped.push(json === undefined ? rest : { ...rest, input: JSON.parse(json) as unknown });
      blocks.set(index, {});
    } else if (event['type'] === 'message_delta') {
      message = { ...message, ...delta, usage: event['usage'] };
    }
  }
  const unfinished = [...blocks.values()].filter((block) => Object.keys(block).length > 0);
  return { message: { ...message, content: stopped }, unfinished };
}

const withoutIds = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value, (key, inner: unknown) => (/^(id|signature)$/.test(key) ? 'x' : inner)),
  ) as Json;

async function both(server: ResponsesServer, more: object): Promise<Json> {
  const whole = await server.request('POST', PATH, body(more));
  const stream = await server.request('POST', PATH, body({ ...more, stream: true }));
  expect([whole.status, stream.status]).toEqual([200, 200]);
  const streamed = assembled(stream).message;
  expect(withoutIds(streamed)).toEqual(withoutIds(whole.json));
  expect(sseEvents(stream).at(-1)).toEqual({ type: 'message_stop' });
  return whole.json as Json;
}

describe('an answer', () => {
  test('is one message, the same in both ways', async () => {
    const server = await responsesServer({ say: () => 'Hello there.' });
    expect(await both(server, {})).toEqual({
      id: expect.stringMatching(/^msg_/),
      ...{ type: 'message', role: 'assistant', model: 'bytes' },
      content: [{ type: 'text', text: 'Hello there.' }],
      ...{ stop_reason: 'end_turn', stop_sequence: null },
      usage: {
        ...{ input_tokens: 21, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
        ...{ output_tokens: 13, service_tier: 'standard' },
      },
    });
  });

  test.each([
    ['the model', {}, 'end_turn', null],
    ['a stop sequence', { stop_sequences: ['there', 'no'] }, 'stop_sequence', 'there'],
    ['max_tokens', { max_tokens: 4 }, 'max_tokens', null],
    ['max_tokens of 0, that only computes the prompt', { max_tokens: 0 }, 'max_tokens', null],
  ])('says that %s ended it', async (_, more, stop_reason, stop_sequence) => {
    const server = await responsesServer({ say: () => 'Hello there.' });
    expect(await both(server, more)).toMatchObject({ stop_reason, stop_sequence });
  });

  test('says that the context ended it', async () => {
    const engine = { contextTokensMax: 30 };
    const server = await responsesServer({ say: () => 'A very long story', engine });
    expect(await both(server, {})).toMatchObject({ stop_reason: 'model_context_window_exceeded' });
  });

  test('calls tools, one after another', async () => {
    const say = () => `Looking.\n${hermesCall('shell', { a: 1 })}\n${hermesCall('shell', {})}`;
    const server = await responsesServer({ say });
    expect(await both(server, { tools })).toMatchObject({
      content: [
        { type: 'text', text: 'Looking.' },
        { type: 'tool_use', id: expect.stringMatching(/^toolu_/), name: 'shell', input: { a: 1 } },
        { type: 'tool_use', name: 'shell', input: {} },
      ],
      stop_reason: 'tool_use',
    });
  });

  const ENDING = '}\n</tool_call>'.length; // after the input's own end
  const called = `Looking.\n${hermesCall('shell', { command: 'rm -rf /tmp/x' })}`;

  test.each(
    [...called]
      .map((_, index) => index + 1)
      .filter((count) => count % 3 === 1 && count < called.length - ENDING),
  )('cut after %i bytes never says that a call is whole', async (max_tokens) => {
    const server = await responsesServer({ say: () => called });
    const whole = (await server.request('POST', PATH, body({ tools, max_tokens }))).json as Json;
    const stream = await server.request('POST', PATH, body({ tools, max_tokens, stream: true }));
    const { message, unfinished } = assembled(stream);
    for (const { content, stop_reason } of [whole, message]) {
      expect(stop_reason).toBe('max_tokens');
      expect((content as readonly Json[]).map(({ type }) => type)).not.toContain('tool_use');
      expect(JSON.stringify(content)).not.toContain('<tool');
    }
    expect(unfinished.length).toBeLessThan(2);
  });

  test('goes on where the assistant’s last message ends', async () => {
    const server = await responsesServer({
      say: () => 'is Paris.',
      app: { model: { ...wholeByteModel, chatTemplate: ChatTemplate.parse(TEMPLATE) } },
    });
    const messages = [
      { role: 'user', content: 'Capital?' },
      { role: 'assistant', content: [{ type: 'text', text: 'The capital' }] },
    ];
    const message = await both(server, { messages });
    expect(message['content']).toEqual([{ type: 'text', text: 'is Paris.' }]);
    expect(server.prompts[0]).toMatch(/The capital$/);
  });
});

const TEMPLATE = `{%- for message in messages %}{{ message.role + ': ' + message.content + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}assistant: {% if enable_thinking is defined and not enable_thinking %}{{ 'now' }}{% endif %}{% endif %}{# </think> #}`;
const ALWAYS = `{%- for message in messages %}{{ message.role + ': ' + message.content + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}assistant: {{ '<think>' }}{% endif %}{# </think> #}`;

describe('thinking', () => {
  const say = () => '<think>\nhm\n</think>\n\nYes.';
  const thinker = (template: string, text = say) =>
    responsesServer({
      say: text,
      app: { model: { ...wholeByteModel, chatTemplate: ChatTemplate.parse(template) } },
    });

  test.each([{ type: 'enabled', budget_tokens: 2048 }, { type: 'adaptive' }])(
    'has blocks of its own with %j',
    async (thinking) => {
      const server = await thinker(TEMPLATE);
      const { content } = await both(server, { thinking });
      expect(content).toEqual([
        { type: 'thinking', thinking: 'hm', signature: expect.stringMatching(/./) },
        { type: 'text', text: 'Yes.' },
      ]);
      expect(server.prompts[0]).toMatch(/assistant: $/);
    },
  );

  test('is not told where it is to be omitted', async () => {
    const server = await thinker(TEMPLATE);
    const { content } = await both(server, { thinking: { type: 'adaptive', display: 'omitted' } });
    expect(content).toMatchObject([{ type: 'thinking', thinking: '' }, { text: 'Yes.' }]);
  });

  test.each([{}, { thinking: { type: 'disabled' } }])('is switched off with %j', async (more) => {
    const server = await thinker(TEMPLATE, () => 'Yes.');
    await both(server, more);
    expect(server.prompts[0]).toMatch(/assistant: now$/);
  });

  test('of a model that always does is unseen unless asked for', async () => {
    const server = await thinker(ALWAYS, () => 'hm</think>Yes.');
    expect((await both(server, {}))['content']).toEqual([{ type: 'text', text: 'Yes.' }]);
    const { content } = await both(server, { thinking: { type: 'adaptive' } });
    expect(content).toMatchObject([{ type: 'thinking' }, { type: 'text' }]);
  });
});

describe('usage', () => {
  const engine = { cachedTokens: 5 };

  test('has what the cache held, and with cache_control what it holds now; the three are the prompt', async () => {
    const server = await responsesServer({ say: () => 'Hi', engine });
    const plain = (await both(server, {}))['usage'] as Readonly<Record<string, number>>;
    expect(plain).toMatchObject({
      input_tokens: 16,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 0,
    });
    const cache_control = { type: 'ephemeral' };
    const content = [{ type: 'text', text: 'Hi', cache_control }];
    const marked = (await both(server, { messages: [{ role: 'user', content }] }))['usage'];
    expect(marked).toMatchObject({
      input_tokens: 5,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 11,
    });
    const { max_tokens: _max, ...counted } = body() as { max_tokens: number };
    const count = await server.request('POST', `${PATH}/count_tokens`, counted);
    expect(count.json).toEqual({ input_tokens: 21 });
  });
});

describe('a stream', () => {
  test('comes in Anthropic’s order, with pings while nothing is said', async () => {
    const server = await responsesServer({ say: () => 'Hello', engine: { stepMs: 15_000 } });
    const call = await server.request('POST', PATH, body({ stream: true }));
    expect(withoutRepeats(typesOf(sseEvents(call)))).toEqual([
      ...[
        'message_start',
        'ping',
        'content_block_start',
        'content_block_delta',
        'ping',
        'content_block_delta',
      ],
      ...['content_block_stop', 'message_delta', 'message_stop'],
    ]);
  });

  test('that fails ends with an error that has a name', async () => {
    const failure = { code: 'step-failed', message: 'the device failed' } as const;
    const engine = { script: () => ({ tokens: [72, 105], failure }) };
    const server = await responsesServer({ say: () => '', engine });
    const call = await server.request('POST', PATH, body({ stream: true }));
    expect(sseEvents(call).at(-1)).toMatchObject({ type: 'error', error: { type: 'api_error' } });
    const whole = await server.request('POST', PATH, body());
    expect([whole.status, whole.json]).toMatchObject([500, { type: 'error', error: { type: 'api_error' } }]);
  });

  test('whose reader leaves frees its seat; whose reader is slow waits', async () => {
    const server = await responsesServer({
      say: () => 'A long story. '.repeat(2000),
      flags: { streamBufferSizeMax: 8192 },
    });
    const long = body({ stream: true, max_tokens: 4000 });
    const slow = server.send('POST', PATH, long);
    slow.stopReading();
    const gone = server.send('POST', PATH, long);
    await server.settle(5);
    gone.leave();
    await server.settle();
    expect([server.server.engine.activeCount, slow.ended]).toEqual([1, false]);
    expect(slow.bufferedMax).toBeLessThan(20_000);
    slow.startReading();
    await server.settle();
    expect([server.server.engine.activeCount, slow.ended]).toEqual([0, true]);
    expect(sseEvents(slow).at(-1)).toEqual({ type: 'message_stop' });
  });

  test('is one line in the log and one answer in the metrics', async () => {
    const server = await responsesServer({ say: () => 'Hi' });
    await server.request('POST', PATH, body({ stream: true }));
    const lines = server.server.logLines.filter((line) => line.includes('"message":"answer"'));
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ route: PATH, outputTokens: 3, finish: 'stop' });
    expect((await server.server.metrics.render()).text).toContain(`route="${PATH}"`);
  });
});

describe('in lanes', () => {
  test('an upstream is asked in chat’s words and answers in these', async () => {
    const server = await lanesServer({});
    const [lane] = server.lanes.models.filter((name) => !server.lanes.isLocal(name) && name !== 'auto');
    const call = await server.request(
      'POST',
      PATH,
      body({ model: lane, tools, stop_sequences: ['X'], system: 'Be brief.' }),
    );
    expect([call.status, call.json]).toMatchObject([
      200,
      { type: 'message', model: lane, stop_reason: 'end_turn' },
    ]);
    const [asked] = server.wire.asked;
    expect(asked).toMatchObject({ stop: ['X'], max_tokens: 500, tools: [{ function: { name: 'shell' } }] });
    expect(server.routed).toHaveLength(1);
    expect(server.ends).toHaveLength(1);
  });

  test.each([
    [
      { thinking: { type: 'enabled', budget_tokens: 1024 } },
      { reasoning_effort: 'low' },
      { enable_thinking: true },
    ],
    [{ thinking: { type: 'adaptive' } }, { reasoning_effort: 'high' }, { enable_thinking: true }],
    [{ output_config: { effort: 'medium' } }, { reasoning_effort: 'medium' }, undefined],
    [
      { thinking: { type: 'enabled' }, output_config: { effort: 'max' } },
      { reasoning_effort: 'xhigh' },
      { enable_thinking: true },
    ],
    [{ thinking: { type: 'disabled' } }, {}, { enable_thinking: false }],
    [{}, {}, undefined],
  ])('%j reaches an upstream in its dialect’s words', (asked, ofOpenai, ofTemplate) => {
    const request = countSchema.parse({ messages: [{ role: 'user', content: 'Hi' }], ...asked });
    expect(upstreamFields(upstreamThinking(request, 'openai'), 'openai')).toEqual({
      ok: true,
      value: ofOpenai,
    });
    const vllm = upstreamFields(upstreamThinking(request, 'vllm'), 'vllm');
    expect(vllm).toMatchObject({ ok: true, value: ofTemplate ? { chat_template_kwargs: ofTemplate } : {} });
  });

  test('thinking goes along', async () => {
    const server = await lanesServer({});
    const [lane] = server.lanes.models.filter((name) => !server.lanes.isLocal(name) && name !== 'auto');
    await server.request(
      'POST',
      PATH,
      body({ model: lane, thinking: { type: 'enabled', budget_tokens: 8192 } }),
    );
    expect(server.wire.asked).toMatchObject([{ reasoning_effort: 'medium' }]);
  });
});
