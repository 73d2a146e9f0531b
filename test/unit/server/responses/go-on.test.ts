// A response whose node is lost while it is written: another one goes on with the very events, over HTTP and on sockets, and two never
// write one. Two servers in virtual time with one store between them.
import { expect, test } from 'vitest';
import { type Json, type ResponsesServer, sseEvents } from '../../../responses-world.ts';
import { type SharedWorld, sharedWorld } from '../../../shared-world.ts';

const LONG = 'It is a long way to the end of this answer, and it takes its time.';
const world = () => sharedWorld({ say: (prompt) => `${LONG} ${prompt.length}` });
const background = { input: 'alpha', background: true, stream: true };

/** Events of an answer that nothing happens to, made in the same world. */
async function whole(body: object): Promise<Json[]> {
  const { a } = await world();
  return sseEvents(await a.request('POST', '/v1/responses', body));
}

/** Until the answer has so many events. */
async function begun({ a, clock }: SharedWorld, body: object, count: number): Promise<Json[]> {
  const call = a.send('POST', '/v1/responses', body);
  while (sseEvents(call).length < count) await a.settle(clock.nowMs() + 1);
  return sseEvents(call).slice(0, count);
}

async function soon(server: ResponsesServer, method: string, path: string, ms = 1000): Promise<Json> {
  const call = server.send(method, path);
  await server.settle(server.clock.nowMs() + ms);
  return { ...(call.json as Json), code: call.status };
}

const idOf = (events: readonly Json[]) => String((events[0]!['response'] as Json)['id']);

test('kill -9 of its node: a watcher hears the rest from another one, event by event', async () => {
  const expected = await whole(background);
  const numbers = expected.map((event) => event['sequence_number']);
  expect(numbers).toEqual(numbers.map((_, index) => index));
  const lost = await world();
  const heard = await begun(lost, background, 12);
  lost.cutA();
  const path = `/v1/responses/${idOf(heard)}?stream=true&starting_after=${heard.length - 1}`;
  const rest = sseEvents(await lost.b.request('GET', path));
  expect([...heard, ...rest]).toEqual(expected);
});

test('it is told as being written while its node lives, and goes on elsewhere once nobody does', async () => {
  const lost = await world();
  const heard = await begun(lost, background, 4);
  const path = `/v1/responses/${idOf(heard)}`;
  lost.cutA();
  expect(await soon(lost.b, 'GET', path)).toMatchObject({ code: 200, status: 'in_progress', output: [] });
  expect(lost.b.prompts).toHaveLength(0);
  await lost.b.settle(lost.clock.nowMs() + 2000); // its lease is over
  await soon(lost.b, 'GET', path);
  await lost.b.settle(lost.clock.nowMs() + 5000);
  const answer = (await soon(lost.b, 'GET', path))['output'] as readonly Json[];
  expect(JSON.stringify(answer)).toContain(LONG);
});

test('on a socket: what had begun on one node is resumed on another, at the number that its client asks for', async () => {
  const body = { type: 'response.create', input: 'alpha' };
  const alone = (await world()).a.connect();
  const expected = await alone.ask(body);
  const lost = await world();
  const first = lost.a.connect();
  first.send(body);
  const heard: Json[] = [];
  while (heard.length < 15) {
    await lost.a.settle(lost.clock.nowMs() + 1);
    heard.push(...first.take());
  }
  expect(heard.length).toBeLessThan(expected.length - 5);
  lost.cutA();
  const second = lost.b.connect();
  second.send({ type: 'response.resume', response_id: idOf(heard), starting_after: heard.length - 1 });
  await lost.b.settle();
  expect([...heard, ...second.take()]).toEqual(expected);
  // And it is a response like any other.
  const next = await second.ask({ input: 'beta', previous_response_id: idOf(heard) });
  expect(next.at(-1)).toMatchObject({ type: 'response.completed' });
  expect(lost.b.prompts.at(-1)).toContain(LONG);
});

test('a socket that is lost loses nothing either: the same node goes on', async () => {
  const body = { type: 'response.create', input: 'alpha' };
  const expected = await (await world()).a.connect().ask(body);
  const { a, clock } = await world();
  const first = a.connect();
  first.send(body);
  await a.settle(clock.nowMs() + 5);
  const heard = first.take();
  first.socket.close(1001, 'gone');
  const second = a.connect();
  await a.settle(clock.nowMs() + 10);
  second.send({ type: 'response.resume', response_id: idOf(heard), starting_after: heard.length - 1 });
  await a.settle();
  expect([...heard, ...second.take()]).toEqual(expected);
});

test('a node that stood still writes nothing over what another one has made of it', async () => {
  const lost = await world();
  const heard = await begun(lost, background, 8);
  const path = `/v1/responses/${idOf(heard)}`;
  lost.cutA();
  await lost.b.request('GET', `${path}?stream=true`);
  const complete = await soon(lost.b, 'GET', path);
  expect(complete).toMatchObject({ status: 'completed' });
  lost.mendA();
  await lost.a.settle(lost.clock.nowMs() + 5000);
  expect(await soon(lost.a, 'GET', path)).toEqual(complete);
  expect(await soon(lost.b, 'GET', path)).toEqual(complete);
});

test('it is cancelled and deleted at whatever node; the one that writes it stops', async () => {
  const running = await world();
  const heard = await begun(running, background, 4);
  const path = `/v1/responses/${idOf(heard)}`;
  expect(await soon(running.b, 'POST', `${path}/cancel`, 1)).toMatchObject({ status: 'cancelled' });
  await running.a.settle(running.clock.nowMs() + 1000);
  expect(await soon(running.a, 'GET', path)).toMatchObject({ status: 'cancelled' });
  const other = await world();
  const begunThere = await begun(other, background, 4);
  const gone = `/v1/responses/${idOf(begunThere)}`;
  expect(await soon(other.b, 'DELETE', gone, 1)).toMatchObject({ deleted: true });
  await other.a.settle(other.clock.nowMs() + 1000);
  expect(await soon(other.a, 'GET', gone)).toMatchObject({ code: 404 });
});

test('what it says is in its conversation once, whoever has said it', async () => {
  const lost = await world();
  const made = await lost.a.request('POST', '/v1/conversations', {});
  const { id } = made.json as Json;
  const heard = await begun(lost, { ...background, conversation: id }, 8);
  lost.cutA();
  await lost.b.request('GET', `/v1/responses/${idOf(heard)}?stream=true`);
  lost.mendA();
  await lost.a.settle(lost.clock.nowMs() + 10_000);
  for (const node of [lost.a, lost.b]) {
    const items = await soon(node, 'GET', `/v1/conversations/${String(id)}/items?order=asc`);
    expect((items['data'] as readonly Json[]).map(({ role }) => role)).toEqual(['user', 'assistant']);
  }
});

test.each([
  [{ type: 'response.resume', response_id: 'resp_nobody' }, 'not_found'],
  [{ type: 'response.resume', response_id: 7 }, 'invalid_request'],
  [{ type: 'response.resume', response_id: 'resp_nobody', starting_after: -2 }, 'invalid_request'],
])('%o is refused', async (frame, code) => {
  const { b } = await world();
  const client = b.connect();
  client.send(frame);
  await b.settle(b.clock.nowMs() + 1000);
  expect(client.take()).toMatchObject([{ type: 'error', error: { code } }]);
});
