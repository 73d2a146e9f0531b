// The bytes of a short stream of the Messages API, as text: any change of an event's shape shows up in review. Re-bless:
// make bless.
import { expect, test } from 'vitest';
import { hermesCall, responsesServer } from '../responses-world.ts';

test('a stream of text and a call, its prompt partly cached', async () => {
  const server = await responsesServer({
    say: () => `Looking.\n${hermesCall('shell', { command: 'ls' })}`,
    engine: { cachedTokens: 16, tokensPerStep: 8 },
  });
  const call = await server.request('POST', '/v1/messages', {
    ...{ model: 'bytes', max_tokens: 200, stream: true },
    system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
    messages: [{ role: 'user', content: 'What is here?' }],
    tools: [{ name: 'shell', description: 'Runs a command', input_schema: { type: 'object' } }],
  });
  const headers = Object.entries(call.headers).map(([name, value]) => `${name}: ${value}`);
  await expect([call.status, ...headers, '', call.text].join('\n')).toMatchFileSnapshot(
    'messages/stream.txt',
  );
});
