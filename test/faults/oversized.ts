// Too much at once: bodies, heads and frames beyond their bounds, and floods of pings.
import { once } from 'node:events';
import { pack, unpack } from 'msgpackr';
import { expect } from 'vitest';
import { closeOf } from './arena.ts';
import type { Family } from './fault.ts';

const BODY = 'content-type: application/json\r\nhost: 127.0.0.1\r\nauthorization: Bearer key-of-bob-0002';

export const oversized: Family = {
  name: 'Oversized frames, ping floods',
  faults: [
    {
      id: 'oversized/body',
      does: 'bodies over `--body-size`, whole, in chunks, and announced without being sent',
      promise: '413 `body_too_large`',
      inject: async (arena) => {
        const big = JSON.stringify({ prompt: 'x'.repeat(1_200_000) });
        expect(await arena.post('/v1/completions', big)).toMatchObject({
          status: 413,
          json: { error: { code: 'body_too_large' } },
        });
        const announced = await arena.raw(
          `POST /v1/completions HTTP/1.1\r\n${BODY}\r\ncontent-length: 100000000000\r\n\r\n{`,
        );
        expect(announced.status).toBe(413);
        const chunk = `10000\r\n${'y'.repeat(0x10000)}\r\n`;
        const chunked = `POST /v1/completions HTTP/1.1\r\n${BODY}\r\ntransfer-encoding: chunked\r\n\r\n`;
        expect((await arena.raw(`${chunked}${chunk.repeat(20)}0\r\n\r\n`)).status).toBe(413);
        return 3;
      },
    },
    {
      id: 'oversized/head',
      does: 'heads of hundreds of kilobytes: one long header, thousands of short ones, a long path',
      promise: 'a 4xx or the end of the connection',
      inject: async (arena) => {
        const heads = [
          `GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(300_000)}\r\n\r\n`,
          `GET /healthz HTTP/1.1\r\nhost: x\r\n${'x-a: b\r\n'.repeat(20_000)}\r\n`,
          `GET /${'p'.repeat(300_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
        ];
        for (const head of heads) {
          const { status, closed } = await arena.raw(head);
          expect(closed || (status >= 400 && status < 500), `${status}`).toBe(true);
        }
        return heads.length;
      },
    },
    {
      id: 'oversized/frame',
      does: 'WebSocket frames over `--frame-size`, on both sockets',
      promise:
        'that socket is closed: with 1009 and the bound, or as the library has it beyond four times the bound',
      inject: async (arena) => {
        for (const path of ['/v1/sparklane', '/v1/responses'] as const) {
          for (const size of [300_000, 1_200_000]) {
            const socket = await arena.webSocket(path);
            const closed = closeOf(socket);
            socket.send(Buffer.alloc(size));
            const { code, reason } = await closed;
            if (size < 4 * 262_144)
              expect([code, reason]).toEqual([1009, expect.stringContaining('--frame-size')]);
            else expect([1006, 1009]).toContain(code);
          }
        }
        return 4;
      },
    },
    {
      id: 'oversized/ping-flood',
      does: 'thousands of pings of RFC 6455 and of the native protocol in one go',
      promise: 'native pings are all answered, in order; nobody else waits for them',
      inject: async (arena) => {
        const socket = await arena.greeted();
        const count = 2000;
        let next = 0;
        const all = new Promise<void>((resolve) => {
          socket.on('message', (data: Buffer) => {
            expect(unpack(data)).toMatchObject({ type: 'pong', nonce: next });
            if (++next === count) resolve();
          });
        });
        for (let nonce = 0; nonce < count; nonce++) {
          socket.ping(Buffer.alloc(125));
          socket.send(pack({ type: 'ping', nonce }));
        }
        await all;
        const silent = await arena.webSocket('/v1/responses');
        for (let i = 0; i < count; i++) silent.ping();
        await once(silent, 'pong');
        return 3 * count;
      },
    },
  ],
};
