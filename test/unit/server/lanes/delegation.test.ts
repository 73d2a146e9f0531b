// Background work in a session: the strong lane works on while the quick one keeps talking; its result comes back as an
// item, can be watched from anywhere, cancelled, and does not care who leaves.
import { expect, test } from 'vitest';
import { type LanesServer, lanesServer } from '../../../lanes-world.ts';
import { type Json, responseOf, sseEvents, typesOf } from '../../../responses-world.ts';
import { chunksOf } from '../../../scripted-wire.ts';

const long = { pieces: chunksOf(['part one, ', 'part two, ', 'done.']), pieceMs: 1000 };

async function soon(server: LanesServer, body: object, ms = 200): Promise<Json & { id: string }> {
  const call = server.send('POST', '/v1/responses', body);
  await server.settle(server.clock.nowMs() + ms);
  return call.json as Json & { id: string };
}

async function talk(server: LanesServer) {
  const first = await soon(server, { model: 'auto', input: 'Rename x in a.ts' });
  const task = await soon(server, {
    model: 'auto',
    input: 'Refactor the parser everywhere',
    previous_response_id: first.id,
    background: true,
  });
  return { first, task };
}

test('the quick lane goes on talking; the result is the first item of the next answer, and the model has seen it', async () => {
  const server = await lanesServer({ upstream: () => long });
  const { first, task } = await talk(server);
  expect(task).toMatchObject({ status: 'queued', background: true, model: 'reliability' });
  const beside = await soon(server, {
    model: 'auto',
    input: 'Fix the typo in b.ts',
    previous_response_id: first.id,
  });
  expect(beside).toMatchObject({ status: 'completed', model: 'spark', output: [{ type: 'message' }] });
  await server.settle();
  const call = server.send('POST', '/v1/responses', {
    model: 'auto',
    input: 'Just rename y in a.ts',
    previous_response_id: beside.id,
    stream: true,
  });
  await server.settle();
  const events = sseEvents(call);
  expect(events[2]).toMatchObject({
    type: 'response.output_item.added',
    output_index: 0,
    item: {
      role: 'assistant',
      delegation: { response_id: task.id, lane: 'reliability', status: 'completed' },
    },
  });
  const { output, model } = responseOf(events) as {
    output: { content: { text: string }[] }[];
    model: string;
  };
  expect(model).toBe('spark');
  expect(output[0]!.content[0]!.text).toBe(
    `[Background task ${task.id}, reliability: completed]\npart one, part two, done.`,
  );
  expect(output[1]!.content[0]!.text).toBe('quick');
  expect(server.prompts.at(-1)).toContain('part two, done.\nuser: Just rename y');
  // It is told once, and stays in the conversation.
  const next = await soon(server, {
    model: 'auto',
    input: 'Just rename z',
    previous_response_id: (responseOf(events) as { id: string }).id,
  });
  expect(next['output']).toHaveLength(1);
  expect(server.prompts.at(-1)!.split('part two, done.')).toHaveLength(2);
});

test('while work is delegated, a large wish does not drag the talking after it', async () => {
  const server = await lanesServer({ upstream: () => ({ ...long, pieceMs: 100_000 }) });
  const { first } = await talk(server);
  const beside = await soon(server, {
    model: 'auto',
    input: 'Refactor the tests everywhere',
    previous_response_id: first.id,
  });
  expect(beside).toMatchObject({ model: 'spark', metadata: { sparklane_move: 'stay' } });
});

test('can be watched by anybody of its key, again and from the middle', async () => {
  const server = await lanesServer({ upstream: () => long });
  const { task } = await talk(server);
  const path = `/v1/responses/${task.id}?stream=true`;
  const early = server.send('GET', path);
  await server.settle(server.clock.nowMs() + 1500);
  early.leave(); // the network was bad
  await server.settle(server.clock.nowMs() + 100);
  const seen = sseEvents(early);
  const last = Number(seen.at(-1)!['sequence_number']);
  expect(typesOf(seen)).not.toContain('response.completed');
  const late = server.send('GET', `${path}&starting_after=${last}`);
  await server.settle();
  const rest = sseEvents(late);
  expect(rest[0]!['sequence_number']).toBe(last + 1);
  expect(responseOf(rest)).toMatchObject({ id: task.id, status: 'completed' });
  const whole = sseEvents(await server.request('GET', path));
  expect(whole).toEqual([...seen, ...rest]);
  expect((await server.request('GET', `${path}&starting_after=x`)).status).toBe(400);
  expect((await server.request('GET', `${path}&starting_after=`)).status).toBe(400);
});

test('streams to who asked for it with stream, and goes on when that one leaves', async () => {
  const server = await lanesServer({ upstream: () => long });
  const call = server.send('POST', '/v1/responses', {
    model: 'reliability',
    input: 'Go',
    background: true,
    stream: true,
  });
  await server.settle(server.clock.nowMs() + 500);
  const [created] = sseEvents(call);
  call.leave();
  await server.settle();
  const { id } = created!['response'] as { id: string };
  expect((await server.request('GET', `/v1/responses/${id}`)).json).toMatchObject({ status: 'completed' });
});

