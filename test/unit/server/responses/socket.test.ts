// The WebSocket mode of the Responses API: chains, warm-ups, lanes, steering, age, and what a frame may not say.
import { describe, expect, test } from 'vitest';
import {
  hermesCall,
  type Json,
  responseOf,
  responsesServer,
  typesOf,
  withoutRepeats,
} from '../../../responses-world.ts';

const hello = { say: () => 'Hello there.' };
const tools = [{ type: 'function', name: 'shell', parameters: { type: 'object' } }];

function idOf(events: readonly Json[]): string {
  return String(responseOf(events)['id']);
}

function user(text: string): Json {
  return { type: 'message', role: 'user', content: [{ type: 'input_text', text }] };
}

describe('a chain', () => {
  test('says the events of a stream as text frames, and no more', async () => {
    const server = await responsesServer(hello);
    const events = await server.connect().ask({ input: 'Hi', stream: true, store: false });
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
  });

  test('goes on from the connection’s own memory with what is new', async () => {
    const server = await responsesServer(hello);
    const client = server.connect();
    const first = await client.ask({ input: 'Hi', store: false });
    await client.ask({ input: [user('And?')], store: false, previous_response_id: idOf(first) });
    expect(server.prompts[1]).toBe('user: Hi\nassistant: Hello there.\nuser: And?\nassistant: ');
  });

  test('that nobody remembers is the documented error', async () => {
    const server = await responsesServer(hello);
    const [error] = await server.connect().ask({ input: 'Hi', previous_response_id: 'resp_abc' });
    expect(error).toEqual({
      type: 'error',
      status: 400,
      error: {
        type: 'invalid_request_error',
        code: 'previous_response_not_found',
        message: "Previous response with id 'resp_abc' not found.",
        param: 'previous_response_id',
      },
    });
  });

  test('with store: false is not remembered by another connection, with store: true it is', async () => {
    const server = await responsesServer(hello);
    for (const store of [false, true]) {
      const first = await server.connect().ask({ input: 'Hi', store });
      const next = await server.connect().ask({ input: 'And?', previous_response_id: idOf(first) });
      expect(next.at(-1)!['type']).toBe(store ? 'response.completed' : 'error');
    }
  });

  test('a refused turn in its lane forgets the parent', async () => {
    const server = await responsesServer(hello);
    const client = server.connect();
    const previous_response_id = idOf(await client.ask({ input: 'Hi', store: false }));
    const bad = { input: 'And?', store: false, previous_response_id, model: 'gpt-9' };
    expect((await client.ask(bad))[0]).toMatchObject({ type: 'error', status: 404 });
    const again = await client.ask({ input: 'And?', store: false, previous_response_id });
    expect(again[0]).toMatchObject({ type: 'error', error: { code: 'previous_response_not_found' } });
  });
});

describe('a warm-up', () => {
  const developer = { type: 'message', role: 'developer', content: 'You are Codex. '.repeat(20) };

  test('is acknowledged before anything is computed, and computed in the background', async () => {
    const server = await responsesServer({ ...hello, engine: { stepMs: 1000 } });
    const client = server.connect();
    client.create({ generate: false, input: [developer], tools, store: false });
    await server.settle(1);
    const events = client.take();
    expect(typesOf(events)).toEqual(['response.created', 'response.in_progress', 'response.completed']);
    expect(responseOf(events)).toMatchObject({ status: 'completed', output: [] });
    expect(server.server.submitted[0]).toMatchObject({ maxTokens: 0, priority: 'background' });
  });

  test('makes way for the turn that goes on from it', async () => {
    const server = await responsesServer({ ...hello, engine: { stepMs: 1000 } });
    const client = server.connect();
    client.create({ generate: false, input: [developer], store: false });
    await server.settle(1);
    const previous_response_id = idOf(client.take());
    const events = await client.ask({ input: [user('Hi')], store: false, previous_response_id });
    expect(events.at(-1)).toMatchObject({ type: 'response.completed' });
    const [warmUp, turn] = server.prompts;
    expect(turn!.startsWith(warmUp!)).toBe(true);
    expect(server.server.submitted[1]).toMatchObject({ priority: 'turn' });
  });

  test('and titles have less priority than a person’s turn', async () => {
    const server = await responsesServer({ say: () => '{}' });
    const format = { type: 'json_schema', name: 'codex_output_schema', schema: { type: 'object' } };
    await server.connect().ask({ input: 'Title?', text: { format }, store: false });
    expect(server.server.submitted[0]).toMatchObject({ priority: 'side' });
  });
});

