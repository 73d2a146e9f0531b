// What a store that nodes share does with records: Redis or Valkey on loopback, and the one in memory that other tests stand on,
// held to the same words; then two servers of the program, one of which is killed with kill -9. Skips where there is no
// redis-server or valkey-server (REDIS_BIN may say where).
import { afterAll, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../kernels/clock.ts';
import { createLog } from '../../server/base/log.ts';
import { RedisCounts } from '../../server/cluster/count-store.ts';
import type { RecordBounds, RecordStore } from '../../server/cluster/record-store.ts';
import { RedisRecords } from '../../server/cluster/redis-records.ts';
import { RedisLink } from '../../server/cluster/store-link.ts';
import { programFile } from '../built-program.ts';
import { Rig, redisProgram, type Started } from '../cluster/rig.ts';
import { MemoryRecords } from '../memory-records.ts';

if (redisProgram === null) console.log('skipped: there is no redis-server and no valkey-server');

const rig = new Rig(programFile('sparklane.ts'));
const links: RedisLink[] = [];

afterAll(() => {
  for (const link of links) link.close();
  rig.end();
});

const WIDE = { keepMs: 60_000, countPerOwnerMax: 100, sizeMax: 2 ** 20 };
const record = (id: string, version: number, more: Partial<{ owner: string; text: string }> = {}) => ({
  ...{ id, owner: more.owner ?? 'ada', version, names: [`item-of-${id}`] },
  bytes: Buffer.from(more.text ?? `${id} ${version}`),
});
const ask = (id: string, version = -1, owner = 'ada', holder = 'a') => ({ id, owner, version, holder });

const stores: readonly (readonly [string, () => Promise<RecordStore>])[] = [
  ['in memory', async () => new MemoryRecords(new VirtualClock())],
  ['in Redis', () => redisStore(WIDE)],
];

describe.each(stores.slice(0, redisProgram === null ? 1 : 2))('records %s', (_, open) => {
  test('are found by id and by name, by their owner only, with the version that is there', async () => {
    const store = await open();
    expect(await store.find(ask('one'))).toEqual({ kind: 'none' });
    expect(await store.put(record('one', 1))).toBe('kept');
    expect(await store.find(ask('one'))).toMatchObject({ kind: 'record', version: 1, lockedMs: 0 });
    expect(await store.find(ask('one', 1))).toEqual({ kind: 'same', lockedMs: 0 });
    expect(await store.find(ask('one', -1, 'bob'))).toEqual({ kind: 'none' });
    expect(await store.named('item-of-one', 'ada')).toBe('one');
    expect(await store.named('item-of-one', 'bob')).toBeNull();
    expect(await store.put(record('one', 9, { owner: 'bob' }))).toBe('stale');
  });

  test('take nothing that does not come after what is there, and nothing that was deleted', async () => {
    const store = await open();
    await store.put(record('one', 3));
    expect(await store.put(record('one', 3, { text: 'another' }))).toBe('stale');
    expect(await store.put(record('one', 2))).toBe('stale');
    expect(await store.put(record('one', 4, { text: 'bytes \0 as they are é' }))).toBe('kept');
    const found = await store.find(ask('one'));
    expect(found.kind === 'record' && Buffer.from(found.bytes).toString()).toBe('bytes \0 as they are é');
    await store.delete('one', 'bob');
    expect(await store.find(ask('one', 4))).toMatchObject({ kind: 'same' });
    await store.delete('one', 'ada');
    expect(await store.find(ask('one'))).toEqual({ kind: 'deleted' });
    expect(await store.put(record('one', 5))).toBe('deleted');
    expect(await store.named('item-of-one', 'ada')).toBeNull();
  });

  test('tell others that somebody writes in one, as long as that one does', async () => {
    const store = await open();
    await store.put(record('one', 1));
    await store.lock('one', { owner: 'ada', holder: 'a', ms: 5000, version: -1 });
    expect(await store.find(ask('one', 1))).toEqual({ kind: 'same', lockedMs: 0 });
    const others = await store.find(ask('one', -1, 'ada', 'b'));
    expect(others.kind === 'record' && others.lockedMs).toBeGreaterThan(4000);
    await store.lock('one', { owner: 'ada', holder: 'b', ms: 0, version: -1 });
    expect(await store.find(ask('one', 1, 'ada', 'b'))).not.toMatchObject({ lockedMs: 0 });
    await store.put(record('one', 2));
    expect(await store.find(ask('one', 2, 'ada', 'b'))).not.toMatchObject({ lockedMs: 0 });
    const after = { owner: 'ada', holder: 'a', ms: 5000 };
    expect(await store.lock('one', { ...after, version: 2 })).toBe(true);
    expect(await store.lock('one', { ...after, version: 1 })).toBe(false); // another one has taken it
    await store.lock('one', { owner: 'ada', holder: 'a', ms: 0, version: -1 });
    expect(await store.find(ask('one', 2, 'ada', 'b'))).toEqual({ kind: 'same', lockedMs: 0 });
  });
});

describe.skipIf(redisProgram === null)('with Redis', () => {
  test('an owner has so many records at most, all together so many bytes; the oldest go first', async () => {
    const few = await redisStore({ ...WIDE, countPerOwnerMax: 2 });
    for (const id of ['one', 'two', 'three']) await few.put(record(id, 1));
    await few.put(record('four', 1, { owner: 'bob' }));
    expect(await few.find(ask('one'))).toEqual({ kind: 'none' });
    expect(await few.named('item-of-one', 'ada')).toBeNull();
    for (const id of ['two', 'three']) expect(await few.find(ask(id))).toMatchObject({ kind: 'record' });
    const small = await redisStore({ ...WIDE, sizeMax: 1000 });
    for (const id of ['one', 'two', 'three']) await small.put(record(id, 1, { text: 'x'.repeat(400) }));
    expect(await small.find(ask('one'))).toEqual({ kind: 'none' });
    expect(await small.find(ask('three'))).toMatchObject({ kind: 'record' });
    await small.put(record('three', 2, { text: 'y'.repeat(900) })); // its old size counts no more
    expect(await small.find(ask('three'))).toMatchObject({ kind: 'record', version: 2 });
    expect(await small.find(ask('two'))).toEqual({ kind: 'none' });
  });

  test('what nodes count together: a bucket that flows by the store’s clock, a sum of what each has taken', async () => {
    const { run } = await linkOf();
    const [a, b] = ['a', 'b'].map((holder) => new RedisCounts(run, { prefix: 'count:', holder }));
    const bucket = (taken: number) => ({ name: 'rate', perMinute: 6000, taken }); // 100 a second
    const sum = (taken: number) => ({ name: 'budget', perMinute: null, taken });
    expect(await a!.exchange([bucket(0), sum(1.25)])).toEqual([6000, 1.25]);
    const [level, total] = await b!.exchange([bucket(5000), sum(2)]);
    expect([level, total]).toEqual([1000, 3.25]);
    const [later, more] = await a!.exchange([bucket(0), sum(1.5)]); // its own part, all of it
    expect(later).toBeGreaterThanOrEqual(1000);
    expect(later).toBeLessThan(5900);
    expect(more).toBe(3.5);
    expect(await a!.exchange([bucket(-9000)])).toEqual([6000]); // given back: no more than it holds
    const [owing] = await b!.exchange([bucket(7000)]);
    expect(owing).toBeLessThan(0);
  });

  test('kill -9: another node has its responses and conversations', async () => {
    const redis = await rig.redis();
    const [a, b] = await Promise.all([
      rig.node('a', { redis: redis.url }),
      rig.node('b', { redis: redis.url }),
    ]);
    const conversation = await asked(a, 'POST', '/v1/conversations', {});
    const plain = { max_output_tokens: 12, ignore_eos: true, seed: 3 };
    const first = await asked(a, 'POST', '/v1/responses', { ...plain, input: 'alpha' });
    const written = { ...plain, input: 'beta', conversation: conversation.id };
    await asked(a, 'POST', '/v1/responses', written);
    a.child.kill('SIGKILL');
    expect(await asked(b, 'GET', `/v1/responses/${first.id}`)).toEqual(first);
    const next = await asked(b, 'POST', '/v1/responses', {
      ...{ ...plain, input: 'gamma', previous_response_id: first.id },
    });
    expect(next).toMatchObject({ status: 'incomplete', previous_response_id: first.id });
    const items = await asked(b, 'GET', `/v1/conversations/${conversation.id}/items?order=asc`);
    expect(items['data']).toHaveLength(2);
    expect(await asked(b, 'DELETE', `/v1/responses/${first.id}`)).toMatchObject({ deleted: true });
  });

  test('kill -9 in mid-answer: a background response goes on at another node, event by event', async () => {
    const redis = await rig.redis();
    const [a, b] = await Promise.all([
      rig.node('a', { redis: redis.url }),
      rig.node('b', { redis: redis.url }),
    ]);
    const body = { input: 'alpha', background: true, stream: true, max_output_tokens: 400, ignore_eos: true };
    const heard = await eventsOf(await post(a, { ...body, seed: 5 }), 40);
    a.child.kill('SIGKILL');
    const id = String((heard[0]!['response'] as Answer).id);
    const path = `/v1/responses/${id}?stream=true&starting_after=${heard.length - 1}`;
    const rest = await eventsOf(await fetch(`${b.url}${path}`), Number.POSITIVE_INFINITY);
    const all = [...heard, ...rest];
    expect(all.map((event) => event['sequence_number'])).toEqual(all.map((_, index) => index));
    const deltas = all.filter(({ type }) => type === 'response.output_text.delta');
    const spans = deltas.map((event) => Number(event['token_index']) + Number(event['token_count']));
    expect(deltas.map((event) => event['token_index'])).toEqual([0, ...spans.slice(0, -1)]);
    const text = deltas.map(({ delta }) => delta).join('');
    const { output } = await asked(b, 'GET', `/v1/responses/${id}`);
    expect((output as { content: { text: string }[] }[])[0]!.content[0]!.text).toBe(text);
    // The same question, asked of a node that nothing happens to.
    const again = await asked(b, 'POST', '/v1/responses', {
      ...body,
      background: false,
      stream: false,
      seed: 5,
    });
    expect((again['output'] as { content: { text: string }[] }[])[0]!.content[0]!.text).toBe(text);
  });
});

type Answer = Readonly<Record<string, unknown>> & { readonly id: string };

async function asked({ url }: Started, method: string, path: string, body?: object): Promise<Answer> {
  const answer = await fetch(`${url}${path}`, {
    method,
    ...(body !== undefined && {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  });
  return (await answer.json()) as Answer;
}

function post({ url }: Started, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${url}/v1/responses`, { method: 'POST', headers, body: JSON.stringify(body) });
}

type Event = Readonly<Record<string, unknown>> & { readonly type: string };

/** At most so many of a stream's. */
async function eventsOf(answer: Response, countMax: number): Promise<readonly Event[]> {
  let text = '';
  let events: Event[] = [];
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const whole = text.slice(0, text.lastIndexOf('\n\n'));
    events = [...whole.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data!) as Event);
    if (events.length >= countMax) break;
  }
  return events.slice(0, countMax);
}

async function linkOf(): Promise<RedisLink> {
  const { url } = await rig.redis();
  const log = createLog({ level: 'silent', write: () => {}, epochMs: () => 0 });
  const link = new RedisLink({ url, log });
  links.push(link);
  await new Promise<void>((resolve) => link.watch({ onUp: resolve, onDown: () => {} }));
  return link;
}

async function redisStore(bounds: RecordBounds): Promise<RecordStore> {
  const { run } = await linkOf();
  return new RedisRecords({ run, prefix: 'test:', bounds, useKeeps: false });
}
