// Callers who take their time, and crowds who say nothing at all.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect } from 'vitest';
import type { Arena } from './arena.ts';
import type { Family } from './fault.ts';

const HALF_A_HEAD = 'POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ';
const HALF_A_BODY =
  'POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer key-of-bob-0002\r\n' +
  'content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"prompt":"';

export const slow: Family = {
  name: 'Slow headers and bodies, connection floods',
  faults: [
    {
      id: 'slow/heads',
      does: '200 connections that have sent half a head, a byte more now and then',
      promise: 'a file descriptor each; requests of others are answered meanwhile',
      inject: (arena) => dribble(arena, 200, HALF_A_HEAD),
    },
    {
      id: 'slow/bodies',
      does: '200 requests that have sent half a body, a byte more now and then',
      promise: 'a place among `--connections` each; requests of others are answered meanwhile',
      inject: (arena) => dribble(arena, 200, HALF_A_BODY),
    },
    {
      id: 'slow/cut',
      does: 'half heads, half bodies and silence, for good',
      promise: 'closed by the server within half a minute',
      pace: 'slow',
      inject: async (arena) => {
        const sockets = await Promise.all([HALF_A_HEAD, HALF_A_BODY, ''].map((half) => begun(arena, half)));
        const closed = sockets.slice(0, 2).map((socket) => once(socket, 'close'));
        for (const socket of sockets) socket.resume();
        await Promise.all(closed);
        return sockets.length;
      },
    },
    {
      id: 'slow/flood',
      does: '500 connections that say nothing, 500 that come and go',
      promise: 'requests of others are answered meanwhile',
      inject: async (arena) => {
        const silent = await Promise.all(Array.from({ length: 500 }, () => arena.socket()));
        expect((await arena.get('/v1/models')).status).toBe(200);
        await Promise.all(
          Array.from({ length: 500 }, async (_, index) => {
            const socket = await arena.socket();
            if (index % 2 === 0) socket.destroy();
            else socket.resetAndDestroy();
          }),
        );
        expect((await arena.get('/v1/models')).status).toBe(200);
        for (const socket of silent) socket.destroy();
        return 1000;
      },
    },
    {
      id: 'slow/keyless-sockets',
      does: '1,100 upgrades of /v1/sparklane without a key that never say hello',
      promise: 'refused past a small bound of their own; key holders find room',
      inject: async (arena) => {
        const upgrade =
          'GET /v1/sparklane HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n' +
          'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
        let refused = 0;
        for (let round = 0; round < 11; round++) {
          const answers = await Promise.all(
            Array.from({ length: 100 }, async () => {
              const socket = await begun(arena, upgrade);
              const [head] = (await once(socket, 'data')) as [Buffer];
              return `${head}`.slice(0, 12);
            }),
          );
          refused += answers.filter((status) => status === 'HTTP/1.1 503').length;
        }
        expect(refused).toBeGreaterThan(500);
        const { status } = await arena.post('/v1/completions', { prompt: 'a', max_tokens: 1 });
        expect(status).toBe(200);
        return 1100;
      },
    },
  ],
};

async function begun(arena: Arena, half: string): Promise<Socket> {
  const socket = await arena.socket();
  socket.write(half);
  return socket;
}

async function dribble(arena: Arena, count: number, half: string): Promise<number> {
  const sockets = await Promise.all(Array.from({ length: count }, () => begun(arena, half)));
  for (let round = 0; round < 5; round++) {
    for (const socket of sockets) socket.write('x');
    const { status } = await arena.post('/v1/completions', { prompt: 'a', max_tokens: 1 });
    expect(status).toBe(200);
  }
  for (const socket of sockets) socket.destroy();
  return count;
}
