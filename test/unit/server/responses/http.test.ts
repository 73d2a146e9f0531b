// /v1/responses over HTTP: answers whole and streamed, stored and chained, in the background, and what is refused.
import { describe, expect, test } from 'vitest';
import { encodeBytes } from '../../../byte-text.ts';
import {
  type Json,
  responseOf,
  responsesServer,
  sseEvents,
  typesOf,
  withoutRepeats,
} from '../../../responses-world.ts';

const hello = { say: () => 'Hello there.' };

function outputText(response: Json): string {
  const [item] = response['output'] as { content: { text: string }[] }[];
  return item!.content[0]!.text;
}

describe('what the engine does not take', () => {
  test.each([true, false])('is refused, store: %s, and nothing of it is kept', async (store) => {
    const server = await responsesServer({ ...hello, engine: { slotCount: 0, queueLengthMax: 0 } });
    const call = await server.create({ input: 'Hi', store });
    expect(call.status).toBe(429);
    expect(call.json).toMatchObject({ error: { code: 'queue_full' } });
    expect((await server.request('GET', '/metrics')).text).toMatch(/sparklane_stored_responses 0/);
  });
});

describe('whole answers', () => {
  test('have OpenAI’s shape', async () => {
    const server = await responsesServer({ ...hello, engine: { cachedTokens: 7 } });
    const call = await server.create({ input: 'Hi', metadata: { a: 'b' }, temperature: 0.5 });
    expect(call.status).toBe(200);
    expect(call.json).toMatchObject({
      object: 'response',
      status: 'completed',
      model: 'bytes',
      error: null,
      incomplete_details: null,
      metadata: { a: 'b' },
      temperature: 0.5,
      output: [
        {
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'Hello there.', annotations: [] }],
        },
      ],
      usage: {
        input_tokens_details: { cached_tokens: 7 },
        output_tokens: 13,
        output_tokens_details: { accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
      },
    });
    expect(server.prompts).toEqual(['user: Hi\nassistant: ']);
  });

  test('instructions are the system’s message, developers are the system too', async () => {
    const server = await responsesServer(hello);
    await server.create({
      instructions: 'Be brief.',
      input: [
        { role: 'developer', content: 'No jokes.' },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi' }] },
      ],
    });
    expect(server.prompts[0]).toBe('system: Be brief.\nsystem: No jokes.\nuser: Hi\nassistant: ');
  });

  test('an answer cut by max_output_tokens is incomplete and says why', async () => {
    const server = await responsesServer(hello);
    const call = await server.create({ input: 'Hi', max_output_tokens: 5 });
    expect(call.json).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete', content: [{ text: 'Hello' }] }],
    });
  });

  test('log-probabilities come where they are included', async () => {
    const server = await responsesServer({ say: () => 'ab' });
    const include = ['message.output_text.logprobs'];
    const call = await server.create({ input: 'Hi', include, top_logprobs: 2 });
    const [item] = (call.json as { output: { content: { logprobs: Json[] }[] }[] }).output;
    const { logprobs } = item!.content[0]!;
    expect(logprobs.map(({ token }) => token)).toEqual(['a', 'b']);
    expect(logprobs[0]!['top_logprobs']).toHaveLength(2);
    const byId = await server.create({ input: 'Hi', include, return_tokens_as_token_ids: true });
    const [told] = (byId.json as { output: { content: { logprobs: Json[] }[] }[] }).output;
    expect(told!.content[0]!.logprobs.map(({ token }) => token)).toEqual(['token_id:97', 'token_id:98']);
  });
});

