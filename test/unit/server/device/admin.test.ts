// POST /admin/backend through the whole server, over simulated devices, a transport of memory and virtual time.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { Random } from '../../../../kernels/random.ts';
import { loadModel } from '../../../../models/model.ts';
import { createLog } from '../../../../server/base/log.ts';
import { NativeClient } from '../../../../server/client/client.ts';
import { type ServerParts, startServer } from '../../../../server/compose.ts';
import { loadConfig } from '../../../../server/config/config.ts';
import { openDevice } from '../../../../server/device/device.ts';
import { ServerMetrics } from '../../../../server/metrics/metrics.ts';
import type { MemorySocket } from '../../../memory-socket.ts';
import { type MemoryCall, MemoryTransport } from '../../../memory-transport.ts';
import { turn } from '../../../native-world.ts';

const model = loadModel('spark-nano');
const path = '/admin/backend';

async function setup(flags: Record<string, unknown> = {}, change: Partial<ServerParts> = {}) {
  const clock = new VirtualClock();
  const config = loadConfig({
    flags: { backend: 'sim', kvCacheSizeMax: '64MiB', drainTimeoutMs: '60000', ...flags },
    env: { HOME: '/home/ada' },
  });
  const logLines: string[] = [];
  const log = createLog({ level: 'info', write: (line) => void logLines.push(line), epochMs: () => 0 });
  const closed: string[] = [];
  let opening = 0;
  const open: NonNullable<ServerParts['openBackend']> = async (choice) => {
    opening++; // virtual time stands still meanwhile
    const device = await openDevice({ ...config, ...choice }, model, {
      clock,
      log,
      onProgress: () => {},
    }).finally(() => opening--);
    const { backend } = device;
    const close = backend.close.bind(backend);
    backend.close = () => {
      closed.push(backend.name);
      return close();
    };
    return device;
  };
  const first = await open(config);
  const transport = new MemoryTransport({ clock });
  let idCount = 0;
  const server = await startServer({
    ...{ config, version: '0.0.0', model, transport, clock, log },
    backend: first.backend,
    description: first.description,
    openBackend: open,
    epochMs: () => 0,
    random: new Random(1),
    freshId: () => `id-${++idCount}`,
    metrics: new ServerMetrics({ nodeMetrics: false }),
    ...change,
  });
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    while (!settled) {
      await turn();
      if (!settled && opening === 0) clock.step();
    }
    return promise;
  };
  const ended = async (call: MemoryCall) => {
    await settle(call.over());
    return { status: call.status, body: call.json };
  };
  const replace = (body: object) => transport.call({ method: 'POST', path, body });
  return { clock, transport, server, logLines, closed, settle, ended, replace };
}

test('a stream and a session go on across devices, and the caller hears what moved', async () => {
  const { clock, transport, server, logLines, closed, settle, ended, replace } = await setup();
  expect(await ended(transport.call({ path }))).toMatchObject({ status: 200, body: { backend: 'sim' } });
  const body = { prompt: 'let x = 1;', max_tokens: 200, temperature: 0, ignore_eos: true, stream: true };
  const call = transport.call({ method: 'POST', path: '/v1/completions', body });
  const socket = transport.upgrade('/v1/sparklane') as MemorySocket;
  const client = await settle(NativeClient.connect(socket.openSocket));
  const session = client.open({ temperature: 0 });
  await settle(session.append({ text: 'const y = 2;' }));
  clock.run(clock.nowMs() + 20);
  expect(server.engine.load.runningCount).toBeGreaterThan(0);

  const swap = replace({
    backend: 'h100',
    sim_model: 'llama-3.1-8b',
    sim_precision: 'fp8',
    sim_text: 'noise',
  });
  const answer = await ended(swap);
  expect(answer).toMatchObject({
    status: 200,
    body: { moved: 1, failed: 0, elapsed_ms: expect.any(Number) },
  });
  expect(answer.body).toMatchObject({
    backend: server.device.name,
    description: expect.stringContaining('h100 (simulated with llama-3.1-8b at fp8: '),
  });
  expect(await ended(transport.call({ path }))).toMatchObject({ body: server.device.facts });
  expect(closed).toEqual(['sim']);
  expect(logLines.join('\n')).toContain('"from":"sim"');

  const again = await ended(replace({ backend: 'wse3', sim_precision: 'auto' })); // the model stays
  expect(again).toMatchObject({
    status: 200,
    body: { moved: 1, failed: 0, description: expect.stringContaining('with llama-3.1-8b as published: ') },
  });
  await settle(call.over());
  const events = call.events as ('[DONE]' | { choices: { finish_reason: string | null }[] })[];
  expect(events.at(-1)).toBe('[DONE]');
  expect(JSON.stringify(events)).toContain('"finish_reason":"length"');
  const said = session.generate({ maxTokens: 5, ignoreStopTokens: true });
  await settle(said.text());
  expect(await said.end).toMatchObject({ reason: 'length', usage: { outputTokens: 5 } });
  const second = await settle(
    NativeClient.connect((transport.upgrade('/v1/sparklane') as MemorySocket).openSocket),
  );
  expect(second.hello.device).toMatch(/^wse3/);
  const serving = server.device.name;
  await settle(server.stop());
  expect(closed.at(-1)).toBe(serving);
  expect(closed).toHaveLength(3);
});

