// Readers that stop: their answers pause once the bytes they have not read reach the bound; nobody else waits for them.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect } from 'vitest';
import { type Arena, BOB, until } from './arena.ts';
import type { Family } from './fault.ts';

const PAUSED = 'sparklane_sequences{state="paused"}';

// More than the kernel keeps for a reader: eight answers with twenty alternatives for each token.
const LOUD = {
  n: 8,
  max_tokens: 1200,
  logprobs: true,
  top_logprobs: 20,
  seed: 3,
  ignore_eos: true,
  stream: true,
};

export const readers: Family = {
  name: 'Readers that stop',
  faults: [
    {
      id: 'readers/sse',
      does: 'a caller of eight loud streams stops reading, and reads on later',
      promise: 'all eight pause; when it reads on it gets every byte up to `[DONE]`',
      pace: 'slow',
      inject: async (arena) => {
        const { socket, text } = await loudStream(arena);
        socket.pause();
        await until(async () => (await arena.metric(PAUSED)) === 8);
        expect(text()).not.toContain('[DONE]');
        socket.resume();
        await until(() => text().includes('[DONE]'));
        expect(text().split('"finish_reason":"length"').length - 1).toBe(8);
        return 1;
      },
    },
  ],
};

async function loudStream(arena: Arena): Promise<{ socket: Socket; text: () => string }> {
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'Speak up.' }], ...LOUD });
  const socket = await arena.socket();
  let text = '';
  socket.on('data', (data) => {
    text += data.toString('latin1');
  });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${BOB}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await once(socket, 'data');
  return { socket, text: () => text };
}