describe('lanes', () => {
  test('run side by side, each first in, first out, and mark their frames', async () => {
    const server = await responsesServer({ say: (prompt) => prompt.slice(6, 8) });
    const client = server.connect();
    for (const [stream_id, input] of [
      ['a', 'a1'],
      ['a', 'a2'],
      ['b', 'b1'],
    ]) {
      client.create({ input, stream_id, store: false });
    }
    await server.settle();
    const ends = client.take().filter(({ type }) => type === 'response.completed');
    expect(server.prompts.map((prompt) => prompt.slice(6, 8))).toEqual(['a1', 'b1', 'a2']);
    expect(ends.map((end) => end['stream_id'])).toEqual(['a', 'b', 'a']);
  });

  test('can be forked, and a fork that fails leaves the parent alone', async () => {
    const server = await responsesServer(hello);
    const client = server.connect();
    const previous_response_id = idOf(await client.ask({ input: 'Hi', stream_id: 'a', store: false }));
    const fork = { input: 'Fork', stream_id: 'b', store: false, previous_response_id };
    expect((await client.ask({ ...fork, model: 'gpt-9' }))[0]).toMatchObject({
      type: 'error',
      stream_id: 'b',
    });
    expect((await client.ask(fork)).at(-1)).toMatchObject({ type: 'response.completed' });
    expect((await client.ask({ ...fork, stream_id: 'a' })).at(-1)).toMatchObject({
      type: 'response.completed',
    });
  });

  test('are bounded: 32 named ones, 16 responses at once, 64 turns that wait', async () => {
    const server = await responsesServer({ say: () => 'x'.repeat(100), engine: { slotCount: 64 } });
    const client = server.connect();
    for (let i = 0; i < 33; i++) client.create({ input: 'Hi', stream_id: `lane-${i}`, store: false });
    await server.settle(3);
    expect(server.server.engine.activeCount).toBe(16);
    const [tooMany] = client.take().filter(({ type }) => type === 'error');
    expect(tooMany).toMatchObject({ status: 400, error: { code: 'websocket_stream_limit_reached' } });
    for (let i = 0; i < 64; i++) client.create({ input: 'Hi', store: false });
    await server.settle(4);
    const refused = client.take().filter(({ type }) => type === 'error');
    expect(refused.at(-1)).toMatchObject({
      status: 429,
      error: { code: 'rate_limit_exceeded', message: expect.stringContaining('try again in 1.0s') },
      headers: { 'retry-after': '1' },
    });
    await server.settle();
    expect(server.server.engine.activeCount).toBe(0);
  });

  test.each([7, '', 'a b', 'x'.repeat(257)])('%j is no name of one', async (stream_id) => {
    const server = await responsesServer(hello);
    const [error] = await server.connect().ask({ input: 'Hi', stream_id });
    expect(error).toMatchObject({ type: 'error', status: 400, error: { code: 'invalid_stream_id' } });
  });
});

describe('steering', () => {
  async function steered(say: (prompt: string) => string) {
    const server = await responsesServer({ say, engine: { tokensPerStep: 1, stepMs: 1 } });
    const client = server.connect();
    client.create({ input: 'Plan it', store: false, tools });
    await server.settle(12);
    const before = client.take();
    const id = String((before[0]!['response'] as Json)['id']);
    client.send({ type: 'response.steer', previous_response_id: id, input: 'Keep it small' });
    await server.settle();
    return { server, client, id, before, after: client.take() };
  }

  test('ends the answer at a token and goes on with what it had said', async () => {
    const { server, id, after } = await steered((prompt) =>
      prompt.includes('small') ? 'A small plan.' : 'A very long plan. '.repeat(20),
    );
    expect(after[0]).toMatchObject({ type: 'response.steer.accepted', steer: { previous_response_id: id } });
    const incomplete = after.find(({ type }) => type === 'response.incomplete');
    expect(incomplete).toMatchObject({
      response: { id, status: 'incomplete', incomplete_details: { reason: 'steered' } },
    });
    expect(responseOf(after)).toMatchObject({ status: 'completed', previous_response_id: id });
    expect(server.prompts[1]).toMatch(
      /^user: Plan it\nassistant: A very.*\nuser: Keep it small\nassistant: $/,
    );
  });

  test('waits for the outputs that calls of the answer need', async () => {
    const call = hermesCall('shell', { command: 'ls' });
    const { server, client, id, after } = await steered((prompt) =>
      prompt.includes('small') ? 'Done.' : call,
    );
    const types = typesOf(after);
    expect(types.indexOf('response.steer.pending')).toBeGreaterThan(types.indexOf('response.completed'));
    const pending = after.find(({ type }) => type === 'response.steer.pending')!;
    const [required] = pending['required_input'] as { type: string; call_id: string }[];
    expect(pending['reason']).toBe('waiting_for_required_input');
    const input = [{ ...required, output: 'README.md' }];
    await client.ask({ input, previous_response_id: id, store: false, tools });
    expect(server.prompts[1]).toContain('Keep it small');
    expect(server.prompts[1]).toContain('README.md');
  });

  test('of an answer that has ended gives the input back', async () => {
    const server = await responsesServer(hello);
    const client = server.connect();
    const id = idOf(await client.ask({ input: 'Hi', store: false }));
    for (const [previous_response_id, code] of [
      [id, 'response_already_ended'],
      ['resp_x', 'response_not_found'],
    ]) {
      client.send({ type: 'response.steer', previous_response_id, input: 'More' });
      await server.settle();
      expect(client.take()).toMatchObject([
        { type: 'response.steer.failed', steer: { previous_response_id, input: 'More' }, error: { code } },
      ]);
    }
  });
});

