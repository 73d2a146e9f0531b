// What the listener on node:http does by itself, byte by byte: HTTP/1.0, requests behind one another, heads that are none,
// upgrades to something else, peers that fall silent.
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import WebSocket from 'ws';
import { VirtualClock } from '../../kernels/clock.ts';
import { NodeListener } from '../../server/listeners/node-listener.ts';
import type { HttpExchange, SocketConnection } from '../../server/listeners/transport.ts';

const bounds = {
  headerSizeMax: 8 * 1024,
  frameSizeMax: 64 * 1024,
  sendBufferSizeMax: 8 * 2 ** 20,
  idleTimeoutSeconds: 120,
};

let clock: VirtualClock;
let listener: NodeListener;
let port: number;
let waiting: HttpExchange[];
let heard: string[];
let connection: SocketConnection | null;

beforeEach(async () => {
  clock = new VirtualClock();
  listener = new NodeListener(bounds, clock);
  waiting = [];
  heard = [];
  connection = null;
  ({ port } = await listener.listen('127.0.0.1', 0, {
    onRequest: (exchange) => {
      const { method, path, query } = exchange.request;
      heard.push(`${method} ${path}${query === '' ? '' : `?${query}`}`);
      if (path === '/wait') {
        waiting.push(exchange);
        exchange.onAbort(() => void heard.push('left'));
        return;
      }
      exchange.readBody(100_000, (body) => exchange.respond(200, {}, `${path}, ${body?.length} bytes.`));
    },
    onUpgrade: () => ({
      accept: true,
      protocol: 'spark',
      open: (it) => {
        connection = it;
        return {
          onMessage: (frame) => void it.send(`${frame.length} bytes`),
          onWritable: () => {},
          onClose: (code) => void heard.push(`closed ${code}`),
        };
      },
    }),
  }));
});
afterEach(() => listener.close());

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

/** What is answered to `bytes` until the server closes. */
async function answerTo(bytes: string): Promise<string> {
  const peer = connect(port, '127.0.0.1');
  let answer = '';
  peer.on('error', () => {});
  peer.on('data', (data) => {
    answer += data.toString('latin1');
  });
  peer.write(bytes, 'latin1');
  await once(peer, 'close');
  return answer;
}

function errorIn(answer: string): { code: string; message: string } {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)).error;
}

const LAST = 'connection: close\r\n';

