// POST /v1/chat/completions/input_tokens: what a chat request's prompt counts, with its tools, and what is refused as ever.
import { expect, test } from 'vitest';
import { lanesServer } from '../../../lanes-world.ts';
import { type Json, responsesServer } from '../../../responses-world.ts';

const path = '/v1/chat/completions';
const messages = [{ role: 'user', content: 'Hi' }];

test('it is the prompt that an answer would have', async () => {
  const server = await responsesServer({ say: () => 'Hello.' });
  for (const body of [
    { messages },
    { messages: [{ role: 'system', content: 'x' }, ...messages] },
    { messages, functions: [{ name: 'f' }] },
    { messages, tools: [{ type: 'function', function: { name: 'f', description: 'does it' } }] },
  ]) {
    const counted = await server.request('POST', `${path}/input_tokens`, body);
    const answered = await server.request('POST', path, body);
    const { prompt_tokens } = (answered.json as { usage: Json }).usage;
    expect([counted.status, counted.json]).toEqual([200, { input_tokens: prompt_tokens }]);
  }
  // Without /v1, as its own clients ask.
  const bare = await server.request('POST', '/chat/completions/input_tokens', { messages });
  expect(bare.status).toBe(200);
});

test.each([
  ['another model', { model: 'gpt-9', messages }, 404],
  ['no messages', { messages: [] }, 400],
  ['a choice of no tool', { messages, tool_choice: 'required' }, 400],
  ['both forms of tools', { messages, tools: [], functions: [{ name: 'f' }] }, 400],
])('%s is refused', async (_, body, status) => {
  const server = await responsesServer({ say: () => 'Hello.' });
  expect((await server.request('POST', `${path}/input_tokens`, body)).status).toBe(status);
});

test('lanes are counted in the tokens of the server’s own model', async () => {
  const server = await lanesServer();
  const counts = [];
  for (const model of ['auto', 'reliability', 'spark'])
    counts.push((await server.request('POST', `${path}/input_tokens`, { model, messages })).json);
  expect(new Set(counts.map((json) => JSON.stringify(json))).size).toBe(1);
});
