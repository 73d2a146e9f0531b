// The bytes of two short streams, as text: any change of a chunk's shape shows up in review. Re-bless: make bless.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../kernels/clock.ts';
import { httpServer } from '../http-world.ts';
import { MemoryTransport } from '../memory-transport.ts';

async function transcript(path: string, body: object): Promise<string> {
  const clock = new VirtualClock();
  const { app } = httpServer({ clock });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, app.handlers);
  const call = transport.call({ method: 'POST', path, body });
  clock.run();
  const headers = Object.entries(call.headers).map(([name, value]) => `${name}: ${value}`);
  return [call.status, ...headers, '', call.text].join('\n');
}

test('a chat stream with usage', async () => {
  const text = await transcript('/v1/chat/completions', {
    messages: [{ role: 'user', content: 'é!' }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 9,
    stop: 'É',
    n: 2,
  });
  await expect(text).toMatchFileSnapshot('openai/chat-stream.txt');
});

test('a completion stream with logprobs and token ids', async () => {
  const text = await transcript('/v1/completions', {
    prompt: 'ab',
    stream: true,
    logprobs: 2,
    return_token_ids: true,
  });
  await expect(text).toMatchFileSnapshot('openai/completion-stream.txt');
});