describe('streams', () => {
  test('carry the full sequence of events, numbered, each with its name', async () => {
    const server = await responsesServer(hello);
    const call = await server.create({ input: 'Hi', stream: true });
    const events = sseEvents(call);
    expect(withoutRepeats(typesOf(events))).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(events.map((event) => event['sequence_number'])).toEqual(events.map((_, index) => index));
    const deltas = events.filter(({ type }) => type === 'response.output_text.delta');
    expect(deltas.map(({ delta }) => delta).join('')).toBe('Hello there.');
    expect(deltas.map((delta) => delta['token_index'])).toEqual([0, 4, 8]);
    expect(outputText(responseOf(events))).toBe('Hello there.');
    expect(call.ended).toBe(true);
  });

  test('a failure of the device is response.failed', async () => {
    const server = await responsesServer({
      ...hello,
      engine: {
        script: () => ({ tokens: [72, 105], failure: { code: 'worker-died', message: 'the worker died' } }),
      },
    });
    const events = sseEvents(await server.create({ input: 'Hi', stream: true }));
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'server_error', message: 'the worker died' } },
    });
    const whole = await server.create({ input: 'Hi' });
    expect([whole.status, whole.json]).toMatchObject([500, { error: { code: 'worker_died' } }]);
  });

  test('a prompt beyond the context fails in the words that make clients compact', async () => {
    const server = await responsesServer({ ...hello, engine: { contextTokensMax: 64 } });
    const long = 'x'.repeat(100);
    const events = sseEvents(await server.create({ input: long, stream: true }));
    expect(typesOf(events)).toEqual(['response.created', 'response.in_progress', 'response.failed']);
    expect(events.at(-1)).toMatchObject({ response: { error: { code: 'context_length_exceeded' } } });
    expect((await server.create({ input: long })).status).toBe(400);
  });

  test('truncation leaves out the oldest items, never instructions nor the question', async () => {
    const server = await responsesServer({ ...hello, engine: { contextTokensMax: 128 } });
    const input = [
      { role: 'developer', content: 'Rules.' },
      ...Array.from({ length: 20 }, (_, i) => ({ role: 'user', content: `message ${i}` })),
    ];
    const call = await server.create({ input, truncation: 'auto' });
    expect(call.status).toBe(200);
    expect(server.prompts[0]).toMatch(/^system: Rules\.\nuser: message 1[5-9]\n/);
    expect(server.prompts[0]).toMatch(/user: message 19\nassistant: $/);
  });

  test.each([2, 3, 4, 5, 8, 9, 17, 60])('of %d messages as many stay as have room', async (count) => {
    const server = await responsesServer({ ...hello, engine: { contextTokensMax: 256 } });
    const { json } = await server.request('GET', '/props');
    const { n_ctx: context } = (json as { default_generation_settings: { n_ctx: number } })
      .default_generation_settings;
    const room = context - 16;
    const size = (prompt: string) => encodeBytes(prompt).length;
    for (const length of [1, 14, 30, 190]) {
      const input = Array.from({ length: count }, (_, i) => ({
        role: 'user',
        content: `${i}`.padEnd(length),
      }));
      const call = await server.create({ input, truncation: 'auto', max_output_tokens: 16 });
      expect(call.status).toBe(200);
      const laidOut = (from: number) =>
        `${input
          .slice(from)
          .map(({ content }) => `user: ${content}\n`)
          .join('')}assistant: `;
      const prompt = server.prompts.at(-1)!;
      const from = input.findIndex((_, index) => laidOut(index) === prompt);
      expect([server.server.submitted.at(-1)!.tokens.length <= room, from]).toEqual([
        true,
        Math.max(0, from),
      ]);
      expect(from === 0 || size(laidOut(from - 1)) + count - from + 1 > room).toBe(true); // each ends with a token
    }
  });

  test('a long silence is broken by response.in_progress', async () => {
    const server = await responsesServer({ ...hello, engine: { stepMs: 25_000, tokensPerStep: 64 } });
    const events = sseEvents(await server.create({ input: 'Hi', stream: true }));
    expect(typesOf(events).filter((type) => type === 'response.in_progress')).toHaveLength(3);
  });

  test('a caller that leaves stops the generation', async () => {
    const server = await responsesServer({ say: () => 'x'.repeat(1000) });
    const call = server.send('POST', '/v1/responses', { input: 'Hi', stream: true });
    await server.settle(20);
    call.leave();
    await server.settle(25);
    expect(server.server.engine.activeCount).toBe(0);
  });
});

