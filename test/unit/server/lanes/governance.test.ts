// Limits of lanes, in virtual time: queues with places that are told, refusals that say when to come back, the other lane,
// money per day; slow, failing and dead upstreams.
import { describe, expect, test } from 'vitest';
import { type LanesServer, lanesServer, TWO_LANES } from '../../../lanes-world.ts';
import type { MemoryCall } from '../../../memory-transport.ts';
import type { Json } from '../../../responses-world.ts';
import { chunksOf } from '../../../scripted-wire.ts';

async function readiness(server: LanesServer): Promise<[number, unknown]> {
  const call = server.send('GET', '/readyz', {});
  await server.settle(server.clock.nowMs() + 10);
  return [call.status, call.json];
}

const ask = (content = 'Hi', more: object = {}) => ({ messages: [{ role: 'user', content }], ...more });
const send = (server: LanesServer, body: object) => server.send('POST', '/v1/chat/completions', body);
const code = (call: MemoryCall) => (call.json as { error: { code: string } }).error.code;
const { spark, reliability } = TWO_LANES;
const slow = { stepMs: 1000, tokensPerStep: 1 }; // 'quick' and its end take 6 s

describe('a saturated lane', () => {
  const limits = { concurrency: 1, queueLength: 2, queueWaitMs: 20_000 };

  test('tells who waits its place and how long, in comments of the stream', async () => {
    const server = await lanesServer({
      lanes: { spark: { ...spark, limits } },
      policy: onlySpark,
      engine: slow,
    });
    const calls = [1, 2, 3].map(() => send(server, { model: 'spark', stream: true, ...ask() }));
    await server.settle(3000);
    expect(calls[1]!.text).toContain(': queued lane=spark position=1 estimated_wait_ms=5000');
    expect(calls[2]!.text).toContain(': queued lane=spark position=2 estimated_wait_ms=10000');
    await server.settle();
    expect(calls[2]!.text).toContain('position=1');
    for (const call of calls) expect(call.events.at(-1)).toBe('[DONE]');
    expect(calls[1]!.text).toContain('"sparklane_queue_ms":"6000"');
  });

  test('refuses who finds the queue full, with the time that it will take', async () => {
    const server = await lanesServer({
      lanes: { spark: { ...spark, limits } },
      policy: onlySpark,
      engine: slow,
    });
    const calls = [1, 2, 3, 4].map(() => send(server, { model: 'spark', ...ask() }));
    await server.settle();
    expect(calls.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(code(calls[3]!)).toBe('queue_full');
    expect(calls[3]!.headers['retry-after']).toBe('15');
  });

  test('gives up for who waits too long: by status, or in the stream that has begun', async () => {
    const short = { ...limits, queueWaitMs: 2000 };
    const server = await lanesServer({
      lanes: { spark: { ...spark, limits: short } },
      policy: onlySpark,
      engine: slow,
    });
    const calls = [{}, {}, { stream: true }].map((more) =>
      send(server, { model: 'spark', ...ask('Hi', more) }),
    );
    await server.settle();
    expect(calls[1]!.status).toBe(429);
    expect(calls[2]!.status).toBe(200);
    expect(calls[2]!.text).toContain('"code":"queue_full"');
    expect(calls[2]!.ended).toBe(true);
    expect(server.lanes.report[0]).toMatchObject({ running: 0, waiting: 0 });
  });

  test('forgets who leaves the queue', async () => {
    const server = await lanesServer({
      lanes: { spark: { ...spark, limits } },
      policy: onlySpark,
      engine: slow,
    });
    const calls = [1, 2, 3].map(() => send(server, { model: 'spark', ...ask() }));
    await server.settle(100);
    calls[1]!.leave();
    await server.settle();
    expect(calls[2]!.status).toBe(200);
    expect(server.ends).toHaveLength(2);
  });

  test('that rejects tells when to come back; one that falls back says so in the answer', async () => {
    const full = { limits: { concurrency: 1 } };
    const rejecting = await lanesServer({
      lanes: { spark: { ...spark, ...full, overflow: 'reject' } },
      policy: onlySpark,
      engine: slow,
    });
    const refused = [1, 2].map(() => send(rejecting, { model: 'spark', ...ask() }));
    await rejecting.settle();
    expect([refused[1]!.status, code(refused[1]!), refused[1]!.headers['retry-after']]).toEqual([
      429,
      'rate_limit_exceeded',
      '5',
    ]);
    const falling = await lanesServer({
      lanes: { spark: { ...spark, ...full, overflow: { to: 'reliability' } }, reliability },
      engine: slow,
    });
    const sent = [1, 2].map(() => send(falling, { model: 'spark', ...ask() }));
    await falling.settle();
    expect(sent[1]!.json).toMatchObject({
      model: 'reliability',
      metadata: { sparklane_lane: 'reliability', sparklane_overflow_from: 'spark' },
    });
  });

  test('tells its places over a WebSocket as events, and in a background response', async () => {
    const server = await lanesServer({
      lanes: { spark: { ...spark, limits } },
      policy: onlySpark,
      engine: slow,
    });
    send(server, { model: 'spark', ...ask() });
    await server.settle(10);
    const background = await started(server, { model: 'spark', background: true, input: 'Later' });
    expect(background).toMatchObject({ status: 'queued', queue: { lane: 'spark', position: 1 } });
    const client = server.connect();
    client.create({ model: 'spark', input: 'Hi' });
    await server.settle(server.clock.nowMs() + 100);
    expect(client.take()[0]).toMatchObject({ type: 'sparklane.queued', lane: 'spark', position: 2 });
    await server.settle();
    expect(client.take().at(-1)).toMatchObject({ type: 'response.completed' });
  });
});

/** Sends and waits a moment only. */
async function started(server: LanesServer, body: object): Promise<Json> {
  const call = server.send('POST', '/v1/responses', body);
  await server.settle(server.clock.nowMs() + 10);
  return call.json as Json;
}

describe('rates', () => {
  test('requests wait for the minute’s share of the lane, and no longer', async () => {
    const limits = { requestsPerMinute: 2 };
    const server = await lanesServer({ lanes: { spark: { ...spark, limits } }, policy: onlySpark });
    const calls = [1, 2, 3].map(() => send(server, { model: 'spark', ...ask() }));
    await server.settle(29_000);
    expect(calls.map(({ status }) => status)).toEqual([200, 200, 0]);
    await server.settle(31_000);
    expect(calls[2]!.status).toBe(200);
  });

  test('a refused request that comes back when it was told to is let in', async () => {
    const limits = { tokensPerMinute: 600 };
    const lanes = { spark: { ...spark, limits, overflow: 'reject' } };
    const server = await lanesServer({ lanes, policy: onlySpark });
    const body = { model: 'spark', ...ask('Hi', { max_tokens: 399 }) };
    expect((await server.chat(body)).status).toBe(200); // used 29 tokens, not 400: the rest was given back
    const tight = await server.chat({ ...body, max_tokens: 599 });
    expect(tight.status).toBe(200);
    const calls = [1, 2].map(() => send(server, { ...body, max_tokens: 599 }));
    await server.settle(server.clock.nowMs() + 5);
    expect(calls[1]!.status).toBe(429);
    const waitMs = Number(calls[1]!.headers['retry-after-ms']);
    await server.settle(server.clock.nowMs() + waitMs);
    expect((await server.chat({ ...body, max_tokens: 599 })).status).toBe(200);
  });

  test('a key that has used its share holds nobody else up', async () => {
    const limits = { perKey: { requestsPerMinute: 1 } };
    const server = await lanesServer({
      lanes: { spark: { ...spark, limits } },
      policy: onlySpark,
      flags: { apiKeys: ['first-key', 'second-key'] },
    });
    const as = (key: string) =>
      server.transport.call({
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { authorization: `Bearer ${key}` },
        body: { model: 'spark', ...ask() },
      });
    const calls = [as('first-key'), as('first-key'), as('second-key')];
    await server.settle(1000);
    expect(calls.map(({ status }) => status)).toEqual([200, 0, 200]);
  });
});

test('a key’s budget lasts for a day', async () => {
  const lanes = { spark: { ...spark, price: { inputPerMillion: 0, outputPerMillion: 1000 } } };
  const server = await lanesServer({ lanes, policy: onlySpark, file: { budgetPerKeyAndDay: 0.01 } });
  const body = { model: 'spark', ...ask('Hi', { max_tokens: 6 }) };
  expect((await server.chat(body)).json).toMatchObject({ usage: { cost: 0.006 } });
  const refused = await server.chat(body);
  expect([refused.status, code(refused)]).toEqual([429, 'insufficient_quota']);
  expect((refused.json as { error: { message: string } }).error.message).toContain('0.0060 of 0.01 USD');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(11 * 3600);
  await server.settle(12 * 3_600_000);
  expect((await server.chat(body)).status).toBe(200);
});

describe('an upstream', () => {
  const fallen = { spark, reliability: { ...reliability, overflow: { to: 'spark' } } };

  test('that answers 503 is tried again, later each time', async () => {
    const server = await lanesServer({
      upstream: (_, attempt) =>
        attempt < 3 ? { status: 503, pieces: ['{"error":"busy"}'] } : { pieces: chunksOf(['up']) },
    });
    const call = await server.chat({ model: 'reliability', ...ask() });
    expect(call.json).toMatchObject({ choices: [{ message: { content: 'up' } }] });
    expect(server.wire.asked).toHaveLength(3);
  });

  test('that stays down gives its requests to the other lane, and is left alone for a while', async () => {
    const server = await lanesServer({ lanes: fallen, upstream: () => ({ broken: 'ECONNREFUSED' }) });
    const first = await server.chat({ model: 'reliability', ...ask() });
    expect(first.json).toMatchObject({
      model: 'spark',
      metadata: { sparklane_lane: 'spark', sparklane_overflow_from: 'reliability' },
    });
    const asked = server.wire.asked.length;
    expect(asked).toBe(3);
    await server.chat({ model: 'reliability', ...ask() }); // opens the circuit at the fifth failure
    const call = send(server, { model: 'reliability', ...ask() });
    await server.settle(server.clock.nowMs() + 500);
    expect(call.json).toMatchObject({ model: 'spark' });
    expect(server.lanes.report[1]).toMatchObject({ circuit: 'open', running: 0 });
    // The other one answers: whoever asks is told which does not.
    expect(await readiness(server)).toEqual([
      200,
      { status: 'ok', lanes: { spark: 'ok', reliability: 'down' } },
    ]);
  });

  test('where all are, makes the server one that takes no requests', async () => {
    const upstream = { ...reliability.upstream, attempts: 1, circuit: { failures: 1, cooldownMs: 1e6 } };
    const lanes = { spark: { upstream }, reliability: { upstream } };
    const server = await lanesServer({ lanes, upstream: () => ({ broken: 'ECONNREFUSED' }) });
    expect(await readiness(server)).toEqual([
      200,
      { status: 'ok', lanes: { spark: 'ok', reliability: 'ok' } },
    ]);
    for (const model of ['spark', 'reliability']) await server.chat({ model, ...ask() });
    const none = { status: 'no lane answers', lanes: { spark: 'down', reliability: 'down' } };
    expect(await readiness(server)).toEqual([503, none]);
  });

  test('whose circuit is open is tried by one request after the pause', async () => {
    let up = false;
    const lanes = {
      spark,
      reliability: {
        upstream: { ...reliability.upstream, attempts: 1, circuit: { failures: 2, cooldownMs: 10_000 } },
      },
    };
    const server = await lanesServer({
      lanes,
      upstream: () => (up ? { pieces: chunksOf(['back']) } : { broken: 'ECONNRESET' }),
    });
    const soon = async () => {
      const call = send(server, { model: 'reliability', ...ask() });
      await server.settle(server.clock.nowMs() + 100);
      return call;
    };
    expect([(await soon()).status, (await soon()).status]).toEqual([503, 503]);
    const left = await soon();
    expect([left.status, code(left), left.headers['retry-after']]).toEqual([
      503,
      'upstream_unavailable',
      '10',
    ]);
    expect(server.wire.asked).toHaveLength(2);
    up = true;
    await server.settle(server.clock.nowMs() + 10_000);
    expect((await soon()).json).toMatchObject({ choices: [{ message: { content: 'back' } }] });
  });

  test('that refuses the request is believed; its key is our secret', async () => {
    const say = (status: number) => () => ({ status, pieces: [`{"error":{"message":"says ${status}"}}`] });
    const wrong = await lanesServer({ lanes: fallen, upstream: say(400) });
    const refused = await wrong.chat({ model: 'reliability', ...ask() });
    expect([refused.status, code(refused), wrong.wire.asked.length]).toEqual([400, 'invalid_request', 1]);
    const locked = await lanesServer({ lanes: fallen, upstream: say(401) });
    expect((await locked.chat({ model: 'reliability', ...ask() })).json).toMatchObject({ model: 'spark' });
  });

  test('that says nothing is given up, before its answer and in it', async () => {
    const upstream = { ...reliability.upstream, attempts: 1, headersTimeoutMs: 3000, idleTimeoutMs: 4000 };
    const server = await lanesServer({
      lanes: { spark, reliability: { upstream } },
      upstream: (_, attempt) =>
        attempt === 1 ? { silent: true } : { pieces: chunksOf(['Hel']).slice(0, 1), open: true },
    });
    const dead = await server.chat({ model: 'reliability', ...ask() });
    expect([dead.status, code(dead)]).toEqual([503, 'upstream_unavailable']);
    const stuck = await server.chat({ model: 'reliability', stream: true, ...ask() });
    expect(stuck.text).toContain('"content":"Hel"');
    expect(stuck.text).toContain('"code":"upstream_failed"');
    expect(stuck.text).toContain('silent for 4000 ms');
    expect(server.wire.running).toBe(0);
    expect(server.lanes.report[1]).toMatchObject({ running: 0, waiting: 0 });
  });

  test.each([
    ['breaks off', { pieces: chunksOf(['Hel']).slice(0, 1), broken: 'ECONNRESET' }],
    ['ends early', { pieces: chunksOf(['Hel']).slice(0, 1) }],
    ['sends nonsense', { pieces: ['data: {nonsense\n\n'] }],
    ['reports an error', { pieces: ['data: {"error":{"message":"out of memory"}}\n\n'] }],
  ])('that %s in its answer fails it, and frees the lane', async (_, script) => {
    const server = await lanesServer({ upstream: () => script });
    const call = await server.chat({ model: 'reliability', ...ask() });
    expect([call.status, code(call)]).toEqual([502, 'upstream_failed']);
    expect(server.lanes.report[1]).toMatchObject({ running: 0 });
    expect(server.ends).toMatchObject([{ failed: true }]);
  });

  test('is left when the caller leaves, before its answer and in it', async () => {
    for (const script of [{ silent: true }, { pieces: chunksOf(['a', 'b', 'c']), pieceMs: 10_000 }]) {
      const server = await lanesServer({ upstream: () => script });
      const call = send(server, { model: 'reliability', stream: true, ...ask() });
      await server.settle(1000);
      call.leave();
      await server.settle(2000);
      expect(server.wire.running).toBe(0);
      expect(server.lanes.report[1]).toMatchObject({ running: 0, waiting: 0 });
    }
  });
});

test('whom the other lane cannot take either waits in the queue of the first', async () => {
  const server = await lanesServer({
    lanes: {
      spark: { ...spark, limits: { concurrency: 1, queueLength: 1 }, overflow: { to: 'reliability' } },
      reliability,
    },
    engine: slow,
    upstream: () => ({ broken: 'ECONNREFUSED' }),
  });
  const calls = [1, 2, 3].map(() => send(server, { model: 'spark', ...ask() }));
  await server.settle();
  expect(calls.map(({ status }) => status)).toEqual([200, 200, 429]);
  expect(code(calls[2]!)).toBe('queue_full');
  expect((calls[1]!.json as { metadata: object }).metadata).not.toHaveProperty('sparklane_overflow_from');
  expect((calls[1]!.json as { metadata: object }).metadata).toHaveProperty('sparklane_queue_ms');
});

test('a server that shuts down lets nobody in, and an upstream’s answer ends', async () => {
  const server = await lanesServer({
    upstream: () => ({ pieces: chunksOf(['slow ', 'answer']), pieceMs: 1000 }),
  });
  const inside = send(server, { model: 'reliability', ...ask() });
  await server.settle(500);
  let drained = false;
  const draining = server.server.app.drain().then(() => {
    drained = true;
  });
  const late = send(server, { model: 'reliability', ...ask() });
  await server.settle(800);
  expect(code(late)).toBe('draining');
  expect(drained).toBe(false);
  await server.settle();
  await draining;
  expect(inside.json).toMatchObject({ choices: [{ message: { content: 'slow answer' } }] });
});

test('metrics count routes, attempts, waits and money', async () => {
  const server = await lanesServer();
  await server.chat({ model: 'auto', ...ask('Refactor it everywhere') });
  const { text } = await server.server.metrics.render();
  expect(text).toContain(
    'sparklane_lane_routes_total{lane="reliability",class="feature",rule="scope-words",move="start"} 1',
  );
  expect(text).toContain('sparklane_upstream_attempts_total{lane="reliability",outcome="ok"} 1');
  expect(text).toContain('sparklane_lane_cost_total{lane="reliability"} 0.0012');
  expect(text).toContain('sparklane_lane_requests{lane="spark",state="running"} 0');
});

const onlySpark = JSON.stringify({
  name: 'one',
  order: ['spark'],
  words: {},
  classes: { any: { lane: 'spark', costOfFailure: 'low' } },
  rules: [],
  otherwise: { class: 'any', reason: 'there is one lane' },
  promote: [],
  demote: [],
});
