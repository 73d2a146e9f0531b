// HTTP and WebSocket by the book, byte by byte over real sockets: what this server refuses before any route hears of it,
// and what the socket library decides alone (docs/http-conformance.md has the table).
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Transport, TransportHandlers } from '../../server/listeners/transport.ts';
import { type ListenerKind, listenersHere, testListener } from '../listeners.ts';

const bounds = {
  headerSizeMax: 16 * 1024,
  frameSizeMax: 64 * 1024,
  sendBufferSizeMax: 8 * 2 ** 20,
  idleTimeoutSeconds: 120,
};
const kinds = await listenersHere(bounds.headerSizeMax);
let listener: Transport;
const heard: string[] = [];
let port: number;

const handlers: TransportHandlers = {
  onRequest: (exchange) => {
    const { method, path } = exchange.request;
    heard.push(`${method} ${path}`);
    if (path === '/unread') return exchange.respond(401, {}, 'no key');
    return exchange.readBody(1000, (body) => exchange.respond(200, {}, `${body?.length} bytes`));
  },
  onUpgrade: ({ path }) => {
    heard.push(`upgrade ${path}`);
    return {
      accept: true,
      protocol: null,
      open: () => ({
        onMessage: () => {},
        onWritable: () => {},
        onClose: (code) => void heard.push(`closed ${code}`),
      }),
    };
  },
};

/** The same tests of each listener. */
function describeEach(name: string, tests: (kind: ListenerKind) => void): void {
  describe.each(kinds)(`${name}, %s`, (kind) => {
    beforeAll(async () => {
      listener = await testListener(bounds, kind);
      ({ port } = await listener.listen('127.0.0.1', 0, handlers));
    });
    beforeEach(() => void heard.splice(0));
    afterAll(() => listener.close());
    tests(kind);
  });
}

/** Everything that is answered until the server closes. */
async function exchange(bytes: string | Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}); // a reset is an end, too
  let answer = '';
  socket.on('data', (data) => {
    answer += data.toString('latin1');
  });
  socket.write(bytes);
  await once(socket, 'close');
  return answer;
}

/** Everything that is answered until `mark` comes; the server need not close. */
async function answerUpTo(mark: string, bytes: readonly (string | Buffer)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  for (const piece of bytes) socket.write(piece);
  while (!answer.includes(mark)) {
    const [data] = await once(socket, 'data');
    answer += data.toString('latin1');
  }
  socket.destroy();
  return answer;
}

function errorIn(answer: string): { code: string; message: string } {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)).error;
}

const post = (headers: string, body: string) => `POST /a HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n${body}`;

describeEach('where a body ends', () => {
  test.each([
    ['differing lengths', 'content-length: 2\r\ncontent-length: 40'],
    ['a repeated length', 'content-length: 2\r\ncontent-length: 2'],
  ])('%s are refused and the connection closed', async (_, headers) => {
    const answer = await exchange(post(headers, '{}'));
    expect(answer).toContain('HTTP/1.1 400 Bad Request');
    expect(answer.toLowerCase()).toContain('connection: close');
    expect(errorIn(answer)).toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/content-length/),
    });
    expect(heard).toEqual([]);
  });

  test('a request hidden in a body of two lengths is never heard', async () => {
    const hidden = 'GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n';
    const answer = await exchange(post('content-length: 2\r\ncontent-length: 40', `{}${hidden}`));
    expect(answer).not.toContain('200');
    expect(heard).toEqual([]);
  });

  test.each(['xchunked', 'gzip, chunked', 'chunked, chunked', 'identity'])(
    'the transfer coding "%s" is refused',
    async (coding) => {
      const answer = await exchange(post(`transfer-encoding: ${coding}`, '2\r\n{}\r\n0\r\n\r\n'));
      expect(answer).toContain('HTTP/1.1 501 Not Implemented');
      expect(errorIn(answer).code).toBe('unsupported_coding');
      expect(heard).toEqual([]);
    },
  );

  test('chunked in any case is read', async () => {
    const answer = await answerUpTo('2 bytes', [post('transfer-encoding: Chunked', '2\r\n{}\r\n0\r\n\r\n')]);
    expect(answer).toContain('HTTP/1.1 200 OK');
  });

  test('both a length and a coding, a list of lengths, a sign: the library refuses', async () => {
    for (const headers of [
      'content-length: 3\r\ntransfer-encoding: chunked',
      'content-length: 2, 3',
      'content-length: +2',
    ])
      expect(await exchange(post(headers, '2\r\n{}\r\n0\r\n\r\n'))).toContain('HTTP/1.1 400');
    expect(heard.filter((request) => request !== 'POST /a')).toEqual([]);
  });

  test('requests in one packet are answered in order where the answers come at once', async () => {
    const two = `${post('content-length: 2', '{}')}GET /b HTTP/1.1\r\nhost: x\r\n\r\n`;
    const answer = await answerUpTo('0 bytes', [two]);
    expect(answer.indexOf('2 bytes')).toBeLessThan(answer.indexOf('0 bytes'));
    expect(heard).toEqual(['POST /a', 'GET /b']);
  });

  test('a body that was answered before it came is read to its end, and the next request is answered', async () => {
    const head = 'POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 15000000\r\n\r\n';
    const next = 'GET /b HTTP/1.1\r\nhost: x\r\n\r\n';
    const answer = await answerUpTo('0 bytes', [head, Buffer.alloc(15_000_000, 97), next]);
    expect(answer).toMatch(/^HTTP\/1\.1 401 [\s\S]*no keyHTTP\/1\.1 200/);
  });
});

describeEach('the handshake of a WebSocket', () => {
  const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==';
  const whole = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
  const handshake = (headers: Readonly<Record<string, string>>) =>
    `GET /w HTTP/1.1\r\nhost: x\r\n${key}\r\n${Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`;

  test('versions other than 13 are 426 and told which is spoken', async () => {
    for (const version of ['8', '0', '14', '13, 8']) {
      const answer = await exchange(handshake({ ...whole, 'sec-websocket-version': version }));
      expect(answer).toContain('HTTP/1.1 426 Upgrade Required');
      expect(answer.toLowerCase()).toContain('sec-websocket-version: 13');
      expect(errorIn(answer).code).toBe('upgrade_required');
    }
    const { 'sec-websocket-version': _, ...without } = whole;
    expect(await exchange(handshake(without))).toContain('426');
    expect(heard).toEqual([]);
  });

  test('an upgrade to something else, or without Connection: Upgrade, is refused', async () => {
    expect(await exchange(handshake({ ...whole, upgrade: 'h2c' }))).toContain('HTTP/1.1 426');
    expect(await exchange(handshake({ ...whole, connection: 'keep-alive' }))).toContain('HTTP/1.1 400');
    expect(heard).toEqual([]);
  });

  test('lists that name what is needed among others are taken, as browsers send them', async () => {
    const asked = handshake({ ...whole, connection: 'keep-alive, Upgrade', upgrade: 'WebSocket' });
    expect(await answerUpTo('\r\n\r\n', [asked])).toContain('HTTP/1.1 101 Switching Protocols');
  });
});