test('HTTP/1.0, as nginx speaks it to its upstreams: answered, without chunks, and closed', async () => {
  const answer = await answerTo('GET /a HTTP/1.0\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(answer).toContain('/a, 0 bytes.');
  const peer = connect(port, '127.0.0.1');
  let text = '';
  peer.on('data', (data) => {
    text += data.toString('latin1');
  });
  peer.write('GET /wait HTTP/1.0\r\n\r\n');
  await until(() => waiting.length === 1);
  waiting[0]!.begin(200, { 'content-type': 'text/event-stream' });
  for (const piece of ['data: 1\n\n', 'data: 2\n\n']) waiting[0]!.write(piece);
  waiting[0]!.end();
  await once(peer, 'close');
  expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe('data: 1\n\ndata: 2\n\n');
});

test('a version that is not spoken is refused, in JSON', async () => {
  for (const version of ['2.0', '0.9']) {
    const answer = await answerTo(`GET /a HTTP/${version}\r\nhost: x\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 505 /);
    expect(errorIn(answer).message).toContain(`HTTP/${version}`);
  }
  expect(heard).toEqual([]);
});

test('requests behind one that waits are answered after it, in order', async () => {
  const answer = answerTo(
    `GET /wait HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\nGET /c HTTP/1.1\r\nhost: x\r\n${LAST}\r\n`,
  );
  await until(() => heard.includes('GET /c'));
  waiting[0]!.begin(200, {});
  waiting[0]!.write('first, ');
  waiting[0]!.write('in pieces.');
  waiting[0]!.end();
  const whole = await answer;
  const order = ['first, ', 'in pieces.', '/b, 0 bytes.', '/c, 0 bytes.'].map((text) => whole.indexOf(text));
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(order[0]).toBeGreaterThan(0);
});

test('garbage behind a request that is being answered is not taken for its answer', async () => {
  const answer = answerTo('GET /wait HTTP/1.1\r\nhost: x\r\n\r\n\u0000garbage\r\n\r\n');
  await until(() => clock.run(0) > 0);
  expect(await answer).toBe('');
  await until(() => heard.includes('left'));
  const whole = answerTo('GET /a HTTP/1.1\r\nhost: x\r\n\r\n\u0000garbage\r\n\r\n');
  await until(() => clock.run(0) > 0);
  expect(await whole).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*\/a, 0 bytes\.HTTP\/1\.1 400 Bad Request/);
});

test.each([
  [
    'a head that is too large',
    `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(9000)}\r\n\r\n`,
    431,
    'head_too_large',
  ],
  ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001', 400, 'invalid_request'],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
  ['two Hosts', 'GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n', 400, 'invalid_request'],
  ['a header without a colon', 'GET / HTTP/1.1\r\nhost: x\r\nbad\r\n\r\n', 400, 'invalid_request'],
  ['a NUL', 'GET / HTTP/1.1\r\nhost: x\r\na: b\u0000c\r\n\r\n', 400, 'invalid_request'],
  ['a space before a colon', 'GET / HTTP/1.1\r\nhost : x\r\n\r\n', 400, 'invalid_request'],
  [
    'a bad chunk',
    'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    400,
    'invalid_request',
  ],
])('%s is refused in JSON at once, and closed', async (_, bytes, status, code) => {
  const answer = await answerTo(bytes);
  expect(answer).toContain(`HTTP/1.1 ${status} `);
  expect(errorIn(answer).code).toBe(code);
  expect(heard.filter((request) => request.startsWith('GET'))).toEqual([]);
});

test('chunk extensions, trailers and the absolute form are read', async () => {
  const chunks = '5;a=b\r\nhello\r\n0\r\ntrailer: x\r\n\r\n';
  const head = `POST http://other:80/p?q=1 HTTP/1.1\r\nhost: x\r\n${LAST}transfer-encoding: chunked\r\n\r\n`;
  expect(await answerTo(`${head}${chunks}`)).toContain('/p, 5 bytes.');
  expect(heard).toEqual(['POST /p?q=1']);
});

test('many headers within the size of a head all arrive', async () => {
  const many = Array.from({ length: 400 }, (_, i) => `x${i}: y\r\n`).join('');
  expect(await answerTo(`GET /a HTTP/1.1\r\nhost: x\r\n${LAST}${many}\r\n`)).toContain('200 OK');
});

test('a caller that asks for HTTP/2 on the way is answered in HTTP/1.1, and so is what it asks next', async () => {
  const wish =
    'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n';
  const peer = connect(port, '127.0.0.1');
  let text = '';
  peer.on('data', (data) => {
    text += data.toString('latin1');
  });
  peer.write(`POST /a HTTP/1.1\r\nhost: x\r\n${wish}content-length: 10\r\n\r\nhello`);
  await new Promise(setImmediate);
  peer.write('there');
  await until(() => text.includes('/a, 10 bytes.'));
  peer.write(`POST /b HTTP/1.1\r\nhost: x\r\n${LAST}content-length: 5\r\n\r\nhello`);
  await once(peer, 'close');
  expect(text).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*\/a, 10 bytes\.HTTP\/1\.1 200 OK[\s\S]*\/b, 5 bytes\.$/);
});

test('Expect: 100-continue is told to go on', async () => {
  const peer = connect(port, '127.0.0.1');
  peer.write(`POST /a HTTP/1.1\r\nhost: x\r\n${LAST}content-length: 5\r\nexpect: 100-continue\r\n\r\n`);
  const [first] = await once(peer, 'data');
  expect(`${first}`).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  peer.write('hello');
  const [second] = await once(peer, 'data');
  expect(`${second}`).toContain('/a, 5 bytes.');
  await once(peer, 'close');
});

test('a caller that closes its sending half has left; what was answered at once comes through', async () => {
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  peer.on('data', (data) => {
    text += data.toString('latin1');
  });
  peer.end('GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /wait HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(peer, 'close');
  expect(text).toContain('/a, 0 bytes.');
  await until(() => heard.includes('left'));
});

test('an answer that is complete does not wait for ever for a reader who takes none of it', async () => {
  const peer = connect(port, '127.0.0.1');
  peer.on('error', () => {});
  peer.pause();
  peer.write('GET /wait HTTP/1.1\r\nhost: x\r\n\r\n');
  await until(() => waiting.length === 1);
  waiting[0]!.respond(200, {}, Buffer.alloc(8_000_000));
  for (let unread = -1; unread !== waiting[0]!.bufferedBytes; ) {
    unread = waiting[0]!.bufferedBytes; // until the system takes no more
    await new Promise(setImmediate);
  }
  expect(waiting[0]!.bufferedBytes).toBeGreaterThan(0);
  clock.run(clock.nowMs() + 30_000);
  expect(waiting[0]!.bufferedBytes).toBe(0);
  peer.resume();
  await once(peer, 'close');
  expect(heard).toEqual(['GET /wait']);
});

test('a silent WebSocket is asked, one that does not answer is closed within the idle timeout', async () => {
  const peer = new WebSocket(`ws://127.0.0.1:${port}/`, 'spark', { autoPong: false });
  let pings = 0;
  peer.on('ping', () => {
    if (pings++ === 0) peer.pong();
  });
  await once(peer, 'open');
  expect(peer.protocol).toBe('spark');
  await until(() => connection !== null);
  clock.run(40_000); // hears the handshake
  clock.run(80_000); // asks, and is answered
  await until(() => pings === 1);
  peer.send('still here');
  await once(peer, 'message');
  clock.run(120_000);
  clock.run(160_000);
  expect(heard).toEqual([]);
  clock.run(200_000);
  expect(heard).toEqual(['closed 1006']);
  await once(peer, 'close');
});

test('a key that is none, and a method other than GET, are no handshake', async () => {
  const rest = 'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n';
  const short = await answerTo(`GET / HTTP/1.1\r\nhost: x\r\nsec-websocket-key: abc\r\n${rest}`);
  expect([short.slice(0, 12), errorIn(short).message]).toEqual([
    'HTTP/1.1 400',
    expect.stringMatching(/base64/),
  ]);
  const posted = await answerTo(
    `POST / HTTP/1.1\r\nhost: x\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${rest}`,
  );
  expect(posted).toContain('HTTP/1.1 405');
  expect(connection).toBe(null);
});

const masked = (first: number, payload: readonly number[]) =>
  Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0, ...payload]);

