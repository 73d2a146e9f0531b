// POST /v1/messages: what is refused, in Anthropic's envelope with its types and statuses; and models as its clients list them.
import { describe, expect, test } from 'vitest';
import { type Json, responsesServer } from '../../../responses-world.ts';

const PATH = '/v1/messages';

const tools = [{ name: 'shell', description: 'Runs', input_schema: { type: 'object' } }];

function body(more: object = {}): object {
  return { model: 'bytes', max_tokens: 500, messages: [{ role: 'user', content: 'Hi' }], ...more };
}

describe('refused, in its own envelope:', () => {
  const cut = { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'shell', input: {} }] };
  const result = { type: 'tool_result', tool_use_id: 't2', content: 'x' };

  test.each([
    ['max_tokens', { max_tokens: undefined }],
    ['messages', { messages: [] }],
    ['messages[0].role', { messages: [{ role: 'robot', content: 'x' }] }],
    ['messages[0].content', { messages: [{ role: 'user', content: 7 }] }],
    ['messages[1].content.tool_use_id', { messages: [cut, { role: 'user', content: [result] }] }],
    ['messages[1]', { messages: [{ role: 'user', content: 'x' }, cut] }],
    ['messages[0].content.text', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }],
    ['tools[0].type', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }],
    ['tools[0].input_schema', { tools: [{ name: 'shell' }] }],
    ['tools[1].name', { tools: [...tools, ...tools] }],
    ['tool_choice', { tool_choice: { type: 'any' } }],
    ['tool_choice.name', { tools, tool_choice: { type: 'tool', name: 'zzz' } }],
    ['output_config.format.type', { output_config: { format: { type: 'sound' } } }],
    [
      'output_config.format',
      { output_config: { format: { type: 'json_schema', schema: { type: 'sausage' } } } },
    ],
    ['output_config.format.schema', { output_config: { format: { type: 'json_schema' } } }],
    ['mcp_servers', { mcp_servers: [{}] }],
    ['container', { container: 'c' }],
    ['compaction', { compaction: {} }],
    ['thread', { thread: { type: 'create' } }],
    ['temperature', { temperature: -1 }],
  ])('%s', async (param, more) => {
    const server = await responsesServer({ say: () => 'x' });
    const call = await server.request('POST', PATH, body(more));
    const { error, request_id, type } = call.json as Json & { error: Json };
    expect([call.status, type, error['type']]).toEqual([400, 'error', 'invalid_request_error']);
    expect(error['message']).toMatch(new RegExp(`^${param.replace(/[[\].]/g, '\\$&')}:`));
    expect(call.headers['request-id']).toBe(request_id);
    expect(server.server.submitted).toEqual([]);
  });

  test('a model that is not here, unless an alias covers its name', async () => {
    const server = await responsesServer({ say: () => 'x', flags: { aliases: ['claude-*'] } });
    const unknown = await server.request('POST', PATH, body({ model: 'gpt-5' }));
    expect([unknown.status, unknown.json]).toMatchObject([404, { error: { type: 'not_found_error' } }]);
    const known = await server.request('POST', PATH, body({ model: 'claude-sonnet-9' }));
    expect(known.json).toMatchObject({ model: 'claude-sonnet-9' });
  });

  test('a key that is missing, wrong or, in either header, right', async () => {
    const server = await responsesServer({ say: () => 'x', flags: { apiKeys: ['a-key-of-ours'] } });
    const ask = async (headers: Readonly<Record<string, string>>) => {
      const call = server.transport.call({ method: 'POST', path: PATH, body: body(), headers });
      await server.settle();
      return [call.status, ((call.json as Json)['error'] as Json | undefined)?.['type']];
    };
    expect(await ask({})).toEqual([401, 'authentication_error']);
    expect(await ask({ 'x-api-key': 'b-key-of-ours' })).toEqual([401, 'authentication_error']);
    expect(
      await ask({ 'x-api-key': 'a-key-of-ours', 'anthropic-beta': 'x', 'anthropic-version': 'y' }),
    ).toEqual([200, undefined]);
    expect(await ask({ authorization: 'Bearer a-key-of-ours' })).toEqual([200, undefined]);
  });

  test('a body that is too large, a prompt that is too long', async () => {
    const server = await responsesServer({
      say: () => 'x',
      flags: { bodySizeMax: 4096 },
      engine: { contextTokensMax: 100 },
    });
    const large = await server.request('POST', PATH, body({ system: 'x'.repeat(5000) }));
    expect([large.status, large.json]).toMatchObject([413, { error: { type: 'request_too_large' } }]);
    const long = await server.request('POST', PATH, body({ system: 'x'.repeat(200) }));
    expect(long.status).toBe(400);
    expect(JSON.stringify(long.json)).toMatch(/prompt is too long: 2\d\d tokens > 100 maximum/);
    // Not counted to its end: the numbers are the least that it has, and the context.
    const longer = await server.request('POST', PATH, body({ system: 'x'.repeat(3500) }));
    expect(JSON.stringify(longer.json)).toMatch(/prompt is too long: \d{3,4} tokens > 100 maximum/);
  });

  test('what finds the queue full, or the server on its way out', async () => {
    const engine = { slotCount: 1, queueLengthMax: 0, stepMs: 100 };
    const server = await responsesServer({ say: () => 'A long story.'.repeat(10), engine });
    const first = server.send('POST', PATH, body());
    const second = server.send('POST', PATH, body());
    await server.settle(50);
    expect([second.status, second.json]).toMatchObject([429, { error: { type: 'rate_limit_error' } }]);
    expect(Number(second.headers['retry-after'])).toBeGreaterThan(0);
    void server.server.app.drain();
    const third = server.send('POST', PATH, body());
    await server.settle();
    expect([third.status, third.json]).toMatchObject([529, { error: { type: 'overloaded_error' } }]);
    expect(first.status).toBe(200);
  });
});

test('models are listed in the shape of whoever asks', async () => {
  const server = await responsesServer({ say: () => 'x', flags: { aliases: ['claude-*', 'nick'] } });
  const get = async (path: string) => {
    const headers = { 'anthropic-version': '2023-06-01' };
    const call = server.transport.call({ method: 'GET', path, headers });
    await server.settle();
    return [call.status, call.json];
  };
  expect(await get('/v1/models')).toMatchObject([
    200,
    {
      data: [{ type: 'model', id: 'bytes' }, { id: 'nick' }],
      has_more: false,
      first_id: 'bytes',
      last_id: 'nick',
    },
  ]);
  expect(await get('/v1/models/claude-x')).toMatchObject([200, { type: 'model', id: 'claude-x' }]);
  expect(await get('/v1/models/zzz')).toMatchObject([
    404,
    { type: 'error', error: { type: 'not_found_error' } },
  ]);
  expect((await server.request('GET', '/v1/models')).json).toMatchObject({ object: 'list' });
});

test('a missing key is told in the envelope of whoever lists models', async () => {
  const server = await responsesServer({ say: () => 'x', flags: { apiKeys: ['a-key-of-ours'] } });
  const ask = async (headers: Readonly<Record<string, string>>) => {
    const call = server.transport.call({ method: 'GET', path: '/v1/models', headers });
    await server.settle();
    return call;
  };
  const theirs = await ask({ 'anthropic-version': '2023-06-01' });
  expect(theirs.json).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
  expect(theirs.headers['request-id']).toBe((theirs.json as Json)['request_id']);
  const ours = await ask({});
  expect([ours.status, ours.headers['request-id']]).toEqual([401, undefined]);
  expect(ours.json).toMatchObject({ error: { code: 'invalid_api_key' } });
});
