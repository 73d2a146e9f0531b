// The composition that `serve` uses, over a simulated device, a transport of memory and virtual time.
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { loadModel } from '../../../models/model.ts';
import { createLog } from '../../../server/base/log.ts';
import { NativeClient } from '../../../server/client/client.ts';
import { AddressError, type ServerParts, startServer } from '../../../server/compose.ts';
import { loadConfig } from '../../../server/config/config.ts';
import { openDevice } from '../../../server/device/device.ts';
import { ServerMetrics } from '../../../server/metrics/metrics.ts';
import type { MemorySocket } from '../../memory-socket.ts';
import { MemoryTransport } from '../../memory-transport.ts';
import { turn } from '../../native-world.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const model = loadModel('spark-nano');

async function setup(flags: Record<string, string> = {}) {
  const clock = new VirtualClock();
  const config = loadConfig({
    flags: { backend: 'sim', kvCacheSizeMax: '64MiB', drainTimeoutMs: '500', ...flags },
    env: { HOME: '/home/ada' },
  });
  const log = createLog({ level: 'silent', write: () => {}, epochMs: () => 0 });
  const device = await openDevice(config, model, { clock, log, onProgress: () => {} });
  const transport = new MemoryTransport({ clock });
  let idCount = 0;
  const parts: ServerParts = {
    config,
    version: '0.0.0',
    model,
    backend: device.backend,
    transport,
    clock,
    epochMs: () => 0,
    random: new Random(1),
    freshId: () => `id-${++idCount}`,
    log,
    metrics: new ServerMetrics({ nodeMetrics: false }),
  };
  return { clock, transport, parts, description: device.description };
}

/** Virtual time goes on until the promise has settled. */
async function settle<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  promise.then(done, done);
  for (;;) {
    await turn();
    if (settled) return promise;
    if (!clock.step()) throw new Error('nothing is left that could settle the promise');
  }
}

test('a model whose weights could not lie in memory is refused in words, before anything is converted', async () => {
  const clock = new VirtualClock();
  const cacheDirectory = temporaryDirectory();
  const config = loadConfig({ flags: { backend: 'cpu', cacheDirectory }, env: { HOME: '/home/ada' } });
  const log = createLog({ level: 'silent', write: () => {}, epochMs: () => 0 });
  const world = { clock, log, onProgress: () => {}, memorySize: 2 ** 20 };
  await expect(openDevice(config, model, world)).rejects.toThrow(
    /spark-nano at \w+: its weights take \d+\.\d GiB here, this machine has 0\.0 GiB of memory: take a smaller model/,
  );
  expect(readdirSync(cacheDirectory)).toEqual([]);
});

test('one composition answers HTTP and the native protocol, and both share the prefix cache', async () => {
  const { clock, transport, parts, description } = await setup();
  expect(description).toMatch(/^sim \(simulated/);
  const server = await startServer(parts);
  expect(server.url).toBe('http://127.0.0.1:8080');
  const prompt = 'const value = compute(a, b);\n'.repeat(20);
  const body = { model: 'spark-nano', prompt, max_tokens: 4, temperature: 0 };
  const call = transport.call({ method: 'POST', path: '/v1/completions', body });
  await settle(clock, call.over());
  expect(call.status).toBe(200);
  const { choices } = call.json as { choices: { text: string }[] };

  const socket = transport.upgrade('/v1/sparklane') as MemorySocket;
  const client = await settle(clock, NativeClient.connect(socket.openSocket));
  expect(client.hello).toMatchObject({ model: 'spark-nano', device: 'sim', features: { chat: true } });
  const session = client.open({ temperature: 0 });
  const appended = await settle(clock, session.append({ text: prompt }));
  const answer = session.generate({ maxTokens: 4 });
  expect(await settle(clock, answer.text())).toBe(choices[0]!.text);
  const end = await answer.end;
  expect(end.usage.cachedTokens).toBeGreaterThan(appended.position - 40);
  const closed = new Promise((resolve) => {
    client.onError = resolve;
  });
  await settle(clock, server.stop());
  expect(await settle(clock, closed)).toMatchObject({ message: expect.stringContaining('1001') });
  expect(() => transport.call({ path: '/healthz' })).toThrow('connection refused');
});

test('stopping lets an answer end within its bound, and fails it with the reason after that', async () => {
  for (const [maxTokens, reason] of [
    [100, 'length'],
    [5000, 'failed'],
  ] as const) {
    const { clock, transport, parts } = await setup();
    const server = await startServer(parts);
    const socket = transport.upgrade('/v1/sparklane') as MemorySocket;
    const client = await settle(clock, NativeClient.connect(socket.openSocket));
    const session = client.open({ temperature: 0 });
    void session.append({ text: 'x' });
    const answer = session.generate({ maxTokens, ignoreStopTokens: true });
    await settle(clock, session.opened);
    const stopped = server.stop();
    expect(server.stop()).toBe(stopped);
    const end = await settle(clock, answer.end);
    expect(end.reason).toBe(reason);
    if (reason === 'failed') expect(end.error).toMatchObject({ code: 'shutdown', retryable: true });
    const refused = session.generate();
    await settle(clock, stopped);
    await expect(settle(clock, refused.end)).rejects.toMatchObject({ retryable: true });
    expect(server.engine.load).toMatchObject({ waitingCount: 0, runningCount: 0, kv: { inUseCount: 0 } });
  }
});

test('an address that cannot be had is an AddressError, and the device is closed', async () => {
  const { parts } = await setup();
  let closed = false;
  const { backend } = parts;
  const close = backend.close.bind(backend);
  backend.close = () => {
    closed = true;
    return close();
  };
  const transport = { ...parts.transport, listen: () => Promise.reject(new Error('in use')) };
  await expect(startServer({ ...parts, transport: transport as never })).rejects.toBeInstanceOf(AddressError);
  expect(closed).toBe(true);
});