test('can be cancelled while it works and while it waits, and says nothing then', async () => {
  const lanes = {
    spark: { model: 'local', style: '' },
    reliability: {
      upstream: { url: 'http://up.test/v1', model: 'm' },
      style: '',
      limits: { concurrency: 1 },
    },
  };
  const server = await lanesServer({ lanes, upstream: () => ({ ...long, pieceMs: 100_000 }) });
  const works = await soon(server, { model: 'reliability', input: 'One', background: true });
  const waits = await soon(server, { model: 'reliability', input: 'Two', background: true });
  expect(waits).toMatchObject({ status: 'queued', queue: { position: 1 } });
  for (const { id } of [waits, works]) {
    const cancelled = server.send('POST', `/v1/responses/${id}/cancel`);
    await server.settle(server.clock.nowMs() + 100);
    expect(cancelled.json).toMatchObject({ id, status: 'cancelled' });
  }
  expect(server.wire.running).toBe(0);
  expect(server.lanes.report).toMatchObject([{ running: 0 }, { running: 0, waiting: 0 }]);
  const next = await soon(server, { model: 'spark', input: 'One' });
  expect(next['output']).toHaveLength(1);
});

test('a failure comes back too', async () => {
  const server = await lanesServer({
    upstream: () => ({ status: 400, pieces: ['{"error":{"message":"too long"}}'] }),
  });
  const task = await soon(server, { model: 'reliability', input: 'Go', background: true });
  await server.settle();
  expect((await server.request('GET', `/v1/responses/${task.id}`)).json).toMatchObject({
    status: 'failed',
    error: { message: 'the upstream of reliability answers 400: too long' },
  });
  const next = await soon(server, { model: 'spark', input: 'Go' });
  expect(next['output']).toMatchObject([{ delegation: { status: 'failed' } }, { type: 'message' }]);
});

test('over a WebSocket the lane is free at once, and the end is an event', async () => {
  const server = await lanesServer({ upstream: () => long });
  const client = server.connect();
  client.create({ model: 'reliability', input: 'Large', background: true });
  client.create({ model: 'spark', input: 'Small' });
  await server.settle(server.clock.nowMs() + 300);
  const events = client.take();
  expect(events[0]).toMatchObject({ type: 'sparklane.background.started', response: { background: true } });
  expect(responseOf(events)).toMatchObject({ status: 'completed', model: 'spark' });
  await server.settle();
  expect(client.take()).toMatchObject([
    { type: 'sparklane.background.done', response: { status: 'completed' } },
  ]);
});

test('survives the socket that began it', async () => {
  const server = await lanesServer({ upstream: () => long });
  const client = server.connect();
  client.create({ model: 'reliability', input: 'Large', background: true });
  await server.settle(server.clock.nowMs() + 300);
  const { id } = client.take()[0]!['response'] as { id: string };
  client.socket.close(1000, '');
  await server.settle();
  const again = server.connect();
  again.create({ model: 'spark', input: 'Large' }); // the same conversation, told from its beginning
  await server.settle();
  expect(responseOf(again.take())).toMatchObject({ output: [{ delegation: { response_id: id } }, {}] });
});

test('a conversation is written by whichever lane answers, and background work is in it without being told again', async () => {
  const server = await lanesServer({ upstream: () => ({ pieces: chunksOf(['strong']) }) });
  const made = await server.request('POST', '/v1/conversations', {});
  const { id: conversation } = made.json as { readonly id: string };
  await soon(server, { model: 'reliability', input: 'Refactor it', conversation });
  await soon(server, { model: 'auto', input: 'Fix the typo in b.ts', conversation });
  await soon(server, { model: 'reliability', input: 'Again', conversation, background: true });
  const next = await soon(server, { model: 'spark', input: 'Just rename y', conversation });
  expect(next['output']).toHaveLength(1);
  const items = await server.request('GET', `/v1/conversations/${conversation}/items?order=asc`);
  const { data } = items.json as { data: { content: { text: string }[] }[] };
  expect(data.map(({ content }) => content[0]!.text)).toEqual([
    ...[
      'Refactor it',
      'strong',
      'Fix the typo in b.ts',
      'quick',
      'Again',
      'strong',
      'Just rename y',
      'quick',
    ],
  ]);
});

test('compaction asks the lane that is named', async () => {
  const server = await lanesServer({ upstream: () => ({ pieces: chunksOf(['The summary.']) }) });
  const call = server.send('POST', '/v1/responses/compact', { model: 'reliability', input: 'Refactor it' });
  await server.settle(server.clock.nowMs() + 200);
  expect(call.json).toMatchObject({
    object: 'response.compaction',
    output: [{ role: 'user' }, { type: 'compaction' }],
  });
  const [, item] = (call.json as { output: Json[] }).output;
  await soon(server, { model: 'spark', input: [item, { role: 'user', content: 'Go on' }] });
  expect(server.prompts.at(-1)).toContain('The summary.');
});
