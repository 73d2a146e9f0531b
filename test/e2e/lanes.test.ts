// Two servers of ours over real sockets, the second one the strong lane of the first, and the `openai` package as the client:
// a conversation that starts small, grows, is promoted, delegates, goes on talking, and gets its result back. The engines are
// scripted: nothing depends on what a model says.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI, { NotFoundError, RateLimitError } from 'openai';
import type { ResponseInput, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { afterEach, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { createLog } from '../../server/base/log.ts';
import { openLanes } from '../../server/lanes/open-lanes.ts';
import { ServerMetrics } from '../../server/metrics/metrics.ts';
import { BYTE_EOS, encodeBytes } from '../byte-text.ts';
import { type HttpServer, type HttpWorldOptions, httpServer } from '../http-world.ts';
import { testListener } from '../listeners.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Served extends HttpServer {
  readonly url: string;
  readonly prompts: readonly string[];
}

/** Says `text` to everybody and remembers what it was asked. */
async function serve(text: string, options: Omit<HttpWorldOptions, 'clock'> = {}): Promise<Served> {
  const prompts: string[] = [];
  const server = httpServer({
    clock: new WallClock(),
    ...options,
    engine: {
      script: ({ tokens }) => {
        prompts.push(Buffer.from(tokens.filter((id) => id < 256)).toString());
        return { tokens: [...encodeBytes(text), BYTE_EOS] };
      },
      contextTokensMax: 65_536,
      tokensPerStep: 4,
      ...options.engine,
    },
  });
  const listener = await testListener(server.config);
  closing.push(() => listener.close());
  const { port } = await listener.listen('127.0.0.1', 0, server.app.handlers);
  return { ...server, url: `http://127.0.0.1:${port}/v1`, prompts };
}

const STRONG_TEXT = 'The parser is refactored in nine files, and its tests pass.';
const STRONG_KEY = 'the-key-of-the-second';

/** The first server, its client, and the second. */
async function twoServers(limits: object = {}) {
  const strong = await serve(STRONG_TEXT, {
    flags: { apiKeys: [STRONG_KEY] },
    engine: { stepMs: 10, tokensPerStep: 2 },
  });
  const price = { inputPerMillion: 3, outputPerMillion: 15 };
  const upstream = { url: strong.url, model: 'bytes', keyFrom: 'STRONG_KEY', attempts: 2, backoffMs: 1 };
  const path = join(directory, 'lanes.json');
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    path,
    JSON.stringify({ lanes: { spark: { model: 'local' }, reliability: { upstream, price, limits } } }),
  );
  const metrics = new ServerMetrics({ nodeMetrics: false });
  const lanes = openLanes({
    path,
    env: { STRONG_KEY },
    clock: new WallClock(),
    epochMs: () => 0,
    random: new Random(5),
    log: createLog({ level: 'error', write: () => {}, epochMs: () => 0 }),
    metrics,
  });
  closing.push(() => lanes.close());
  const quick = await serve('count it is.', { app: { lanes, metrics } });
  const client = new OpenAI({ baseURL: quick.url, apiKey: 'none', maxRetries: 0 });
  const ask = (input: string | ResponseInput, more: object = {}) =>
    client.responses.create({ model: 'auto', input, ...more });
  return { strong, quick, lanes, client, ask };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

const files = ['a', 'b', 'c', 'd', 'e'];
const patch = files.map((name) => `*** Update File: src/${name}.ts\n@@\n-old\n+new`).join('\n');
const patched = [
  {
    type: 'function_call' as const,
    call_id: 'c1',
    name: 'apply_patch',
    arguments: JSON.stringify({ input: `*** Begin Patch\n${patch}\n*** End Patch` }),
  },
  { type: 'function_call_output' as const, call_id: 'c1', output: 'Exit code: 0\nDone!' },
];

test('a conversation starts small, grows, is promoted, works in the background while small edits go on, and comes back', async () => {
  const { strong, quick, client, ask } = await twoServers();
  const first = await ask('Rename x to count in src/sum.ts');
  expect(first).toMatchObject({ model: 'spark', output_text: 'count it is.' });
  expect(first.metadata).toMatchObject({ sparklane_class: 'small-edit', sparklane_move: 'start' });

  // The surface grows within a turn: the next step of it is the strong lane's, which is handed what there is.
  const grown = await ask(patched, { previous_response_id: first.id });
  expect(grown).toMatchObject({ model: 'reliability', output_text: STRONG_TEXT });
  expect(grown.metadata).toMatchObject({ sparklane_move: 'promote', sparklane_from: 'spark' });
  expect(strong.prompts[0]).toContain('Rename x to count in src/sum.ts');
  expect(strong.prompts[0]).toContain('Changed so far: src/a.ts, src/b.ts');
  expect(strong.prompts[0]).toContain('(exit code 0)');
  expect((grown.usage as unknown as { cost: number }).cost).toBeGreaterThan(0);

  const again = await ask('Just fix the typo', { previous_response_id: grown.id });
  expect(again).toMatchObject({ model: 'spark', metadata: { sparklane_move: 'demote' } });

  const task = await ask('Refactor the parser everywhere', {
    previous_response_id: again.id,
    background: true,
  });
  expect(task).toMatchObject({ status: 'queued', model: 'reliability', output: [] });

  // Watched until it has begun to speak; then it is held, and the watcher's connection breaks.
  const seen: ResponseStreamEvent[] = [];
  for await (const event of await client.responses.retrieve(task.id, { stream: true })) {
    seen.push(event);
    if (event.type === 'response.output_text.delta') break;
  }
  strong.engine.pause(2);
  const beside = await ask('Quickly rename y in src/sum.ts', { previous_response_id: again.id });
  expect(beside).toMatchObject({ model: 'spark', output_text: 'count it is.' });
  expect(beside.output).toHaveLength(1); // nothing has come back yet
  expect(await client.responses.retrieve(task.id)).toMatchObject({ status: 'in_progress' });
  expect(strong.engine.activeCount).toBe(1);
  strong.engine.resume(2);

  const last = seen.at(-1)!.sequence_number;
  const rest: ResponseStreamEvent[] = [];
  const stream = await client.responses.retrieve(task.id, { stream: true, starting_after: last });
  for await (const event of stream) rest.push(event);
  expect(rest[0]!.sequence_number).toBe(last + 1);
  expect(rest.at(-1)!.type).toBe('response.completed');
  const said = [...seen, ...rest].flatMap((event) =>
    event.type === 'response.output_text.delta' ? [event.delta] : [],
  );
  expect(said.join('')).toBe(STRONG_TEXT);

  const back = await ask('Just rename z too', { previous_response_id: beside.id });
  expect(back.model).toBe('spark');
  expect(back.output).toHaveLength(2);
  expect(back.output[0]).toMatchObject({
    role: 'assistant',
    delegation: { response_id: task.id, lane: 'reliability', status: 'completed' },
  });
  expect(back.output_text).toContain(STRONG_TEXT);
  expect(quick.prompts.at(-1)).toContain(STRONG_TEXT);
});

test('delegated work is cancelled on both servers, and is not told of', async () => {
  const { strong, lanes, client, ask } = await twoServers({ concurrency: 1 });
  const works = await ask('Refactor it everywhere', { background: true });
  const waits = await ask('Refactor it everywhere, too', { background: true });
  expect(waits).toMatchObject({ status: 'queued', queue: { lane: 'reliability', position: 1 } });
  await until(() => strong.engine.activeCount === 1);
  strong.engine.pause(1);
  for (const { id } of [works, waits]) {
    expect(await client.responses.cancel(id)).toMatchObject({ id, status: 'cancelled' });
  }
  await until(() => strong.engine.activeCount === 0);
  await until(() => lanes.report.every(({ running, waiting }) => running + waiting === 0));
  expect(strong.submitted).toHaveLength(1);
  await client.responses.delete(works.id);
  await expect(client.responses.retrieve(works.id)).rejects.toThrow(NotFoundError);
  expect((await ask('Just fix a typo')).output).toHaveLength(1);
});

test('a full second server says when to come back, one that is gone is said, and the quick lane goes on', async () => {
  const { strong, client, ask } = await twoServers({ concurrency: 1, queueLength: 0 });
  const busy = ask('Refactor it everywhere');
  await until(() => strong.engine.activeCount === 1);
  strong.engine.pause(1);
  const refused = await ask('Refactor it everywhere').catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RateLimitError);
  const { code, headers } = refused as RateLimitError & { headers: Headers };
  expect(code).toBe('queue_full');
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  strong.engine.resume(1);
  expect((await busy).output_text).toBe(STRONG_TEXT);

  strong.engine.abortAll('it dies'); // in the middle of nothing: refuses from now on
  const gone = await client.chat.completions
    .create({ model: 'reliability', messages: [{ role: 'user', content: 'Hi' }] })
    .catch((error: unknown) => error);
  expect(gone).toMatchObject({ status: 503, code: 'upstream_unavailable' });
  expect((await ask('Just fix a typo')).model).toBe('spark');
});
