// A native session that outlives its node: two servers of the program and a Redis, on loopback. The node is killed with kill -9 in
// the middle of an answer; the client comes back to the other one and hears the rest, token for token what a server that was left
// alone says. Skips where there is no redis-server or valkey-server (REDIS_BIN may say where).
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { NativeClient } from '../../server/client/client.ts';
import { connect } from '../../server/client/published.ts';
import { programFile } from '../built-program.ts';
import { Rig, redisProgram, type Started } from '../cluster/rig.ts';

if (redisProgram === null) console.log('skipped: there is no redis-server and no valkey-server');

const rig = new Rig(programFile('sparklane.ts'));
const clients: NativeClient[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.close({ keepSessions: true });
});
afterAll(() => {
  rig.end();
});

describe.skipIf(redisProgram === null)('with a store that nodes share', () => {
  test('kill -9 in mid-answer: another node goes on with the very tokens', async () => {
    const redis = await rig.redis();
    const [a, b, alone] = await Promise.all([
      rig.node('a', { redis: redis.url }),
      rig.node('b', { redis: redis.url }),
      rig.node('c', { redis: null }),
    ]);
    const whole = await wholeAnswer(alone.url);

    const first = await client(a.url);
    const session = first.open({ temperature: 1 });
    const { id } = await session.opened;
    expect(id).toMatch(/^sess_a\./);
    await session.append({ text: 'function add(' });
    await session.append({ tokens: [11, 12, 13] });
    const heard: number[] = [];
    for await (const { index, tokens } of session.generate(QUESTION)) {
      expect(index).toBe(heard.length);
      heard.push(...tokens);
      if (heard.length >= 40) break;
    }
    a.child.kill('SIGKILL');
    expect(heard).toEqual(whole.slice(0, heard.length));

    const second = await client(b.url, id);
    const startedMs = performance.now();
    const resumed = second.resume(id, { generation: 0, index: heard.length });
    const rest = resumed.continued(0);
    expect(await resumed.opened).toMatchObject({ id, generation: 0 });
    const tookMs = performance.now() - startedMs;
    for await (const { index, tokens } of rest) {
      expect(index).toBe(heard.length);
      heard.push(...tokens);
    }
    expect(heard).toEqual(whole);
    expect(await rest.end).toMatchObject({ reason: 'length', usage: { outputTokens: whole.length } });
    console.log(`the stream went on after ${Math.round(tookMs)} ms`);

    // And it is a session like any other: the next question sees all of it.
    const { position } = await resumed.append({ tokens: [21, 22] });
    expect(position).toBe(whole.length + (await promptLength(alone.url)) + 2);
    expect((await resumed.generate({ maxTokens: 3 }).end).usage.outputTokens).toBe(3);
  });

  test('an answer that had ended is told by another node from the store: it draws nothing', async () => {
    const redis = await rig.redis();
    const [a, b] = await Promise.all([
      rig.node('a', { redis: redis.url }),
      rig.node('b', { redis: redis.url }),
    ]);
    const session = (await client(a.url)).open({ temperature: 1 });
    const { id } = await session.opened;
    await session.append({ text: 'function add(' });
    const heard: number[] = [];
    const running = session.generate({ ...QUESTION, logprobs: 2 });
    const logprobs: unknown[] = [];
    for await (const batch of running) {
      heard.push(...batch.tokens);
      logprobs.push(...batch.logprobs!);
    }
    const end = await running.end;
    a.child.kill('SIGKILL');
    const resumed = (await client(b.url, id)).resume(id, { generation: 0, index: 150 });
    const rest = resumed.continued(0);
    expect(await resumed.opened).toMatchObject({ id, generation: 0, nextIndex: 200, running: false });
    const again: number[] = [];
    const logprobsAgain: unknown[] = [];
    for await (const batch of rest) {
      again.push(...batch.tokens);
      logprobsAgain.push(...batch.logprobs!);
    }
    expect(again).toEqual(heard.slice(150));
    expect(logprobsAgain).toEqual(logprobs.slice(150));
    expect(await rest.end).toEqual({ ...end, session: expect.anything() });
    expect(await drawnBy(b)).toBe(0);
    await resumed.append({ tokens: [21, 22] });
    expect((await resumed.generate({ maxTokens: 3 }).end).usage.outputTokens).toBe(3);
    expect(await drawnBy(b)).toBe(3);
  });

  test('two nodes never write one session: the one before gives it up', async () => {
    const redis = await rig.redis();
    const [a, b] = await Promise.all([
      rig.node('a', { redis: redis.url }),
      rig.node('b', { redis: redis.url }),
    ]);
    const first = await client(a.url);
    const session = first.open();
    const { id } = await session.opened;
    await session.append({ tokens: [1, 2, 3] });
    const lost = new Promise((resolve) => {
      session.onClosed = resolve;
    });
    const second = await client(b.url, id);
    const taken = second.resume(id);
    expect(await taken.opened).toMatchObject({ id, position: 3 });
    await taken.append({ tokens: [4] });
    await session.append({ tokens: [9, 9, 9, 9] }).catch(() => {}); // not known yet to be another's
    expect(await lost).toBe('taken');
    // Back to the first node: it fetches what the other one made of it.
    const third = await client(a.url, id);
    expect(await third.resume(id).opened).toMatchObject({ id, position: 4 });
  });

  test('a turn costs the store what it adds; what it has lost is told as a whole', async () => {
    const redis = await rig.redis();
    const [a, b] = await Promise.all([
      rig.node('a', { redis: redis.url }),
      rig.node('b', { redis: redis.url }),
    ]);
    const first = await client(a.url);
    const session = first.open();
    const { id } = await session.opened;
    const long = Array.from({ length: 6000 }, (_, at) => 10 + (at % 900));
    await session.append({ tokens: long });
    await session.generate({ maxTokens: 2 }).end;
    const before = await sizeTold(redis);
    for (let turn = 0; turn < 10; turn++) {
      await session.append({ tokens: [1, 2, 3] });
      await session.generate({ maxTokens: 4 }).end;
    }
    // Three changes a turn, each with its script and nothing of what was there: not thirty transcripts.
    expect((await sizeTold(redis)) - before).toBeLessThan(6 * long.length * 4);
    const position = long.length + 2 + 10 * 7;
    const second = await client(b.url, id);
    const taken = second.resume(id, { position });
    expect(await taken.opened).toMatchObject({ position });
    await rig.tellRedis(redis, 'FLUSHALL');
    await taken.append({ tokens: [5] });
    await taken.append({ tokens: [6] });
    for (;;) {
      const third = await client(a.url, id);
      const opened = await third.resume(id).opened.catch(() => null);
      if (opened?.type === 'session.resumed' && opened.position !== position) {
        expect(opened).toMatchObject({ position: position + 2 });
        return;
      }
    }
  });

  test('without its store a node goes on alone, and catches up once it is back', async () => {
    const redis = await rig.redis();
    const [a, b] = await Promise.all([
      rig.node('a', { redis: redis.url }),
      rig.node('b', { redis: redis.url }),
    ]);
    redis.child.kill('SIGKILL');
    await once(redis.child, 'close');
    const first = await client(a.url);
    const session = first.open();
    const { id } = await session.opened;
    await session.append({ tokens: [1, 2, 3, 4, 5] });
    expect((await session.generate({ maxTokens: 4 }).end).usage.outputTokens).toBe(4);
    const second = await client(b.url, id);
    await expect(second.resume(id).opened).rejects.toMatchObject({ code: 'unknown_session' });
    await rig.redis(redis.port);
    for (;;) {
      const again = await client(b.url, id);
      const opened = await again.resume(id).opened.catch(() => null);
      if (opened !== null) {
        expect(opened).toMatchObject({ id, position: 9 });
        return;
      }
      await pause(100);
    }
  });

  test('a session that its owner ends is nowhere any more; one of another key is never told', async () => {
    const redis = await rig.redis();
    const keys = { SPARKLANE_API_KEY: 'first-key,second-key' };
    const [a, b] = await Promise.all([
      rig.node('a', { redis: redis.url, keys }),
      rig.node('b', { redis: redis.url, keys }),
    ]);
    const first = await client(a.url, undefined, 'first-key');
    const [kept, ended] = [first.open(), first.open()];
    await kept.append({ tokens: [1] });
    await ended.append({ tokens: [2] });
    const ids = [(await kept.opened).id, (await ended.opened).id];
    await ended.close();
    const own = await client(b.url, undefined, 'first-key');
    await expect(own.resume(ids[1]!).opened).rejects.toMatchObject({ code: 'unknown_session' });
    const stranger = await client(b.url, undefined, 'second-key');
    await expect(stranger.resume(ids[0]!).opened).rejects.toMatchObject({ code: 'unknown_session' });
    expect(await own.resume(ids[0]!).opened).toMatchObject({ position: 1 });
  });
});