describe('stored responses', () => {
  test('are read, listed, chained and deleted', async () => {
    const server = await responsesServer(hello);
    const first = (await server.create({ input: 'Hi' })).json as { id: string };
    expect((await server.request('GET', `/v1/responses/${first.id}`)).json).toEqual(first);
    await server.create({ input: 'And?', previous_response_id: first.id });
    expect(server.prompts[1]).toBe('user: Hi\nassistant: Hello there.\nuser: And?\nassistant: ');
    const items = await server.request('GET', `/v1/responses/${first.id}/input_items`);
    expect(items.json).toMatchObject({
      object: 'list',
      data: [{ role: 'user', content: [{ text: 'Hi' }] }],
      has_more: false,
    });
    const deleted = await server.request('DELETE', `/v1/responses/${first.id}`);
    expect(deleted.json).toEqual({ id: first.id, object: 'response', deleted: true });
    expect((await server.request('GET', `/v1/responses/${first.id}`)).status).toBe(404);
  });

  test('with store: false nothing is kept', async () => {
    const server = await responsesServer(hello);
    const { id } = (await server.create({ input: 'Hi', store: false })).json as { id: string };
    expect((await server.request('GET', `/v1/responses/${id}`)).status).toBe(404);
    const next = await server.create({ input: 'And?', previous_response_id: id });
    expect(next.json).toMatchObject({
      error: { code: 'previous_response_not_found', param: 'previous_response_id' },
    });
  });

  test('lend their items to whoever names them', async () => {
    const server = await responsesServer(hello);
    const first = (await server.create({ input: 'Hi' })).json as { output: { id: string }[] };
    const reference = { type: 'item_reference', id: first.output[0]!.id };
    await server.create({ input: [reference, { role: 'user', content: 'And?' }] });
    expect(server.prompts[1]).toBe('assistant: Hello there.\nuser: And?\nassistant: ');
    const unknown = await server.create({ input: [{ type: 'item_reference', id: 'msg_x' }] });
    expect([unknown.status, unknown.json]).toMatchObject([404, { error: { param: 'input' } }]);
  });

  test('belong to their key', async () => {
    const flags = { apiKeys: ['alice-key-1', 'bob-key-0002'] };
    const server = await responsesServer({ ...hello, flags });
    const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
    const call = server.transport.call({
      method: 'POST',
      path: '/v1/responses',
      body: { input: 'Hi' },
      ...as('alice-key-1'),
    });
    await server.settle();
    const path = `/v1/responses/${(call.json as { id: string }).id}`;
    const own = server.transport.call({ path, ...as('alice-key-1') });
    const strange = server.transport.call({ path, ...as('bob-key-0002') });
    await server.settle();
    expect([own.status, strange.status]).toEqual([200, 404]);
  });

  test('the oldest goes when there are too many', async () => {
    const server = await responsesServer({ ...hello, flags: { responseCountMax: 2 } });
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push(((await server.create({ input: 'Hi' })).json as { id: string }).id);
    const statuses: number[] = [];
    for (const id of ids) statuses.push((await server.request('GET', `/v1/responses/${id}`)).status);
    expect(statuses).toEqual([404, 200, 200]);
  });

  test('a background response is polled and can be cancelled', async () => {
    const server = await responsesServer({ say: () => 'x'.repeat(100) });
    const call = server.send('POST', '/v1/responses', { input: 'Hi', background: true });
    await server.settle(5);
    const { id, status } = call.json as { id: string; status: string };
    expect(status).toBe('in_progress');
    const cancelled = server.send('POST', `/v1/responses/${id}/cancel`, {});
    await server.settle();
    expect(cancelled.json).toMatchObject({ id, status: 'cancelled' });
    expect(server.server.engine.activeCount).toBe(0);
    const other = (await server.create({ input: 'Hi' })).json as { id: string };
    expect((await server.request('POST', `/v1/responses/${other.id}/cancel`, {})).status).toBe(400);
  });
});

describe('refusals', () => {
  test.each([
    [{ input: 7 }, 'input'],
    [{ input: [] }, 'input'],
    [{ input: 'Hi', max_output_tokens: -1 }, 'max_output_tokens'],
    [{ input: 'Hi', temperature: 'hot' }, 'temperature'],
    [{ input: 'Hi', tools: 'all' }, 'tools'],
    [{ input: 'Hi', background: true, store: false }, 'background'],
    [{ input: 'Hi', model: 'gpt-9' }, 'model'],
    [{ input: 'Hi', text: { format: { type: 'json_schema', schema: { type: 7 } } } }, 'text.format'],
  ])('%j is refused, naming %s', async (body, param) => {
    const server = await responsesServer(hello);
    const call = await server.create(body);
    expect(call.status).toBeGreaterThanOrEqual(400);
    expect(call.json).toMatchObject({ error: { param } });
  });

  test('unknown fields, items, parts and tools are ignored', async () => {
    const server = await responsesServer(hello);
    const call = await server.create({
      client_metadata: { turn: 1 },
      include: ['reasoning.encrypted_content'],
      reasoning: { effort: 'high', summary: 'auto' },
      tools: [{ type: 'web_search' }, { type: 'tool_search', x: [] }, 7, null],
      tool_choice: 'auto',
      input: [
        { type: 'item_of_tomorrow', data: 1 },
        { type: 'reasoning', summary: [], encrypted_content: 'xyz' },
        7,
        { role: 'user', content: [{ type: 'input_text', text: 'Hi' }, { type: 'input_hologram' }] },
      ],
    });
    expect(call.status).toBe(200);
    expect(server.prompts).toEqual(['user: Hi\nassistant: ']);
  });

  test('a body nested without end is refused', async () => {
    const server = await responsesServer(hello);
    const deep = `{"input":"Hi","tools":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    const call = server.transport.call({
      method: 'POST',
      path: '/v1/responses',
      headers: { 'content-type': 'application/json' },
      body: deep,
    });
    await server.settle();
    expect([call.status, call.json]).toMatchObject([400, { error: { code: 'invalid_json' } }]);
  });
});