test.each([
  ['a frame without a mask', Buffer.from([0x81, 1, 97]), 1002, 1006],
  ['a reserved bit', masked(0xc1, [97]), 1002, 1006],
  ['a reserved opcode', masked(0x83, [97]), 1002, 1006],
  ['a new message inside another', Buffer.concat([masked(0x01, [97]), masked(0x81, [98])]), 1002, 1006],
  ['bad UTF-8', masked(0x81, [0xff]), 1007, 1006],
  ['code 1000', masked(0x88, [0x03, 0xe8]), 1000, 1000],
  ['code 1013', masked(0x88, [0x03, 0xf5]), 1013, 1013],
  ['code 3000', masked(0x88, [0x0b, 0xb8]), 3000, 3000],
  ['code 4999', masked(0x88, [0x13, 0x87]), 4999, 4999],
  ['code 1005, which nobody sends', masked(0x88, [0x03, 0xed]), 1002, 1006],
])('%s: the close frame of ws, and what the server is told', async (_, frames, code, told) => {
  const peer = connect(port, '127.0.0.1');
  let answer = Buffer.alloc(0);
  peer.on('data', (data: Buffer) => {
    answer = Buffer.concat([answer, data]);
  });
  const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13';
  peer.write(`GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${key}\r\n\r\n`);
  await until(() => connection !== null);
  peer.write(frames);
  const frame = () => answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  await until(() => frame().length >= 4 && frame()[0] === 0x88);
  expect(frame().readUInt16BE(2)).toBe(code);
  peer.destroy();
  await until(() => heard.length > 0);
  expect(heard).toEqual([`closed ${told}`]);
});

test('fragments come as one message, with a ping between them', async () => {
  const peer = new WebSocket(`ws://127.0.0.1:${port}/`);
  await once(peer, 'open');
  peer.send('abc', { fin: false });
  peer.ping();
  peer.send('def', { fin: true });
  const [message] = await once(peer, 'message');
  expect(`${message}`).toBe('6 bytes');
  peer.close(1000);
  await once(peer, 'close');
});

/** The text of a chunked body; how it is cut is Node's affair: 26 sends pieces of one turn as one. */
function joined(body: string): string {
  let text = '';
  for (let at = 0; at < body.length; ) {
    const size = /^[0-9a-f]+(?=\r\n)/.exec(body.slice(at))![0];
    const start = at + size.length + 2;
    const end = start + Number.parseInt(size, 16);
    expect(body.slice(end, end + 2)).toBe('\r\n');
    text += body.slice(start, end);
    at = end + 2;
  }
  return text;
}

test('pieces of several answers on one connection come in order, framed, and none for HEAD', async () => {
  const peer = connect(port, '127.0.0.1');
  let said = '';
  peer.on('data', (data) => {
    said += data.toString('latin1');
  });
  const head = (method: string) => `${method} /wait HTTP/1.1\r\nhost: a\r\n\r\n`;
  peer.write(`${head('GET')}${head('HEAD')}${head('GET')}`);
  await until(() => waiting.length === 3);
  const [first, second, third] = waiting as [HttpExchange, HttpExchange, HttpExchange];
  for (const exchange of waiting) exchange.begin(200, {});
  // The last one is written while the first still has the connection.
  third.write('x');
  third.write('yz');
  for (const text of ['a', 'bé', '']) first.write(text);
  await until(() => said.includes('b'));
  for (const exchange of [first, second]) {
    exchange.write('c');
    exchange.write('d');
    exchange.end();
  }
  await until(() => said.includes('yz'));
  third.write('w');
  third.end();
  await until(() => said.endsWith('0\r\n\r\n') && said.includes('w'));
  const bodies = said.split(/HTTP\/1\.1 200 OK\r\n[\s\S]*?\r\n\r\n/).slice(1);
  const é = Buffer.from('é').toString('latin1');
  expect(bodies.map(joined)).toEqual([`ab${é}cd`, '', 'xyzw']);
  peer.destroy();
});
