// /v1/conversations, and responses that are written into them: whole, streamed, over the WebSocket; whose they are, who may
// write at a time, and what bounds them.
import { describe, expect, test } from 'vitest';
import {
  hermesCall,
  type Json,
  type ResponsesServer,
  type ResponsesWorldOptions,
  responseOf,
  responsesServer,
  sseEvents,
} from '../../../responses-world.ts';

const path = '/v1/conversations';

async function server(options: Partial<ResponsesWorldOptions> = {}): Promise<ResponsesServer> {
  return responsesServer({ say: () => 'Hello there.', ...options });
}

/** Everything happens, but no connection grows old. */
async function soon(world: ResponsesServer, method: string, target: string, body?: unknown): Promise<Json> {
  const call = world.send(method, target, body);
  await world.settle(world.clock.nowMs() + 1000);
  return { status: call.status, ...(call.json as Json) };
}

async function made(world: ResponsesServer, body: object = {}): Promise<string> {
  const { id } = await soon(world, 'POST', path, body);
  return String(id);
}

async function texts(world: ResponsesServer, id: string): Promise<unknown[]> {
  const { data } = await soon(world, 'GET', `${path}/${id}/items?order=asc`);
  return (data as readonly Json[]).map(({ type, content }) =>
    type === 'message' ? (content as readonly Json[])[0]!['text'] : type,
  );
}

describe('a conversation', () => {
  test('is made, read, described and forgotten', async () => {
    const world = await server();
    const kept = await soon(world, 'POST', path, { metadata: { topic: 'demo' } });
    expect(kept).toEqual({
      status: 200,
      id: expect.stringMatching(/^conv_/),
      object: 'conversation',
      created_at: expect.any(Number),
      metadata: { topic: 'demo' },
    });
    const one = `${path}/${String(kept['id'])}`;
    expect(await soon(world, 'GET', one)).toEqual(kept);
    expect(await soon(world, 'POST', one, { metadata: { topic: 'other' } })).toMatchObject({
      metadata: { topic: 'other' },
    });
    expect(await soon(world, 'GET', one)).toMatchObject({ metadata: { topic: 'other' } });
    expect(await soon(world, 'DELETE', one)).toEqual({
      ...{ status: 200, id: kept['id'], object: 'conversation.deleted', deleted: true },
    });
    expect(await soon(world, 'GET', one)).toMatchObject({ status: 404, error: { param: 'conversation' } });
  });

  test('is also made by a request without a body, as SDKs send it', async () => {
    const world = await server();
    const call = world.transport.call({ method: 'POST', path });
    await world.settle();
    expect(call.json).toMatchObject({ object: 'conversation', metadata: {} });
  });

  test('takes items, tells them in pages, and gives them up one by one', async () => {
    const world = await server();
    const id = await made(world, { items: [{ role: 'user', content: 'One' }] });
    const added = await soon(world, 'POST', `${path}/${id}/items`, {
      items: [
        { role: 'assistant', content: 'Two' },
        { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: '3' },
      ],
    });
    expect(added).toMatchObject({
      object: 'list',
      has_more: false,
      data: [
        {
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'Two', annotations: [], logprobs: [] }],
        },
        { type: 'function_call', status: 'completed' },
        { type: 'function_call_output', status: 'completed' },
      ],
    });
    expect(await texts(world, id)).toEqual(['One', 'Two', 'function_call', 'function_call_output']);
    const items = `${path}/${id}/items`;
    const newest = await soon(world, 'GET', `${items}?limit=1`);
    expect(newest).toMatchObject({ has_more: true, data: [{ type: 'function_call_output' }] });
    const next = await soon(world, 'GET', `${items}?limit=1&after=${String(newest['last_id'])}`);
    expect(next).toMatchObject({ data: [{ type: 'function_call' }] });
    const [first] = added['data'] as readonly Json[];
    const one = `${items}/${String(first!['id'])}`;
    expect(await soon(world, 'GET', one)).toMatchObject({ ...first });
    expect(await soon(world, 'DELETE', one)).toMatchObject({ object: 'conversation', id });
    expect(await soon(world, 'GET', one)).toMatchObject({ status: 404, error: { param: 'item_id' } });
    expect(await texts(world, id)).toEqual(['One', 'function_call', 'function_call_output']);
  });

  test.each([
    ['more than 20 items', { items: Array.from({ length: 21 }, () => ({ content: 'x' })) }, 'items'],
    ['an item that is none', { items: ['x'] }, 'items[0]'],
    [
      '17 entries',
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [n, ''])) },
      'metadata',
    ],
    ['a reference to nothing', { items: [{ type: 'item_reference', id: 'msg_0' }] }, 'input'],
    ['an id twice', { items: ['a', 'b'].map((content) => ({ id: 'msg_1', content })) }, 'items[1].id'],
  ])('refuses %s', async (_, body, param) => {
    const world = await server();
    expect(await soon(world, 'POST', path, body)).toMatchObject({ error: { param } });
    expect((await world.request('GET', '/metrics')).text).toMatch(/sparklane_conversations 0/);
  });
});

