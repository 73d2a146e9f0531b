// What clients made from OpenAI's document need of a response, and what is refused because it would be lost.
import { describe, expect, test } from 'vitest';
import { hermesCall, type Json, responsesServer } from '../../../responses-world.ts';

const tools = [{ type: 'function', name: 'shell', parameters: { type: 'object' } }];

async function soon(server: Awaited<ReturnType<typeof responsesServer>>, body: object): Promise<Json> {
  const call = server.send('POST', '/v1/responses', body);
  await server.settle(server.clock.nowMs() + 1000);
  return { status: call.status, ...(call.json as Json) };
}

const request = async (server: Awaited<ReturnType<typeof responsesServer>>, method: string, path: string) => {
  const call = server.send(method, path, method === 'POST' ? {} : undefined);
  await server.settle(server.clock.nowMs() + 1000);
  return call;
};

test('a response has both penalties as numbers, and functions all their fields', async () => {
  const server = await responsesServer({ say: () => 'Hi.' });
  const plain = await soon(server, { input: 'Hi', tools: [{ type: 'function', name: 'f' }] });
  expect(plain).toMatchObject({ presence_penalty: 0, frequency_penalty: 0 });
  expect(plain['tools']).toEqual([{ type: 'function', name: 'f', parameters: null, strict: null }]);
  const set = await soon(server, { input: 'Hi', presence_penalty: 0.5, frequency_penalty: -1 });
  expect(set).toMatchObject({ presence_penalty: 0.5, frequency_penalty: -1 });
});

test('a prompt that is kept with OpenAI is refused, not left out', async () => {
  const server = await responsesServer({ say: () => 'Hi.' });
  const refused = await soon(server, { input: 'Hi', prompt: { id: 'pmpt_1', variables: { a: 'b' } } });
  expect(refused).toMatchObject({ status: 400, error: { param: 'prompt' } });
  expect(await soon(server, { input: 'Hi', prompt: null })).toMatchObject({ status: 'completed' });
});

test('input items are listed with parts, ids and status', async () => {
  const server = await responsesServer({ say: () => 'Hi.' });
  const { id } = await soon(server, {
    input: [
      { role: 'user', content: 'What is here?' },
      { role: 'assistant', content: 'I look.' },
      { type: 'function_call', call_id: 'c1', name: 'shell', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c1', output: 'a' },
    ],
  });
  const { json } = await request(server, 'GET', `/v1/responses/${String(id)}/input_items?order=asc`);
  const { data } = json as { data: readonly Json[] };
  expect(data).toMatchObject([
    { status: 'completed', content: [{ type: 'input_text', text: 'What is here?' }] },
    { status: 'completed', content: [{ type: 'output_text', text: 'I look.', annotations: [] }] },
    { type: 'function_call', status: 'completed' },
    { type: 'function_call_output', status: 'completed' },
  ]);
  expect(data.every((item) => typeof item['id'] === 'string')).toBe(true);
});

test('pages of items: what they begin after is there, their order is one of two', async () => {
  const server = await responsesServer({ say: () => 'Hi.' });
  const { id } = await soon(server, { input: ['a', 'b', 'c'].map((content) => ({ role: 'user', content })) });
  const page = async (query: string) =>
    (await request(server, 'GET', `/v1/responses/${String(id)}/input_items?${query}`)).json as Json;
  const first = await page('order=asc&limit=2');
  expect(first).toMatchObject({ has_more: true, data: [{ content: [{ text: 'a' }] }, {}] });
  const rest = await page(`order=asc&after=${String(first['last_id'])}`);
  expect(rest).toMatchObject({ has_more: false, data: [{ content: [{ text: 'c' }] }] });
  expect(await page(`order=asc&after=${String(rest['last_id'])}`)).toEqual({
    ...{ object: 'list', data: [], first_id: '', last_id: '', has_more: false },
  });
  expect(await page('after=nobody')).toMatchObject({ error: { param: 'after' } });
  expect(await page('order=up')).toMatchObject({ error: { param: 'order' } });
  expect(await page('limit=101')).toMatchObject({ error: { param: 'limit' } });
});

describe('refused', () => {
  test('is the output of a call that nobody made; the parent can be gone on from', async () => {
    let calls = 0;
    const say = () => (calls++ === 0 ? hermesCall('shell', {}) : 'Done.');
    const server = await responsesServer({ say });
    const parent = await soon(server, { input: 'Look', tools });
    const [made] = parent['output'] as readonly Json[];
    const goOn = (callId: unknown) =>
      soon(server, {
        previous_response_id: parent['id'],
        input: [{ type: 'function_call_output', call_id: callId, output: 'x' }],
      });
    expect(await goOn('call_nobody')).toMatchObject({ status: 400, error: { param: 'input[0].call_id' } });
    expect(await goOn(made!['call_id'])).toMatchObject({ status: 'completed' });
  });
});
