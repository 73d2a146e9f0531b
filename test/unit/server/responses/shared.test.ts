// Stored responses and conversations of several nodes: two servers in virtual time with one store between them, which may be gone,
// come back empty, or be full.
import { expect, test } from 'vitest';
import { type Json, type ResponsesServer, responseOf } from '../../../responses-world.ts';
import { sharedWorld } from '../../../shared-world.ts';

const KEYS = ['first-key', 'second-key'];

const world = (flags: Json = {}) => sharedWorld({ flags, say: (prompt) => `heard ${prompt.length}` });

/** Everything happens, but nothing grows old. */
async function soon(server: ResponsesServer, method: string, path: string, body?: object): Promise<Json> {
  const call = server.send(method, path, body);
  await server.settle(server.clock.nowMs() + 1000);
  return { ...(call.json as Json), status: call.status };
}

const said = (response: Json) => JSON.stringify(response['output']);

test('a response is read, gone on from, listed and deleted at another node', async () => {
  const { a, b } = await world();
  const first = await soon(a, 'POST', '/v1/responses', { input: 'alpha' });
  const one = `/v1/responses/${String(first['id'])}`;
  expect(first['id']).toMatch(/^resp_a\./);
  expect(await soon(b, 'GET', one)).toEqual(first);
  const next = await soon(b, 'POST', '/v1/responses', { input: 'beta', previous_response_id: first['id'] });
  expect(next).toMatchObject({ status: 200, previous_response_id: first['id'] });
  expect(b.prompts.at(-1)).toMatch(/alpha.*heard.*beta/s);
  const items = await soon(a, 'GET', `/v1/responses/${String(next['id'])}/input_items?order=asc`);
  expect((items['data'] as readonly Json[]).map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
  expect(await soon(b, 'DELETE', one)).toMatchObject({ status: 200, deleted: true });
  expect(await soon(a, 'GET', one)).toMatchObject({ status: 404 });
  expect(await soon(b, 'GET', one)).toMatchObject({ status: 404 });
});

test('an item of a response of another node is found by its name', async () => {
  const { a, b } = await world();
  const first = await soon(a, 'POST', '/v1/responses', { input: 'alpha' });
  const [item] = first['output'] as readonly Json[];
  const input = [
    { type: 'item_reference', id: item!['id'] },
    { role: 'user', content: 'beta' },
  ];
  expect(await soon(b, 'POST', '/v1/responses', { input })).toMatchObject({ status: 200 });
  expect(b.prompts.at(-1)).toMatch(/heard.*beta/s);
  const unknown = [{ type: 'item_reference', id: 'msg_nobody' }];
  expect(await soon(b, 'POST', '/v1/responses', { input: unknown })).toMatchObject({ status: 404 });
});

test('a socket of another node goes on from it', async () => {
  const { a, b } = await world();
  const first = await soon(a, 'POST', '/v1/responses', { input: 'alpha' });
  const client = b.connect();
  client.create({ input: 'beta', previous_response_id: first['id'] });
  await b.settle(b.clock.nowMs() + 1000);
  expect(responseOf(client.take())).toMatchObject({ status: 'completed', previous_response_id: first['id'] });
  expect(b.prompts.at(-1)).toMatch(/alpha.*beta/s);
});

test('what is of another key is not there, whatever is asked', async () => {
  const { a, b } = await world({ apiKeys: KEYS });
  const headers = (key: string) => ({ authorization: `Bearer ${key}` });
  const asked = async (node: ResponsesServer, method: string, path: string, key: string, body?: object) => {
    const call = node.transport.call({ method, path, headers: headers(key), ...(body && { body }) });
    await node.settle(node.clock.nowMs() + 1000);
    return { ...(call.json as Json), status: call.status } as Json;
  };
  const response = await asked(a, 'POST', '/v1/responses', KEYS[0]!, { input: 'alpha' });
  const conversation = await asked(a, 'POST', '/v1/conversations', KEYS[0]!, {});
  const paths = [
    `/v1/responses/${String(response['id'])}`,
    `/v1/conversations/${String(conversation['id'])}`,
  ];
  for (const path of paths) {
    expect(await asked(b, 'GET', path, KEYS[1]!)).toMatchObject({ status: 404 });
    expect(await asked(b, 'DELETE', path, KEYS[1]!)).toMatchObject({ status: 404 });
    expect(await asked(b, 'GET', path, KEYS[0]!)).toMatchObject({ status: 200 });
  }
  const stolen = { input: 'beta', previous_response_id: response['id'] };
  expect(await asked(b, 'POST', '/v1/responses', KEYS[1]!, stolen)).toMatchObject({ status: 400 });
});

async function texts(server: ResponsesServer, id: unknown): Promise<unknown[]> {
  const { data } = await soon(server, 'GET', `/v1/conversations/${String(id)}/items?order=asc`);
  return (data as readonly Json[]).map(({ content }) => (content as readonly Json[])[0]!['text']);
}

test('a conversation is written by one node after the other', async () => {
  const { a, b } = await world();
  const { id } = await soon(a, 'POST', '/v1/conversations', { metadata: { topic: 'demo' } });
  await soon(b, 'POST', '/v1/responses', { input: 'alpha', conversation: id });
  await soon(a, 'POST', '/v1/responses', { input: 'beta', conversation: id });
  await soon(b, 'POST', `/v1/conversations/${String(id)}/items`, {
    items: [{ role: 'user', content: 'gamma' }],
  });
  const all = ['alpha', expect.stringMatching(/^heard/), 'beta', expect.stringMatching(/^heard/), 'gamma'];
  expect(await texts(a, id)).toEqual(all);
  expect(await texts(b, id)).toEqual(all);
  await soon(b, 'POST', `/v1/conversations/${String(id)}`, { metadata: { topic: 'other' } });
  expect(await soon(a, 'GET', `/v1/conversations/${String(id)}`)).toMatchObject({
    metadata: { topic: 'other' },
  });
  await soon(a, 'DELETE', `/v1/conversations/${String(id)}`);
  expect(await soon(b, 'GET', `/v1/conversations/${String(id)}`)).toMatchObject({ status: 404 });
});

test('while one node writes in a conversation, others are told so; its loss opens it again', async () => {
  const { a, b, clock } = await world();
  const { id } = await soon(a, 'POST', '/v1/conversations', {});
  const long = a.send('POST', '/v1/responses', { input: 'x'.repeat(3000), conversation: id, stream: true });
  await a.settle(clock.nowMs() + 1);
  const refused = await b.request('POST', '/v1/responses', { input: 'beta', conversation: id });
  expect(refused.json).toMatchObject({ error: { code: 'conversation_locked' } });
  expect(long.text).toContain('response.completed');
  expect(await soon(b, 'POST', '/v1/responses', { input: 'beta', conversation: id })).toMatchObject({
    status: 200,
  });
});

test('without the store each node goes on alone; once it is back, also empty, both have all', async () => {
  const { store, a, b } = await world();
  const { id } = await soon(a, 'POST', '/v1/conversations', {});
  await soon(b, 'GET', `/v1/conversations/${String(id)}`);
  for (const one of [store.responses, store.conversations]) one.goes();
  const first = await soon(a, 'POST', '/v1/responses', { input: 'alpha', conversation: id });
  await soon(b, 'POST', '/v1/responses', { input: 'beta', conversation: id });
  expect(await texts(a, id)).toHaveLength(2);
  expect(await soon(b, 'GET', `/v1/responses/${String(first['id'])}`)).toMatchObject({ status: 404 });
  for (const one of [store.responses, store.conversations]) one.comes({ empty: true });
  await a.settle(a.clock.nowMs() + 5000);
  expect(said(await soon(b, 'GET', `/v1/responses/${String(first['id'])}`))).toBe(said(first));
  expect([...(await texts(a, id))].sort()).toEqual([...(await texts(b, id))].sort());
  expect(await texts(a, id)).toHaveLength(4);
});

test('what was deleted while the store was gone is not put back by another node', async () => {
  const { store, a, b } = await world();
  const first = await soon(a, 'POST', '/v1/responses', { input: 'alpha' });
  const one = `/v1/responses/${String(first['id'])}`;
  await soon(b, 'GET', one);
  store.responses.goes();
  await soon(b, 'DELETE', one);
  store.responses.comes({ empty: true });
  expect(await soon(a, 'GET', one)).toMatchObject({ status: 404 });
  expect(await soon(b, 'GET', one)).toMatchObject({ status: 404 });
});

test('a full store costs nobody an answer, is asked again now and then, and catches up once there is room', async () => {
  const { store, a, b, clock } = await world();
  store.responses.full = true;
  const first = await soon(a, 'POST', '/v1/responses', { input: 'alpha' });
  const one = `/v1/responses/${String(first['id'])}`;
  expect(await soon(a, 'GET', one)).toMatchObject({ status: 200 });
  await a.settle(clock.nowMs() + 20_000);
  expect(store.responses.refusals).toBeLessThan(15);
  expect(await soon(b, 'GET', one)).toMatchObject({ status: 404 });
  store.responses.full = false;
  await a.settle(clock.nowMs() + 5000);
  expect(await soon(b, 'GET', one)).toMatchObject({ status: 200 });
});