describe('responses', () => {
  test('go on from their conversation and are written into it, streamed or not', async () => {
    const world = await server();
    const conversation = await made(world, { items: [{ role: 'user', content: 'My name is Ada.' }] });
    const whole = await soon(world, 'POST', '/v1/responses', { conversation, input: 'Who am I?' });
    expect(whole).toMatchObject({ status: 'completed', conversation: { id: conversation } });
    const call = await world.create({ conversation: { id: conversation }, input: 'And now?', stream: true });
    expect(responseOf(sseEvents(call))).toMatchObject({ conversation: { id: conversation } });
    expect(world.prompts[1]).toBe(
      'user: My name is Ada.\nuser: Who am I?\nassistant: Hello there.\nuser: And now?\nassistant: ',
    );
    expect(await texts(world, conversation)).toEqual([
      ...['My name is Ada.', 'Who am I?', 'Hello there.', 'And now?', 'Hello there.'],
    ]);
  });

  test('without one have none', async () => {
    const world = await server();
    expect(await soon(world, 'POST', '/v1/responses', { input: 'Hi' })).toMatchObject({ conversation: null });
  });

  test('are written into it also where they are not stored', async () => {
    const world = await server();
    const conversation = await made(world);
    const { id } = await soon(world, 'POST', '/v1/responses', { conversation, input: 'Hi', store: false });
    expect(await soon(world, 'GET', `/v1/responses/${String(id)}`)).toMatchObject({ status: 404 });
    expect(await texts(world, conversation)).toEqual(['Hi', 'Hello there.']);
  });

  test('call tools, whose outputs come in the next one', async () => {
    const tools = [{ type: 'function', name: 'shell', parameters: { type: 'object' } }];
    const said = [hermesCall('shell', { command: 'ls' }), 'One file.'];
    const world = await server({ say: () => said.shift()! });
    const conversation = await made(world);
    const asked = await soon(world, 'POST', '/v1/responses', { conversation, input: 'Look', tools });
    const [call] = asked['output'] as readonly Json[];
    const input = [{ type: 'function_call_output', call_id: call!['call_id'], output: 'a.ts' }];
    expect(await soon(world, 'POST', '/v1/responses', { conversation, input, tools })).toMatchObject({
      output: [{ content: [{ text: 'One file.' }] }],
    });
    const stray = [{ ...input[0], call_id: 'call_nobody' }];
    expect(await soon(world, 'POST', '/v1/responses', { conversation, input: stray })).toMatchObject({
      error: { param: 'input[0].call_id' },
    });
    expect(await texts(world, conversation)).toEqual([
      ...['Look', 'function_call', 'function_call_output', 'One file.'],
    ]);
  });

  test('have one past: a conversation or an earlier response', async () => {
    const world = await server();
    const conversation = await made(world);
    const refused = { conversation, previous_response_id: 'resp_1', input: 'Hi' };
    expect(await soon(world, 'POST', '/v1/responses', refused)).toMatchObject({
      status: 400,
      error: { param: 'conversation' },
    });
    expect(await soon(world, 'POST', '/v1/responses', { conversation: 'conv_0', input: 'Hi' })).toMatchObject(
      {
        status: 404,
        error: { param: 'conversation' },
      },
    );
  });

  test('are counted with it', async () => {
    const world = await server();
    const conversation = await made(world, { items: [{ role: 'user', content: 'Hello' }] });
    const counted = await soon(world, 'POST', '/v1/responses/input_tokens', { conversation, input: 'Hi' });
    const input = ['Hello', 'Hi'].map((content) => ({ role: 'user', content }));
    const sent = await soon(world, 'POST', '/v1/responses/input_tokens', { input });
    expect(counted['input_tokens']).toBe(sent['input_tokens']);
    expect(await texts(world, conversation)).toEqual(['Hello']);
  });

  test('that fail or are cancelled leave it as it was', async () => {
    const failure = { code: 'worker-died', message: 'the worker died' } as const;
    const world = await server({ engine: { script: () => ({ tokens: [72], failure }) } });
    const conversation = await made(world, { items: [{ role: 'user', content: 'Hello' }] });
    expect(await soon(world, 'POST', '/v1/responses', { conversation, input: 'Hi' })).toMatchObject({
      status: 500,
    });
    const call = world.send('POST', '/v1/responses', { conversation, input: 'Hi', stream: true });
    await world.settle(world.clock.nowMs() + 2);
    call.leave();
    await world.settle();
    expect(await texts(world, conversation)).toEqual(['Hello']);
    expect(
      await soon(world, 'POST', `${path}/${conversation}/items`, { items: [{ content: 'x' }] }),
    ).toMatchObject({ object: 'list' });
  });
});