describe('the connection', () => {
  test('that is dropped stops its work within a step', async () => {
    const server = await responsesServer({ say: () => 'x'.repeat(1000) });
    const client = server.connect();
    client.create({ input: 'Hi', store: false });
    client.create({ input: 'Ho', store: false, stream_id: 'b' });
    client.create({ generate: false, input: 'Warm', store: false, stream_id: 'c' });
    await server.settle(10);
    client.socket.disconnect();
    await server.settle(12);
    expect(server.server.engine.activeCount).toBe(0);
  });

  test('takes nothing new once it is old, and closes when it is done', async () => {
    const server = await responsesServer({
      say: () => 'x'.repeat(100),
      engine: { stepMs: 100 },
      flags: { responsesSocketAgeMaxMs: 1000 },
    });
    const client = server.connect();
    client.create({ input: 'Hi', store: false });
    await server.settle(1100);
    client.create({ input: 'Ho', store: false });
    await server.settle(1150);
    expect(client.take().at(-1)).toMatchObject({
      type: 'error',
      status: 400,
      error: { code: 'websocket_connection_limit_reached' },
    });
    await server.settle();
    expect(client.take().at(-1)).toMatchObject({ type: 'response.completed' });
    expect(client.socket.closedWith).toMatchObject({ code: 1000 });
  });

  test('with a slow reader pauses its answers and loses nothing', async () => {
    const server = await responsesServer({
      say: () => 'x'.repeat(2000),
      flags: { streamBufferSizeMax: 4096 },
    });
    const client = server.connect();
    client.socket.stopReading();
    client.create({ input: 'Hi', store: false });
    await server.settle(5000);
    expect(server.server.engine.pausedCount).toBe(1);
    expect(client.socket.bufferedMax).toBeLessThan(8192);
    client.socket.startReading();
    await server.settle();
    const events = client.take();
    const text = events.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta);
    expect(text.join('')).toHaveLength(2000);
  });

  test('is refused with 426 where WebSockets are switched off', async () => {
    const server = await responsesServer({ ...hello, flags: { responsesWebSocket: 'off' } });
    expect(server.transport.upgrade('/v1/responses')).toMatchObject({ accept: false, status: 426 });
  });

  test('needs its key in the upgrade', async () => {
    const server = await responsesServer({ ...hello, flags: { apiKeys: ['alice-key-1'] } });
    expect(server.transport.upgrade('/v1/responses')).toMatchObject({ accept: false, status: 401 });
  });

  test.each([
    ['{"type":', 'invalid_json'],
    [`${'['.repeat(300)}${']'.repeat(300)}`, 'invalid_json'],
    ['{"type":"response.cancel"}', 'invalid_request'],
    ['{}', 'invalid_request'],
    ['{"type":"response.create","input":7}', 'invalid_request'],
    ['{"type":"response.steer"}', 'invalid_request'],
  ])('answers %s with a typed error and goes on', async (frame, code) => {
    const server = await responsesServer(hello);
    const client = server.connect();
    client.send(frame);
    await server.settle();
    expect(client.take()).toMatchObject([{ type: 'error', status: 400, error: { code } }]);
    expect((await client.ask({ input: 'Hi', store: false })).at(-1)).toMatchObject({
      type: 'response.completed',
    });
  });

  test('closes on a peer that never speaks JSON', async () => {
    const server = await responsesServer(hello);
    const client = server.connect();
    for (let i = 0; i < 9; i++) client.send('hello?');
    await server.settle();
    expect(client.socket.closedWith).toMatchObject({ code: 1007 });
  });
});
