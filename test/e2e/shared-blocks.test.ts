// KV blocks that nodes share, in a real Redis: its bounds, and two servers with a real model, of which one answers from what the other
// has computed. Skips where there is no redis-server or valkey-server (REDIS_BIN may say where).
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StoreFullError } from '../../server/cluster/block-store.ts';
import { RedisBlocks } from '../../server/cluster/redis-blocks.ts';
import { RedisLink } from '../../server/cluster/store-link.ts';
import { programFile } from '../built-program.ts';
import { Rig, redisProgram, type Started } from '../cluster/rig.ts';

if (redisProgram === null) console.log('skipped: there is no redis-server and no valkey-server');

const rig = new Rig(programFile('sparklane.ts'));
const links: RedisLink[] = [];
const BLOCK = 1000; // bytes

describe.skipIf(redisProgram === null)('blocks in Redis', () => {
  let redis: Started;
  beforeAll(async () => {
    redis = await rig.redis();
  });
  afterAll(() => {
    for (const link of links) link.close();
    rig.end();
  });

  async function blocksOf(name: string, { sizeMax = 10 * BLOCK, keepMs = 60_000 } = {}) {
    const link = new RedisLink({ url: redis.url, log: null });
    links.push(link);
    await new Promise<void>((resolve) => link.watch({ onUp: resolve, onDown() {} }));
    return new RedisBlocks(link.run, { prefix: `${name}:`, sizeMax, keepMs });
  }

  const record = (name: string) => ({ name, bytes: new Uint8Array(BLOCK).fill(name.charCodeAt(0)) });
  const written = (names: string) => [...names].map(record);

  test('they come back as they went, up to the first that is not there', async () => {
    const blocks = await blocksOf('plain');
    await blocks.write(written('abc'), []);
    expect(await blocks.count(['a', 'b', 'c', 'd'])).toBe(3);
    expect(await blocks.count(['d', 'a'])).toBe(0);
    const read = await blocks.read(['a', 'x', 'c']);
    expect(read.map((bytes) => (bytes === null ? null : Uint8Array.from(bytes)))).toEqual([
      record('a').bytes,
      null,
      record('c').bytes,
    ]);
    await blocks.forget('b');
    expect(await blocks.count(['a', 'b', 'c'])).toBe(1);
  });

  test('the bound: what was used least goes, of a prompt the end before the beginning', async () => {
    const blocks = await blocksOf('bound');
    await blocks.write(written('abcde'), []);
    await blocks.write(written('fghij'), []);
    await blocks.read(['a', 'b']);
    await blocks.write(written('kl'), ['f', 'g']);
    const there = await Promise.all([...'abcdefghijkl'].map((name) => blocks.count([name])));
    // Ten fit: of c, d and e, which nobody has used again, the last two went.
    expect(there).toEqual([1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
    await blocks.write(written('kl'), []); // again: nothing more is kept
    expect(await blocks.count(['a', 'b', 'c'])).toBe(3);
  });

  test('what nobody uses goes by itself, and its bytes with it', async () => {
    const blocks = await blocksOf('ttl', { keepMs: 100, sizeMax: 3 * BLOCK });
    await blocks.write(written('abc'), []);
    while ((await blocks.count(['a'])) === 1);
    await blocks.write(written('def'), []);
    expect(await blocks.count(['d', 'e', 'f'])).toBe(3);
  });

  test('a full store: blocks make place for what cannot be computed again', async () => {
    const blocks = await blocksOf('full', { sizeMax: 4e6 });
    await blocks.write(
      Array.from({ length: 1000 }, (_, index) => ({ ...record('a'), name: `b${index}` })),
      [],
    );
    await rig.tellRedis(redis, 'CONFIG SET maxmemory 1mb');
    await expect(blocks.write(written('x'), [])).rejects.toThrow(StoreFullError);
    expect(await blocks.count(['b999'])).toBe(0);
    // However many nodes are refused at that time, an eighth goes once.
    await expect(blocks.write(written('yz'), [])).rejects.toThrow(StoreFullError);
    expect(await blocks.count(['b874'])).toBe(1);
    expect((await blocks.read(['b0']))[0]).toHaveLength(BLOCK); // reading goes on
    await rig.tellRedis(redis, 'CONFIG SET maxmemory 0');
    await blocks.write(written('x'), []);
    expect(await blocks.count(['x'])).toBe(1);
  });

  test('a model’s node answers from what another has computed, with the very tokens; altered KV is refused', async () => {
    const flags = ['--kv-precision', 'int8'];
    const [a, b, c] = await Promise.all([
      rig.node('a', { redis: redis.url, device: 'cpu', flags }),
      rig.node('b', { redis: redis.url, device: 'cpu', flags }),
      rig.node('c', { redis: redis.url, device: 'cpu', flags }),
    ]);
    const expected = await answer(a); // which found nothing
    expect(expected.cached).toBe(0);
    while ((await metric(a, 'blocks_total{way="written"}')) < 20);
    const fetched = await answer(b);
    expect(fetched.text).toBe(expected.text);
    expect(fetched.cached).toBeGreaterThan(300);
    expect(await metric(b, 'blocks_total{way="fetched"}')).toBe(fetched.cached / 16);
    // A byte of every block is another one from now on.
    await evaluate(
      redis,
      "for _, k in ipairs(redis.call('KEYS', 'sparklane:1:kv:block:*')) do redis.call('SETRANGE', k, 900, 'x') end return 1",
    );
    expect(await answer(c)).toEqual(expected);
    expect(await metric(c, 'lost_blocks_total{reason="damaged"}')).toBe(1);
    const ended = once(a.child, 'close');
    a.child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});

async function evaluate({ port }: Started, script: string): Promise<void> {
  const socket = createConnection(port, '127.0.0.1');
  socket.write(`*3\r\n$4\r\nEVAL\r\n$${script.length}\r\n${script}\r\n$1\r\n0\r\n`);
  const [told] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  expect(told.toString()).toBe(':1\r\n');
}

/** A long prompt's answer, and how much of the prompt was found. */
async function answer({ url }: Started): Promise<{ readonly text: string; readonly cached: number }> {
  const prompt = Array.from({ length: 40 }, (_, at) => `function f${at}(x) { return x * ${at}; }`).join('\n');
  const said = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt, max_tokens: 40, temperature: 1, seed: 7, ignore_eos: true }),
  });
  const { choices, usage } = (await said.json()) as {
    choices: { text: string }[];
    usage: { prompt_tokens_details: { cached_tokens: number } };
  };
  return { text: choices[0]!.text, cached: usage.prompt_tokens_details.cached_tokens };
}

async function metric({ url }: Started, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`sparklane_cluster_kv_${name} `));
  return Number(line?.split(' ')[1] ?? 0);
}