describe('one at a time', () => {
  test('is written; others are refused until it is over, and nothing of theirs stays', async () => {
    const world = await server();
    const conversation = await made(world);
    const first = world.send('POST', '/v1/responses', { conversation, input: 'First', stream: true });
    const second = world.send('POST', '/v1/responses', { conversation, input: 'Second' });
    const item = world.send('POST', `${path}/${conversation}/items`, { items: [{ content: 'x' }] });
    await world.settle(world.clock.nowMs() + 1000);
    for (const refused of [second, item]) {
      expect(refused.status).toBe(400);
      expect(refused.json).toMatchObject({ error: { code: 'conversation_locked', param: 'conversation' } });
    }
    expect(responseOf(sseEvents(first))).toMatchObject({ status: 'completed' });
    expect(await texts(world, conversation)).toEqual(['First', 'Hello there.']);
    const third = await soon(world, 'POST', '/v1/responses', { conversation, input: 'Third' });
    expect(third).toMatchObject({ status: 'completed' });
  });

  test('that is deleted meanwhile is gone; the answer goes on', async () => {
    const world = await server();
    const conversation = await made(world);
    const first = world.send('POST', '/v1/responses', { conversation, input: 'First', stream: true });
    await world.settle(world.clock.nowMs() + 10);
    world.send('DELETE', `${path}/${conversation}`);
    await world.settle(world.clock.nowMs() + 1000);
    expect(responseOf(sseEvents(first))).toMatchObject({ status: 'completed' });
    expect(await soon(world, 'GET', `${path}/${conversation}`)).toMatchObject({ status: 404 });
  });
});

describe('over the WebSocket', () => {
  test('a frame names its conversation; a warm-up leaves it alone', async () => {
    const world = await server();
    const conversation = await made(world, { items: [{ role: 'user', content: 'Hello' }] });
    const client = world.connect();
    client.create({ conversation, input: 'Hi', generate: false });
    client.create({ conversation, input: 'Hi' });
    await world.settle(world.clock.nowMs() + 1000);
    expect(responseOf(client.take())).toMatchObject({ conversation: { id: conversation } });
    expect(await texts(world, conversation)).toEqual(['Hello', 'Hi', 'Hello there.']);
    client.create({ conversation, previous_response_id: 'resp_1', input: 'Hi' });
    client.create({ conversation: 'conv_0', input: 'Hi' });
    await world.settle(world.clock.nowMs() + 1000);
    expect(client.take()).toMatchObject([
      { type: 'error', status: 400, error: { param: 'conversation' } },
      { type: 'error', status: 404, error: { param: 'conversation' } },
    ]);
  });

  test('a steered answer and what it goes on with are in it once', async () => {
    const world = await server({
      say: (prompt) => (prompt.includes('Shorter') ? 'Ok.' : 'A long story '.repeat(40)),
    });
    const conversation = await made(world);
    const client = world.connect();
    client.create({ conversation, input: 'Tell' });
    await world.settle(world.clock.nowMs() + 20);
    const [created] = client.take();
    const { id } = created!['response'] as Json;
    client.send({ type: 'response.steer', previous_response_id: id, input: 'Shorter' });
    await world.settle(world.clock.nowMs() + 1000);
    const kept = await texts(world, conversation);
    expect(kept).toEqual(['Tell', expect.stringMatching(/^A long story/), 'Shorter', 'Ok.']);
  });
});

