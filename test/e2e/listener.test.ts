// Both transports over real sockets: what they do with bodies, slow readers, aborts and frames.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import type {
  HttpExchange,
  SocketConnection,
  Transport,
  TransportBounds,
  UpgradeDecision,
} from '../../server/listeners/transport.ts';
import { type ListenerKind, listenersHere, testListener } from '../listeners.ts';

const bounds: TransportBounds = {
  headerSizeMax: 16 * 1024,
  frameSizeMax: 64 * 1024,
  sendBufferSizeMax: 8 * 2 ** 20,
  idleTimeoutSeconds: 120,
};
const kinds = await listenersHere(bounds.headerSizeMax);
let kind: ListenerKind;
const open: Transport[] = [];

afterEach(() => {
  for (const listener of open.splice(0)) listener.close();
});

const REFUSE: UpgradeDecision = { accept: false, status: 404, headers: {}, body: 'no such socket' };

async function listen(
  onRequest: (exchange: HttpExchange) => void,
  onUpgrade: (path: string) => UpgradeDecision = () => REFUSE,
): Promise<number> {
  const listener = await testListener(bounds, kind);
  open.push(listener);
  const { port } = await listener.listen('127.0.0.1', 0, {
    onRequest,
    onUpgrade: ({ path }) => onUpgrade(path),
  });
  return port;
}

/** The same tests of each listener. */
function describeEach(name: string, tests: () => void): void {
  describe.each(kinds)(`${name}, %s`, (each) => {
    beforeEach(() => {
      kind = each;
    });
    tests();
  });
}

/** A peer that reads only when told to. */
async function rawRequest(port: number, text: string): Promise<{ socket: Socket; received: () => number }> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => {}); // a reset is one of the expected ends
  socket.pause();
  let size = 0;
  socket.on('data', (data) => {
    size += data.length;
  });
  socket.pause();
  socket.write(text);
  return { socket, received: () => size };
}

describeEach('requests', () => {
  test('method, path, query, headers and body arrive as they were sent', async () => {
    const port = await listen((exchange) => {
      const { method, path, query, remoteAddress } = exchange.request;
      exchange.readBody(1000, (body) => {
        const echo = {
          method,
          path,
          query,
          remoteAddress,
          kind: exchange.request.header('x-kind'),
          body: `${body}`,
        };
        exchange.respond(
          201,
          { 'content-type': 'application/json' },
          JSON.stringify({ ...echo, body: Buffer.from(body!).toString() }),
        );
      });
    });
    const url = `http://127.0.0.1:${port}/some/path?a=b&c`;
    const answer = await fetch(url, { method: 'POST', headers: { 'X-Kind': 'test' }, body: 'héllo' });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(await answer.json()).toEqual({
      method: 'POST',
      path: '/some/path',
      query: 'a=b&c',
      remoteAddress: '127.0.0.1',
      kind: 'test',
      body: 'héllo',
    });
  });

  test('a body in many pieces is put together, one over its bound is null and the sender gets the answer', async () => {
    const port = await listen((exchange) => {
      exchange.readBody(5_000_000, (body) =>
        exchange.respond(body === null ? 413 : 200, {}, `${body?.length}`),
      );
    });
    const post = (size: number) =>
      fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: Buffer.alloc(size, 97) });
    expect(await (await post(5_000_000)).text()).toBe('5000000');
    expect((await post(5_000_001)).status).toBe(413);
    expect(await (await post(0)).text()).toBe('0');
  });

  test('a body far over its bound is not read to its end', async () => {
    const port = await listen((exchange) => {
      exchange.readBody(1000, (body) => exchange.respond(body === null ? 413 : 200, {}, ''));
    });
    const { socket } = await rawRequest(
      port,
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n',
    );
    socket.resume();
    const [data] = await once(socket, 'data');
    expect(`${data}`).toContain('413 Payload Too Large');
    await once(socket, 'close');
  });

  test('a chunked body without a length is bounded as well', async () => {
    const port = await listen((exchange) => {
      exchange.readBody(1000, (body) => exchange.respond(body === null ? 413 : 200, {}, ''));
    });
    const piece = `${(900).toString(16)}\r\n${'a'.repeat(900)}\r\n`;
    const head = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';
    const { socket } = await rawRequest(port, `${head}${piece.repeat(3)}0\r\n\r\n`);
    socket.resume();
    const [data] = await once(socket, 'data');
    expect(`${data}`).toContain('413 Payload Too Large');
    socket.destroy();
  });

  test('HEAD is answered with the length and without the body', async () => {
    const port = await listen((exchange) => exchange.respond(200, {}, 'twelve bytes'));
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'HEAD' });
    expect([answer.headers.get('content-length'), await answer.text()]).toEqual(['12', '']);
  });

  test('an answer to a peer that has left is a harmless no-op, and so is a second answer', async () => {
    let left: HttpExchange | null = null;
    const aborted = new Promise<void>((resolve) => {
      listenPort = listen((exchange) => {
        exchange.onAbort(() => resolve());
        left = exchange;
      });
    });
    const { socket } = await rawRequest(await listenPort, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    while (left === null) await new Promise(setImmediate);
    socket.destroy();
    await aborted;
    const exchange = left as HttpExchange;
    exchange.respond(200, {}, 'late');
    exchange.begin(200, {});
    expect(exchange.write('late')).toBe(true);
    exchange.end();
    expect(exchange.bufferedBytes).toBe(0);
  });
});

