// What routers before several nodes ask of one, over real sockets: health, load, gauges under both names, and KV events by
// ZeroMQ with replay. A simulated device; skips the events where the package zeromq does not load.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Unpackr } from 'msgpackr';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programFile } from '../built-program.ts';
import { servedEnv } from '../served-env.ts';

const root = join(import.meta.dirname, '../..');
const zmq = await import('zeromq').catch((error: Error) => {
  console.log(`skipped: KV events: zeromq does not load: ${error.message}`);
  return null;
});
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'bigint' });

interface Event {
  readonly type: string;
  readonly block_hashes?: readonly unknown[];
  readonly token_ids?: readonly number[];
}

let child: ChildProcess;
let url = '';
let publishAt = '';
let replayAt = '';

beforeAll(async () => {
  [publishAt, replayAt] = await Promise.all([freeAddress(), freeAddress()]);
  const events =
    zmq === null
      ? []
      : ['--kv-events', publishAt, '--kv-events-replay', replayAt, '--kv-events-topic', 'kv@a@m'];
  const device = [
    '--model',
    'spark-nano',
    '--backend',
    'sim',
    '--kv-cache-size',
    '64MiB',
    '--engine-metrics',
    'vllm',
  ];
  child = spawn(
    process.execPath,
    [programFile('sparklane.ts'), 'serve', '--port', '0', '--log-level', 'warn', ...device, ...events],
    { cwd: root, env: { ...servedEnv, PATH: process.env['PATH'], HOME: process.env['HOME'] } },
  );
  child.stderr!.resume();
  let out = '';
  for await (const chunk of child.stdout!.setEncoding('utf8')) {
    out += chunk;
    url = /url\s+(\S+)/.exec(out)?.[1] ?? '';
    if (url !== '') return;
  }
  throw new Error(`the server ended early: ${out}`);
});

afterAll(() => child.kill('SIGKILL'));

test('it is healthy, ready, and says its version and context', async () => {
  for (const path of ['/health', '/readyz', '/healthz'])
    expect((await fetch(`${url}${path}`)).status).toBe(200);
  expect(await json('/version')).toEqual({ version: expect.stringMatching(/^\d+\./) });
  const { data } = (await json('/v1/models')) as { data: { max_model_len: number }[] };
  expect(data[0]!.max_model_len).toBeGreaterThan(1000);
});

test('its load is told as SGLang tells it', async () => {
  await complete(40);
  const { dp_rank_count, loads, aggregate } = (await json('/v1/loads?include=core,queues')) as {
    dp_rank_count: number;
    loads: object[];
    aggregate: object;
  };
  expect(dp_rank_count).toBe(1);
  expect(loads[0]).toMatchObject({
    ...{ dp_rank: 0, num_running_reqs: 0, num_waiting_reqs: 0, num_total_reqs: 0, token_usage: 0 },
    max_running_requests: 16,
    max_total_num_tokens: expect.any(Number),
  });
  expect(aggregate).toMatchObject({ total_reqs: 0, avg_token_usage: 0 });
});

test('its gauges have our names and vLLM’s', async () => {
  const text = await (await fetch(`${url}/metrics`)).text();
  for (const line of [
    /^sparklane_requests_waiting 0$/m,
    /^sparklane_requests_running 0$/m,
    /^sparklane_kv_usage 0$/m,
    /^sparklane_cache_config_info\{block_size="16",num_blocks="\d+"\} 1$/m,
    /^vllm:num_requests_waiting\{model_name="spark-nano",engine="0"\} 0$/m,
    /^vllm:num_requests_running\{model_name="spark-nano",engine="0"\} 0$/m,
    /^vllm:kv_cache_usage_perc\{model_name="spark-nano",engine="0"\} 0$/m,
    /^vllm:cache_config_info\{block_size="16",num_gpu_blocks="\d+"\} 1$/m,
  ]) {
    expect(text).toMatch(line);
  }
});

test.skipIf(zmq === null)('a router hears of each block, and gets what it missed by replay', async () => {
  const subscriber = new zmq!.Subscriber();
  subscriber.connect(publishAt);
  subscriber.subscribe('kv@');
  const heard: { topic: string; sequence: bigint; events: readonly Event[] }[] = [];
  const listening = (async () => {
    for await (const [topic, number, payload] of subscriber) {
      const [, events] = unpackr.unpack(payload!) as [number, readonly Event[], number];
      heard.push({ topic: topic!.toString(), sequence: number!.readBigInt64BE(), events });
      if (events.some(({ token_ids }) => token_ids !== undefined)) return;
    }
  })();
  // A subscription takes its time to arrive: ask until something is heard, which is a new prompt each time.
  let ended = false;
  void listening.then(() => {
    ended = true;
  });
  for (let prompt = 100; !ended; prompt++) await complete(48, prompt);
  const { topic, sequence, events } = heard.at(-1)!;
  expect(topic).toBe('kv@a@m');
  expect(events[0]).toMatchObject({ type: 'BlockStored', block_size: 16, parent_block_hash: null });
  subscriber.close();

  const late = new zmq!.Dealer();
  late.connect(replayAt);
  const zero = Buffer.alloc(8);
  await late.send(['', zero]);
  const replayed: bigint[] = [];
  const types: string[] = [];
  for await (const [, number, payload] of late) {
    if (number!.readBigInt64BE() === -1n) break;
    replayed.push(number!.readBigInt64BE());
    types.push(...(unpackr.unpack(payload!) as [number, Event[], number])[1].map(({ type }) => type));
  }
  late.close();
  expect(replayed[0]).toBe(0n);
  expect(replayed).toContain(sequence);
  expect(types[0]).toBe('AllBlocksCleared');
  expect(types).toContain('BlockStored');
});

async function complete(tokenCount: number, first = 7): Promise<void> {
  const prompt = Array.from({ length: tokenCount }, (_, index) => first + index);
  const body = JSON.stringify({ prompt, max_tokens: 2 });
  const answer = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  expect(answer.status).toBe(200);
  await answer.text();
}

async function json(path: string): Promise<unknown> {
  return (await fetch(`${url}${path}`)).json();
}

async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return `tcp://127.0.0.1:${port}`;
}
