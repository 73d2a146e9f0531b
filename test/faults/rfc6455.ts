// Frames that RFC 6455 forbids, written byte by byte.
import { once } from 'node:events';
import { expect } from 'vitest';
import { type Arena, BOB } from './arena.ts';
import type { Family } from './fault.ts';

interface Violation {
  readonly section: string;
  readonly frames: readonly Uint8Array[];
}

const hello = Uint8Array.of(0x80);

/** Opcodes and bits as the first byte says them; masked as clients must, unless told otherwise. */
function frame(first: number, payload: Uint8Array, masked = true): Uint8Array {
  const length = payload.length;
  const size = length < 126 ? [length] : [126, length >> 8, length & 255];
  size[0]! |= masked ? 0x80 : 0;
  const mask = masked ? [1, 2, 3, 4] : [];
  const body = masked ? payload.map((byte, index) => byte ^ mask[index % 4]!) : payload;
  return Uint8Array.from([first, ...size, ...mask, ...body]);
}

const text = (words: string) => new TextEncoder().encode(words);

const VIOLATIONS: Readonly<Record<string, Violation>> = {
  'a frame without mask': { section: '5.1', frames: [frame(0x82, hello, false)] },
  'reserved bit 1, without an extension': { section: '5.2', frames: [frame(0xc2, hello)] },
  'reserved bit 2': { section: '5.2', frames: [frame(0xa2, hello)] },
  'reserved bit 3': { section: '5.2', frames: [frame(0x92, hello)] },
  'opcode 3': { section: '5.2', frames: [frame(0x83, hello)] },
  'opcode 11': { section: '5.2', frames: [frame(0x8b, hello)] },
  'a continuation of nothing': { section: '5.4', frames: [frame(0x80, hello)] },
  'a message within a message': { section: '5.4', frames: [frame(0x02, hello), frame(0x82, hello)] },
  'a ping in pieces': { section: '5.5', frames: [frame(0x09, hello)] },
  'a ping of 126 bytes': { section: '5.5', frames: [frame(0x89, new Uint8Array(126))] },
  'text that is no UTF-8': { section: '8.1', frames: [frame(0x81, Uint8Array.of(0xff, 0xfe))] },
  'half a character at the end': { section: '8.1', frames: [frame(0x81, Uint8Array.of(0xe2, 0x82))] },
  'a close of one byte': { section: '5.5.1', frames: [frame(0x88, Uint8Array.of(3))] },
  'a close with code 1005': { section: '7.4.1', frames: [frame(0x88, Uint8Array.of(0x03, 0xed))] },
  'a close with code 999': { section: '7.4.2', frames: [frame(0x88, Uint8Array.of(0x03, 0xe7))] },
  'a close whose reason is no UTF-8': {
    section: '5.5.1',
    frames: [frame(0x88, Uint8Array.of(0x03, 0xe8, 0xff))],
  },
};

export const rfc6455: Family = {
  name: 'RFC 6455 violations',
  faults: [
    {
      id: 'rfc6455/frames',
      does: `${Object.keys(VIOLATIONS).length} kinds of forbidden frames, on both sockets`,
      promise: 'that socket is closed, as docs/http-conformance.md says for each; no message comes of it',
      pace: 'slow',
      inject: async (arena) => {
        let count = 0;
        for (const path of ['/v1/sparklane', '/v1/responses']) {
          for (const [name, { section, frames }] of Object.entries(VIOLATIONS)) {
            const code = await closedBy(arena, path, frames);
            expect([null, 1002, 1005, 1007], `${name}, section ${section}, on ${path}`).toContain(code);
            count++;
          }
        }
        return count;
      },
    },
    {
      id: 'rfc6455/handshake',
      does: 'upgrades of versions other than 13, without a key, to other protocols, by POST',
      promise: 'no 101; 426 names version 13',
      inject: async (arena) => {
        const head = `GET /v1/sparklane HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${BOB}\r\n`;
        const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
        const upgrade = 'upgrade: websocket\r\nconnection: upgrade\r\n';
        const old = await arena.raw(`${head}${upgrade}${key}sec-websocket-version: 8\r\n\r\n`);
        expect([old.status, /sec-websocket-version: 13/i.test(old.text)]).toEqual([426, true]);
        const others = [
          `${head}${upgrade}sec-websocket-version: 13\r\n\r\n`,
          `${head}upgrade: h2c\r\nconnection: upgrade\r\n\r\n`,
          `${head.replace('GET', 'POST')}${upgrade}${key}sec-websocket-version: 13\r\ncontent-length: 0\r\n\r\n`,
        ];
        for (const other of others) {
          const { status, closed } = await arena.raw(other);
          expect(closed || (status >= 400 && status < 500), `${status}: ${other}`).toBe(true);
          expect(status).not.toBe(101);
        }
        return 1 + others.length;
      },
    },
    {
      id: 'rfc6455/well-formed',
      does: 'what the RFC allows and few clients do: pieces, pings between them, empty messages, a reason',
      promise: 'is read as one message; the close is answered with its own code',
      inject: async (arena) => {
        const socket = await upgraded(arena, '/v1/responses');
        const received = collector(socket);
        const message = text('{"type":"response.nothing"}');
        socket.write(frame(0x01, message.subarray(0, 5)));
        socket.write(frame(0x89, text('ping')));
        socket.write(frame(0x00, new Uint8Array()));
        socket.write(frame(0x80, message.subarray(5)));
        socket.write(frame(0x88, Uint8Array.from([0x0f, 0xa0, ...text('done')])));
        await once(socket, 'close');
        const bytes = received();
        expect(bytes.includes(Buffer.from([0x8a, 4, ...text('ping')]))).toBe(true);
        expect(bytes.includes('response.nothing')).toBe(true); // the error names it
        expect(closeCode(bytes)).toBe(4000);
        return 5;
      },
    },
  ],
};

async function upgraded(arena: Arena, path: string) {
  const socket = await arena.socket();
  socket.write(
    `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${BOB}\r\nupgrade: websocket\r\n` +
      `connection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  const [head] = (await once(socket, 'data')) as [Buffer];
  expect(`${head}`).toContain('101 Switching Protocols');
  return socket;
}

function collector(socket: Awaited<ReturnType<typeof upgraded>>): () => Buffer {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  return () => Buffer.concat(pieces);
}

/** The code of the close frame that ends the connection; null if it ended without one. */
async function closedBy(arena: Arena, path: string, frames: readonly Uint8Array[]): Promise<number | null> {
  const socket = await upgraded(arena, path);
  const received = collector(socket);
  const closed = once(socket, 'close');
  for (const bytes of frames) socket.write(bytes);
  await closed;
  return closeCode(received());
}

/** Of the last frame, if that is a close: servers do not mask. */
function closeCode(bytes: Buffer): number | null {
  for (let at = 0; at + 1 < bytes.length; ) {
    const first = bytes[at]!;
    const short = bytes[at + 1]!;
    const start = at + (short < 126 ? 2 : 4);
    const length = short < 126 ? short : bytes.readUInt16BE(at + 2);
    if (first === 0x88) return length >= 2 ? bytes.readUInt16BE(start) : 1005;
    at = start + length;
  }
  return null;
}
