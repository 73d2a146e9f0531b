// The WebSocket mode over real sockets: frames of the size that coding clients send and larger ones, a switched-off
// server, keys, a socket that is cut. The engine is scripted.
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { WallClock } from '../../kernels/clock.ts';
import type { Transport } from '../../server/listeners/transport.ts';
import { type HttpServer, type HttpWorldOptions, httpServer } from '../http-world.ts';
import { testListener } from '../listeners.ts';

const listeners: Transport[] = [];

afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close();
});

async function serve(options: Omit<HttpWorldOptions, 'clock'> = {}): Promise<HttpServer & { url: string }> {
  const server = httpServer({ clock: new WallClock(), ...options });
  const listener = await testListener(server.config);
  listeners.push(listener);
  const { port } = await listener.listen('127.0.0.1', 0, server.app.handlers);
  return { ...server, url: `ws://127.0.0.1:${port}/v1/responses` };
}

interface Frame {
  readonly type: string;
  readonly response?: { readonly id: string; readonly output: readonly unknown[] };
  readonly error?: { readonly code: string };
}

/** Sends a frame and waits for the one that ends its answer. */
async function ask(socket: WebSocket, body: object | string): Promise<Frame> {
  const ended = new Promise<Frame>((resolve) => {
    const read = (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Frame;
      if (!/^(error|response\.(completed|incomplete|failed))$/.test(frame.type)) return;
      socket.off('message', read);
      resolve(frame);
    };
    socket.on('message', read);
  });
  socket.send(typeof body === 'string' ? body : JSON.stringify({ type: 'response.create', ...body }));
  return ended;
}

async function connected(url: string, headers: Record<string, string> = {}): Promise<WebSocket> {
  const socket = new WebSocket(url, { headers });
  await once(socket, 'open');
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

describe('frames', () => {
  test('of a megabyte are read, one beyond the bound closes the socket, and others go on', async () => {
    const { url } = await serve({
      flags: { frameSizeMax: 1_500_000 },
      engine: { contextTokensMax: 2 ** 22 },
    });
    const socket = await connected(url);
    const other = await connected(url);
    const client_metadata = { padding: 'x'.repeat(1_000_000) };
    const read = await ask(socket, { input: 'Hi', store: false, client_metadata });
    expect(read.type).toBe('response.completed');
    socket.send('x'.repeat(1_600_000));
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1009);
    expect((await ask(other, { input: 'Hi', store: false })).type).toBe('response.completed');
    other.close();
  });

  test('that are not JSON, or JSON without an end, get a typed error', async () => {
    const { url } = await serve();
    const socket = await connected(url);
    for (const frame of ['', 'null', '[]', '"x"', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`]) {
      expect(await ask(socket, frame)).toMatchObject({ type: 'error', status: 400 });
    }
    socket.close();
  });
});

test('an upgrade is 426 where it is switched off, 401 without the key, and the routes stay', async () => {
  const statusOf = async (url: string): Promise<number | undefined> => {
    const socket = new WebSocket(url);
    socket.on('error', () => {});
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode?: number }];
    return response.statusCode;
  };
  const off = await serve({ flags: { responsesWebSocket: 'off' } });
  expect(await statusOf(off.url)).toBe(426);
  const post = await fetch(off.url.replace('ws:', 'http:'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input: 'Hi' }),
  });
  expect(post.status).toBe(200);
  const locked = await serve({ flags: { apiKeys: ['first-key'] } });
  expect(await statusOf(locked.url)).toBe(401);
  const socket = await connected(locked.url, { authorization: 'Bearer first-key' });
  expect((await ask(socket, { input: 'Hi' })).type).toBe('response.completed');
  socket.close();
});

test('a socket that is cut frees its seat, and the chain is gone with it', async () => {
  const { url, engine } = await serve({
    engine: { script: () => ({ tokens: new Array(4000).fill(65) }) },
  });
  const socket = await connected(url);
  socket.send(JSON.stringify({ type: 'response.create', input: 'Hi', store: false }));
  await once(socket, 'message');
  expect(engine.activeCount).toBe(1);
  socket.terminate();
  await until(() => engine.activeCount === 0);
  const again = await connected(url);
  const missed = await ask(again, { input: 'And?', previous_response_id: 'resp_2' });
  expect(missed.error?.code).toBe('previous_response_not_found');
  again.close();
});
