// Bounds of numbers as the specifications of OpenAI and of the peers have them, on the edge of each.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { httpServer } from '../../../http-world.ts';
import { MemoryTransport } from '../../../memory-transport.ts';

async function world() {
  const clock = new VirtualClock();
  const server = httpServer({ clock });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  return (more: object) => {
    const call = transport.call({
      method: 'POST',
      path: '/v1/completions',
      body: { prompt: 'abc', max_tokens: 2, ...more },
    });
    clock.run();
    return call.status;
  };
}

test('a seed is any int64, and nothing else', async () => {
  const status = await world();
  for (const seed of [0, -1, 2 ** 31, 2 ** 53 + 2, 2 ** 62 + 1, 2 ** 63, -(2 ** 63)])
    expect([seed, status({ seed })]).toEqual([seed, 200]);
  for (const seed of [0.5, 2 ** 64, -(2 ** 64), '1']) expect([seed, status({ seed })]).toEqual([seed, 400]);
});

test('top_p reaches from 0, the most likely token, to 1', async () => {
  const status = await world();
  for (const top_p of [0, 1e-9, 0.5, 1]) expect([top_p, status({ top_p })]).toEqual([top_p, 200]);
  for (const top_p of [-0.1, 1.1]) expect([top_p, status({ top_p })]).toEqual([top_p, 400]);
});