let listenPort: Promise<number>;

describeEach('streams', () => {
  test('head and pieces come in order and the end is the end', async () => {
    const port = await listen((exchange) => {
      exchange.begin(200, { 'content-type': 'text/event-stream' });
      for (const piece of ['one ', '', 'two ', 'é'.repeat(100_000)]) exchange.write(piece);
      exchange.write(Buffer.from(' three'));
      exchange.end();
      exchange.write('after the end');
      exchange.end();
    });
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    expect(await answer.text()).toBe(`one two ${'é'.repeat(100_000)} three`);
  });

  test('a slow reader makes write answer false and bufferedBytes grow, and gets every byte once it reads', async () => {
    let exchange: HttpExchange | undefined;
    let writableCount = 0;
    const port = await listen((it) => {
      exchange = it;
      it.begin(200, {});
      it.onWritable(() => void writableCount++);
      it.write('start');
    });
    const { socket, received } = await rawRequest(port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    while (exchange === undefined) await new Promise(setImmediate);
    const piece = Buffer.alloc(40_000, 120);
    let sentSize = 0;
    while (exchange.bufferedBytes < 3_000_000) {
      exchange.write(piece);
      sentSize += piece.length;
    }
    expect(exchange.write('x')).toBe(false);
    piece.fill(0); // the transport has its own copy of what waits
    expect(writableCount).toBe(0);
    socket.resume();
    while (exchange.bufferedBytes > 0) await new Promise(setImmediate);
    expect(writableCount).toBe(1);
    expect(exchange.write('x')).toBe(true);
    exchange.end();
    while (received() < sentSize) await new Promise(setImmediate);
    socket.destroy();
  });

  test('the end of a stream waits for its bytes', async () => {
    const size = 7_000_000;
    const port = await listen((exchange) => {
      exchange.begin(200, {});
      exchange.write(Buffer.alloc(size, 120));
      exchange.end();
    });
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    await new Promise(setImmediate);
    expect((await answer.arrayBuffer()).byteLength).toBe(size);
  });

  test('a reader further behind than the bound is cut off', async () => {
    const aborted = new Promise<number>((resolve) => {
      listenPort = listen((exchange) => {
        exchange.onAbort(() => resolve(exchange.bufferedBytes));
        exchange.begin(200, {});
        for (let i = 0; i < 40; i++) exchange.write(Buffer.alloc(500_000));
      });
    });
    const { socket } = await rawRequest(await listenPort, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(await aborted).toBe(0);
    socket.destroy();
  });

  test('a peer that leaves in mid-stream is noticed', async () => {
    const aborted = new Promise<void>((resolve) => {
      listenPort = listen((exchange) => {
        exchange.onAbort(resolve);
        exchange.begin(200, {});
        exchange.write('data');
      });
    });
    const controller = new AbortController();
    const answer = await fetch(`http://127.0.0.1:${await listenPort}/`, { signal: controller.signal });
    controller.abort();
    await aborted;
    expect(answer.status).toBe(200);
  });
});

describeEach('WebSockets', () => {
  function echo(log: string[], act: (connection: SocketConnection) => void = () => {}): UpgradeDecision {
    return {
      accept: true,
      protocol: null,
      open: (connection) => {
        act(connection);
        return {
          onMessage: (frame, isBinary) =>
            void connection.send(isBinary ? frame : Buffer.from(frame).toString()),
          onWritable: () => void log.push('writable'),
          onClose: (code) => {
            log.push(`closed ${code}`);
            connection.send('late');
            connection.close(1000, 'late');
          },
        };
      },
    };
  }

  test('text comes back as text, bytes as bytes, and a refused path as its status', async () => {
    const log: string[] = [];
    const port = await listen(
      () => {},
      (path) => (path === '/echo' ? echo(log) : REFUSE),
    );
    const socket = new WebSocket(`ws://127.0.0.1:${port}/echo`);
    await once(socket, 'open');
    socket.send('text');
    const [text, textIsBinary] = await once(socket, 'message');
    socket.send(Buffer.from([1, 2, 3]));
    const [bytes, bytesIsBinary] = await once(socket, 'message');
    expect([`${text}`, textIsBinary, [...(bytes as Buffer)], bytesIsBinary]).toEqual([
      'text',
      false,
      [1, 2, 3],
      true,
    ]);
    socket.close(1000);
    while (log.length === 0) await new Promise(setImmediate);
    expect(log).toEqual(['closed 1000']);
    const refused = new WebSocket(`ws://127.0.0.1:${port}/other`);
    const [, answer] = await once(refused, 'unexpected-response');
    expect(answer.statusCode).toBe(404);
    refused.on('error', () => {});
    refused.terminate();
  });

  test('a frame over its bound closes the socket with a reason; one of many times the bound is not read', async () => {
    const log: string[] = [];
    const port = await listen(
      () => {},
      () => echo(log),
    );
    for (const [size, code, reason] of [
      [bounds.frameSizeMax + 1, 1009, 'a message of 65537 bytes: at most 65536 (--frame-size)'],
      [4 * bounds.frameSizeMax + 1, kind === 'uws' ? 1006 : 1009, ''],
    ] as const) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
      await once(socket, 'open');
      socket.on('error', () => {});
      socket.send(Buffer.alloc(size));
      const [closed, why] = (await once(socket, 'close')) as [number, Buffer];
      expect([closed, `${why}`]).toEqual([code, reason]);
      while (log.length === 0) await new Promise(setImmediate);
      expect(log.splice(0)[0]).toMatch(/^closed 10/);
    }
  });

  test('closing in open() tells the events once, and a long reason is cut at a character', async () => {
    const log: string[] = [];
    const port = await listen(
      () => {},
      () => echo(log, (connection) => connection.close(1013, '€'.repeat(100))),
    );
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    const [code, reason] = await once(socket, 'close');
    expect([code, `${reason}`]).toEqual([1013, '€'.repeat(41)]);
    expect(log).toEqual(['closed 1013']);
  });

  test('a slow reader makes send answer false; once it reads, onWritable tells', async () => {
    const log: string[] = [];
    let connection: SocketConnection | undefined;
    const port = await listen(
      () => {},
      () =>
        echo(log, (it) => {
          connection = it;
        }),
    );
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(socket, 'open');
    socket.pause();
    const frame = Buffer.alloc(100_000);
    while (connection!.send(frame));
    expect(connection!.bufferedBytes).toBeGreaterThan(0);
    socket.resume();
    while (log.length === 0) await new Promise(setImmediate);
    expect([log[0], connection!.bufferedBytes]).toEqual(['writable', 0]);
    socket.terminate();
  });
});
