// Both transports and the addresses they listen on: what is in the way is said, nothing is shared, and the door can close
// before what is inside has ended.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type {
  HttpExchange,
  Transport,
  TransportBounds,
  TransportHandlers,
} from '../../server/listeners/transport.ts';
import { listenersHere, testListener } from '../listeners.ts';

const bounds: TransportBounds = {
  headerSizeMax: 16 * 1024,
  frameSizeMax: 64 * 1024,
  sendBufferSizeMax: 8 * 2 ** 20,
  idleTimeoutSeconds: 120,
};
const open: Transport[] = [];

afterEach(() => {
  for (const listener of open.splice(0)) listener.close();
});

function handlersOf(onRequest: (exchange: HttpExchange) => void): TransportHandlers {
  return {
    onRequest,
    onUpgrade: () => ({ accept: false, status: 404, headers: {}, body: 'no such socket' }),
  };
}

describe.each(await listenersHere(bounds.headerSizeMax))('addresses, %s', (kind) => {
  async function fresh(): Promise<Transport> {
    const listener = await testListener(bounds, kind);
    open.push(listener);
    return listener;
  }

  async function listen(onRequest: (exchange: HttpExchange) => void, host = '127.0.0.1'): Promise<number> {
    return (await (await fresh()).listen(host, 0, handlersOf(onRequest))).port;
  }

  test('IPv6 loopback works with and without brackets, where the machine has it', async (context) => {
    for (const host of ['::1', '[::1]']) {
      const port = await listen(
        (exchange) => exchange.respond(200, {}, exchange.request.remoteAddress),
        host,
      ).catch(() => null);
      if (port === null) return context.skip('no IPv6 loopback on this machine');
      expect(await (await fetch(`http://[::1]:${port}/`)).text()).toMatch(/:0*1$/);
    }
    return undefined;
  });

  test('a port in use is a clear error', async () => {
    const port = await listen(() => {});
    const second = await fresh();
    await expect(
      second.listen(
        '127.0.0.1',
        port,
        handlersOf(() => {}),
      ),
    ).rejects.toThrow(`127.0.0.1, port ${port}`);
  });

  test('a port that a server was told to take is not shared with a second one', async () => {
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    free.close();
    await once(free, 'close');
    const [first, second, third] = [await fresh(), await fresh(), await fresh()];
    const handlers = handlersOf((it) => it.respond(200, {}, 'first'));
    await first.listen('127.0.0.1', port, handlers);
    await expect(second.listen('127.0.0.1', port, handlers)).rejects.toThrow(
      `cannot listen on 127.0.0.1, port ${port}: another program listens there`,
    );
    await expect(third.listen('192.0.2.1', port, handlers)).rejects.toThrow(
      'this machine does not have that',
    );
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('first');
  });

  test('after stopListening nobody new comes in, open exchanges go on', async () => {
    const listener = await fresh();
    let pending: HttpExchange | undefined;
    const handlers = handlersOf((it) => {
      pending = it;
    });
    const { port } = await listener.listen('127.0.0.1', 0, handlers);
    const answer = fetch(`http://127.0.0.1:${port}/`);
    while (pending === undefined) await new Promise(setImmediate);
    listener.stopListening();
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
    pending.respond(200, {}, 'still here');
    expect(await (await answer).text()).toBe('still here');
  });
});