test('what is steered while a call is written joins the outputs, and the conversation', async () => {
  const tools = [{ type: 'function', name: 'shell', parameters: { type: 'object' } }];
  const say = (prompt: string) =>
    prompt.includes('Shorter') ? 'Ok.' : hermesCall('shell', { a: 'x'.repeat(90) });
  const world = await server({ say });
  const conversation = await made(world);
  const client = world.connect();
  client.create({ conversation, input: 'Look', tools });
  const events: Json[] = [];
  while (!events.some(({ type }) => type === 'response.function_call_arguments.delta')) {
    await world.settle(world.clock.nowMs() + 1);
    events.push(...client.take());
  }
  const { id } = events[0]!['response'] as Json;
  client.send({ type: 'response.steer', previous_response_id: id, input: 'Shorter' });
  await world.settle(world.clock.nowMs() + 1000);
  const [call] = responseOf(client.take().filter(({ type }) => type === 'response.completed'))[
    'output'
  ] as Json[];
  client.create({
    ...{ conversation, tools },
    input: [{ type: 'function_call_output', call_id: call!['call_id'], output: 'a.ts' }],
  });
  await world.settle(world.clock.nowMs() + 1000);
  expect(responseOf(client.take())).toMatchObject({ status: 'completed' });
  const kept = await texts(world, conversation);
  expect(kept).toEqual(['Look', 'function_call', 'Shorter', 'function_call_output', 'Ok.']);
});

describe('bounds', () => {
  test('of a key: the conversation that it used least recently is forgotten, another key’s is not', async () => {
    const flags = { apiKeys: ['aaaaaaaa', 'bbbbbbbb'], conversationCountPerKeyMax: 2 };
    const world = await server({ flags });
    const ask = async (key: string, method: string, target: string) => {
      const headers = { authorization: `Bearer ${key}` };
      const call = world.transport.call({
        method,
        path: target,
        headers,
        ...(method === 'POST' && { body: {} }),
      });
      await world.settle(world.clock.nowMs() + 1000);
      return call;
    };
    const make = async (key: string) => String(((await ask(key, 'POST', path)).json as Json)['id']);
    const others = await make('bbbbbbbb');
    const [first, second] = [await make('aaaaaaaa'), await make('aaaaaaaa')];
    expect((await ask('bbbbbbbb', 'GET', `${path}/${first}`)).status).toBe(404);
    expect((await ask('aaaaaaaa', 'GET', `${path}/${first}`)).status).toBe(200); // used
    const third = await make('aaaaaaaa');
    const statuses = [];
    for (const id of [first, second, third])
      statuses.push((await ask('aaaaaaaa', 'GET', `${path}/${id}`)).status);
    expect(statuses).toEqual([200, 404, 200]);
    expect((await ask('bbbbbbbb', 'GET', `${path}/${others}`)).status).toBe(200);
  });

  test('of all texts: what does not go in is refused, what is unused goes', async () => {
    const world = await server({ flags: { conversationStoreSizeMax: '2KiB' } });
    const big = { items: [{ role: 'user', content: 'x'.repeat(1500) }] };
    const old = await made(world, big);
    expect(await soon(world, 'POST', `${path}/${old}/items`, big)).toMatchObject({
      status: 400,
      error: { message: expect.stringContaining('--conversation-store-size') },
    });
    const young = await made(world, big);
    expect(await soon(world, 'GET', `${path}/${old}`)).toMatchObject({ status: 404 });
    expect(await soon(world, 'GET', `${path}/${young}`)).toMatchObject({ status: 200 });
  });

  test('of time: one that nobody used', async () => {
    const world = await server({ flags: { conversationTtlMs: 10_000 } });
    const [used, unused] = [await made(world), await made(world)];
    for (let n = 0; n < 3; n++) {
      await world.settle(world.clock.nowMs() + 5000);
      expect(await soon(world, 'GET', `${path}/${used}`)).toMatchObject({ status: 200 });
    }
    expect(await soon(world, 'GET', `${path}/${unused}`)).toMatchObject({ status: 404 });
  });
});
