// POST /v1/responses/compact: what stays of a conversation, and that responses go on from it.
import { describe, expect, test } from 'vitest';
import { hermesCall, type Json, type ResponsesServer, responsesServer } from '../../../responses-world.ts';

const say = (prompt: string) => (prompt.includes('Sum up this conversation') ? 'Ada wants a list.' : 'Fine.');

async function soon(world: ResponsesServer, path: string, body: object): Promise<Json> {
  const call = world.send('POST', path, body);
  await world.settle(world.clock.nowMs() + 1000);
  return { status: call.status, ...(call.json as Json) };
}

const long = [
  { role: 'developer', content: 'Be brief.' },
  { role: 'user', content: 'I am Ada.' },
  { role: 'assistant', content: 'Hello Ada, what shall I do?' },
  { role: 'user', content: 'List the files.' },
  { type: 'function_call', call_id: 'c', name: 'ls', arguments: '{}' },
  { type: 'function_call_output', call_id: 'c', output: 'a.ts' },
];

test('what was told stays, what was answered is summed up; responses go on from it', async () => {
  const world = await responsesServer({ say });
  const compacted = await soon(world, '/v1/responses/compact', { model: 'bytes', input: long });
  expect(compacted).toMatchObject({
    status: 200,
    id: expect.stringMatching(/^resp_/),
    object: 'response.compaction',
    created_at: expect.any(Number),
    output: [
      { type: 'message', role: 'developer', content: [{ text: 'Be brief.' }] },
      {
        type: 'message',
        role: 'user',
        status: 'completed',
        content: [{ type: 'input_text', text: 'I am Ada.' }],
      },
      { type: 'message', role: 'user', content: [{ text: 'List the files.' }] },
      { type: 'compaction', id: expect.stringMatching(/^cmp_/), encrypted_content: expect.any(String) },
    ],
    usage: { output_tokens: 'Ada wants a list.'.length + 1 },
  });
  expect(world.prompts[0]).toContain('a.ts');
  const output = compacted['output'] as readonly Json[];
  const input = [...output, { role: 'user', content: 'Go on.' }];
  expect(await soon(world, '/v1/responses', { input })).toMatchObject({ status: 'completed' });
  expect(world.prompts[1]).toBe(
    'system: Be brief.\nuser: I am Ada.\nuser: List the files.\n' +
      'assistant: Summary of the conversation so far:\nAda wants a list.\nuser: Go on.\nassistant: ',
  );
  // Again: the first summary is part of what the second one sums up, and is not kept beside it.
  const again = await soon(world, '/v1/responses/compact', { model: 'bytes', input });
  expect(world.prompts[2]).toContain('Ada wants a list.');
  const types = (again['output'] as readonly Json[]).map(({ type }) => type);
  expect(types).toEqual(['message', 'message', 'message', 'message', 'compaction']);
});

test('an earlier response and a conversation can be compacted, and stay as they are', async () => {
  const world = await responsesServer({ say });
  const { id } = await soon(world, '/v1/responses', { input: 'I am Ada.' });
  const after = await soon(world, '/v1/responses/compact', { model: 'bytes', previous_response_id: id });
  expect(after['output']).toMatchObject([{ content: [{ text: 'I am Ada.' }] }, { type: 'compaction' }]);
  const { id: conversation } = await soon(world, '/v1/conversations', { items: long });
  const of = await soon(world, '/v1/responses/compact', { model: 'bytes', conversation });
  expect(of['output']).toHaveLength(4);
  const kept = await world.request('GET', `/v1/conversations/${String(conversation)}/items`);
  expect((kept.json as { data: unknown[] }).data).toHaveLength(long.length);
});

test('one that is too long for the context is compacted without its oldest items', async () => {
  const world = await responsesServer({ say, engine: { contextTokensMax: 400 } });
  const input = Array.from({ length: 20 }, (_, n) => ({
    role: 'user',
    content: `message ${n} of many of them`,
  }));
  const compacted = await soon(world, '/v1/responses/compact', { model: 'bytes', input });
  expect(compacted).toMatchObject({ status: 200 });
  expect(compacted['output']).toHaveLength(21);
});

describe('refused', () => {
  test.each([
    ['nothing to compact', '/v1/responses/compact', { model: 'bytes' }, 'input'],
    ['no model', '/v1/responses/compact', { input: 'Hi' }, 'model'],
    [
      'two pasts',
      '/v1/responses/compact',
      { model: 'bytes', conversation: 'c', previous_response_id: 'r' },
      'conversation',
    ],
    [
      'another server’s summary',
      '/v1/responses',
      { input: [{ type: 'compaction', encrypted_content: 'gAAAA' }] },
      'input[0].encrypted_content',
    ],
    [
      'a trigger',
      '/v1/responses',
      { input: [{ role: 'user', content: 'a' }, { type: 'compaction_trigger' }] },
      'input[1]',
    ],
    [
      'a threshold that is reached',
      '/v1/responses',
      { input: 'Hello', context_management: [{ type: 'compaction', compact_threshold: 5 }] },
      'context_management',
    ],
  ])('is %s', async (_, path, body, param) => {
    const world = await responsesServer({ say });
    expect(await soon(world, path, body)).toMatchObject({ status: 400, error: { param } });
  });

  test('is not a threshold that is far away', async () => {
    const world = await responsesServer({ say });
    const context_management = [{ type: 'compaction', compact_threshold: 3000 }];
    expect(await soon(world, '/v1/responses', { input: 'Hello', context_management })).toMatchObject({
      status: 'completed',
    });
  });

  test('is what the engine does not take', async () => {
    const world = await responsesServer({ say, engine: { slotCount: 0, queueLengthMax: 0 } });
    expect(await soon(world, '/v1/responses/compact', { model: 'bytes', input: 'Hi' })).toMatchObject({
      status: 429,
    });
  });
});

test('calls that were made with tools are told to the model without them', async () => {
  const world = await responsesServer({ say: () => hermesCall('ls', {}) });
  const compacted = await soon(world, '/v1/responses/compact', { model: 'bytes', input: long });
  // What looks like a call is text of the summary: nobody would run it.
  expect((compacted['output'] as readonly Json[]).at(-1)).toMatchObject({ type: 'compaction' });
});
