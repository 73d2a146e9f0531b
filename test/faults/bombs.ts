// Small bytes that would be large if somebody unpacked them.
import { once } from 'node:events';
import { brotliCompressSync, deflateRawSync, gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { BOB } from './arena.ts';
import type { Family } from './fault.ts';

const zeros = () => Buffer.alloc(64 * 2 ** 20, ' ');

export const bombs: Family = {
  name: 'Compressed bombs',
  faults: [
    {
      id: 'bombs/body',
      does: 'bodies of kilobytes that unpack to 64 MiB (`content-encoding` gzip, br, deflate)',
      promise: 'nothing is unpacked: 4xx',
      inject: async (arena) => {
        const packed = {
          gzip: gzipSync(zeros()),
          br: brotliCompressSync(zeros()),
          deflate: deflateRawSync(zeros()),
        };
        for (const [encoding, body] of Object.entries(packed)) {
          const answer = await arena.post('/v1/completions', body, { 'content-encoding': encoding });
          expect([400, 415], encoding).toContain(answer.status);
          expect(answer.json, encoding).toMatchObject({ error: { message: expect.any(String) } });
        }
        return 3;
      },
    },
    {
      id: 'bombs/frame',
      does: 'sockets that offer permessage-deflate, then send a compressed 64 MiB all the same',
      promise: 'compression is never agreed on; the socket is closed',
      inject: async (arena) => {
        const bomb = deflateRawSync(zeros());
        const frame = Buffer.alloc(14 + bomb.length);
        frame.set([0xc2, 0x80 | 127]);
        frame.writeBigUInt64BE(BigInt(bomb.length), 2);
        frame.set(bomb, 14); // the mask is four zeros
        for (const path of ['/v1/sparklane', '/v1/responses']) {
          const socket = await arena.socket();
          socket.write(
            `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${BOB}\r\nupgrade: websocket\r\n` +
              'connection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
              'sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n',
          );
          const [head] = (await once(socket, 'data')) as [Buffer];
          expect(`${head}`).toContain(' 101 ');
          expect(`${head}`.toLowerCase()).not.toContain('permessage-deflate');
          const closed = once(socket, 'close');
          socket.resume();
          socket.write(frame);
          await closed;
        }
        return 2;
      },
    },
  ],
};