const QUESTION = { maxTokens: 200, seed: 5, ignoreStopTokens: true };

async function wholeAnswer(url: string): Promise<readonly number[]> {
  const session = (await client(url)).open({ temperature: 1 });
  await session.append({ text: 'function add(' });
  await session.append({ tokens: [11, 12, 13] });
  const heard: number[] = [];
  for await (const { tokens } of session.generate(QUESTION)) heard.push(...tokens);
  expect(heard).toHaveLength(QUESTION.maxTokens);
  return heard;
}

/** Tokens of answers that a node has drawn. */
async function drawnBy({ url }: Started): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^sparklane_output_tokens_total(?:\{[^}]*\})? (\d+)/m.exec(text)?.[1] ?? Number.NaN);
}

/** Bytes that the store has been sent. */
async function sizeTold({ port }: Started): Promise<number> {
  const socket = createConnection(port, '127.0.0.1');
  socket.write('INFO stats\r\n');
  const [told] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return Number(/total_net_input_bytes:(\d+)/.exec(told.toString())![1]);
}

async function promptLength(url: string): Promise<number> {
  const session = (await client(url)).open();
  await session.append({ text: 'function add(' });
  return (await session.append({ tokens: [11, 12, 13] })).position;
}

async function client(url: string, session?: string, apiKey?: string): Promise<NativeClient> {
  const made = await connect(url, {
    ...(session !== undefined && { session }),
    ...(apiKey !== undefined && { apiKey }),
  });
  clients.push(made);
  return made;
}