test('what cannot be opened is refused with the field, and the device stays', async () => {
  const { transport, server, settle, ended, replace } = await setup();
  for (const [body, param, message] of [
    [{}, 'backend', ''],
    [{ backend: 'tpu' }, 'backend', 'tpu'],
    [{ backend: 'h100x0' }, 'backend', 'h100x0'],
    [{ backend: 'h100', sim_model: 'gpt-9' }, 'sim_model', 'gpt-9'],
    [{ backend: 'h100', sim_model: '../etc' }, 'sim_model', 'a name'],
    [{ backend: 'a100', sim_model: 'llama-3.1-405b' }, 'sim_model', 'GB'],
    [{ backend: 'h100', sim_model: 'gpt-oss-120b', sim_precision: 'fp16' }, 'sim_model', 'GB'],
    [{ backend: 'h100', sim_precision: 'fp64' }, 'sim_precision', 'fp8'],
    [{ backend: 'h100', sim_text: 'poems' }, 'sim_text', 'noise'],
    [{ backend: 'wse3', sim_weights: 'lent' }, 'sim_weights', 'streamed'],
    [{ backend: 'h100', sim_weights: 'streamed' }, 'sim_weights', 'only wafers'],
  ] as const) {
    const answer = await ended(replace(body));
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', param } } });
    expect(JSON.stringify(answer.body)).toContain(message);
  }
  const stray = await ended(replace({ backend: 'h100', model: 'x' }));
  expect(stray.status).toBe(400);
  expect(server.device.name).toBe('sim');
  expect(await ended(transport.call({ method: 'DELETE', path }))).toMatchObject({ status: 405 });
  await settle(server.stop());
});

test('one replacement at a time; none while the server goes down', async () => {
  const { server, closed, settle, ended, replace } = await setup();
  const first = replace({ backend: 'h100' });
  const busy = await ended(replace({ backend: 'wse3' }));
  expect(busy).toMatchObject({ status: 409, body: { error: { code: 'backend_busy' } } });
  expect(await ended(first)).toMatchObject({ status: 200 });
  const last = replace({ backend: 'sim' });
  await settle(server.stop());
  expect((await ended(last)).status).toBe(200); // it was under way
  expect(closed.at(-1)).toBe('sim');
  expect(closed).toHaveLength(3);
});

test('a device whose blocks are kept on disk stays', async () => {
  const archive = {
    ...{ rootKey: () => '', nextKey: () => '', has: () => false, store: () => true, fetch: () => {} },
    forget() {},
    close: (done: () => void) => done(),
  };
  const { server, settle, ended, replace } = await setup({}, { archive });
  const fixed = await ended(replace({ backend: 'h100' }));
  expect(fixed).toMatchObject({ status: 409, body: { error: { code: 'backend_fixed' } } });
  await settle(server.stop());
});

test('where there are keys, replacing takes the admin key and looking any of them', async () => {
  const { server, transport, settle, ended, replace } = await setup({
    apiKeys: 'secret-key',
    adminKey: 'admin-secret',
  });
  expect((await ended(replace({ backend: 'h100' }))).status).toBe(401);
  expect((await ended(transport.call({ path }))).status).toBe(401);
  const bearer = (key: string) => ({ authorization: `Bearer ${key}`, 'content-type': 'application/json' });
  const as = (key: string) =>
    transport.call({ method: 'POST', path, body: { backend: 'h100' }, headers: bearer(key) });
  expect((await ended(as('wrong-key'))).status).toBe(401);
  expect(await ended(as('secret-key'))).toMatchObject({
    status: 403,
    body: { error: { code: 'admin_key_needed' } },
  });
  expect((await ended(transport.call({ path, headers: bearer('secret-key') }))).status).toBe(200);
  expect((await ended(as('admin-secret'))).status).toBe(200);
  expect((await ended(transport.call({ path: '/v1/models', headers: bearer('admin-secret') }))).status).toBe(
    401,
  );
  await settle(server.stop());
});

test('where there are keys and no admin key, nobody may replace', async () => {
  const { server, transport, settle, ended } = await setup({ apiKeys: 'secret-key' });
  const headers = { authorization: 'Bearer secret-key', 'content-type': 'application/json' };
  const call = transport.call({ method: 'POST', path, body: { backend: 'h100' }, headers });
  expect(await ended(call)).toMatchObject({
    status: 403,
    body: { error: { message: expect.stringMatching(/--admin-key/) } },
  });
  await settle(server.stop());
});
