// Conversations, compaction and functions by OpenAI's own client, over a real socket. The engine is scripted.
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import type { Transport } from '../../server/listeners/transport.ts';
import { BYTE_EOS, encodeBytes } from '../byte-text.ts';
import { httpServer } from '../http-world.ts';
import { testListener } from '../listeners.ts';
import { hermesCall } from '../responses-world.ts';

const model = 'bytes';
let listener: Transport;
let client: OpenAI;

beforeAll(async () => {
  const script = ({ tokens }: { readonly tokens: Int32Array }) => {
    const prompt = Buffer.from(tokens.filter((id) => id < 256)).toString();
    const says = prompt.endsWith('Look.\nassistant: ') ? hermesCall('shell', { a: 1 }) : 'Hello there.';
    return { tokens: [...encodeBytes(says), BYTE_EOS] };
  };
  const server = httpServer({ clock: new WallClock(), engine: { script } });
  listener = await testListener(server.config);
  const { port } = await listener.listen('127.0.0.1', 0, server.app.handlers);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(() => listener.close());

test('a conversation is made, filled, answered in, paged through and forgotten', async () => {
  const { id } = await client.conversations.create();
  const added = await client.conversations.items.create(id, {
    items: [{ type: 'message', role: 'user', content: 'I am Ada.' }],
  });
  expect(added.data).toMatchObject([{ role: 'user', content: [{ type: 'input_text', text: 'I am Ada.' }] }]);
  const whole = await client.responses.create({ model, conversation: id, input: 'Who am I?' });
  expect([whole.output_text, whole.conversation]).toEqual(['Hello there.', { id }]);
  const stream = client.responses.stream({ model, conversation: { id }, input: 'And now?' });
  expect((await stream.finalResponse()).output_text).toBe('Hello there.');
  const texts: string[] = [];
  for await (const item of client.conversations.items.list(id, { order: 'asc', limit: 2 })) {
    if (item.type === 'message' && 'text' in item.content[0]!) texts.push(item.content[0].text);
  }
  expect(texts).toEqual(['I am Ada.', 'Who am I?', 'Hello there.', 'And now?', 'Hello there.']);
  const [first] = added.data;
  expect(await client.conversations.items.retrieve(first!.id!, { conversation_id: id })).toMatchObject(
    first!,
  );
  expect(await client.conversations.items.delete(first!.id!, { conversation_id: id })).toMatchObject({ id });
  await client.conversations.update(id, { metadata: { topic: 'names' } });
  expect(await client.conversations.retrieve(id)).toMatchObject({ metadata: { topic: 'names' } });
  expect(await client.conversations.delete(id)).toMatchObject({ id, deleted: true });
  await expect(client.conversations.retrieve(id)).rejects.toMatchObject({ status: 404 });
});

test('what is compacted is gone on from', async () => {
  const first = await client.responses.create({ model, input: 'I am Ada.' });
  const compacted = await client.responses.compact({ model, previous_response_id: first.id });
  expect(compacted.output.map(({ type }) => type)).toEqual(['message', 'compaction']);
  const input = [...compacted.output, { role: 'user', content: 'Go on.' }] as OpenAI.Responses.ResponseInput;
  expect((await client.responses.create({ model, input })).output_text).toBe('Hello there.');
});

test('functions of before tools are called, whole and streamed', async () => {
  const ask = {
    model,
    messages: [{ role: 'user' as const, content: 'Look.' }],
    functions: [{ name: 'shell', parameters: { type: 'object' } }],
  };
  const whole = await client.chat.completions.create(ask);
  expect(whole.choices[0]).toMatchObject({
    finish_reason: 'function_call',
    message: { function_call: { name: 'shell', arguments: '{"a":1}' } },
  });
  let given = '';
  for await (const { choices } of await client.chat.completions.create({ ...ask, stream: true })) {
    given += choices[0]?.delta.function_call?.arguments ?? '';
  }
  expect(given).toBe('{"a":1}');
});
