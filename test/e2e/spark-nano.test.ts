import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import type { CpuBackend } from '../../kernels/onnx/backend.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { loadConfig } from '../../server/config/config.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { builtGraphs } from '../run-folders.ts';
import { servedEnv } from '../served-env.ts';

let server: LocalServer;
let client: OpenAI;

beforeAll(async () => {
  const flags = {
    port: 0,
    model: 'spark-nano',
    kvCacheSizeMax: '128MiB',
    cacheDirectory: builtGraphs(),
    logLevel: 'error',
  };
  const host = { terminal: new MemoryTerminal(), env: {}, clock: new WallClock(), epochMs: Date.now };
  server = await startLocalServer(loadConfig({ flags, env: servedEnv }), host);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(() => server?.stop());

interface Ask {
  readonly prompt: string;
  readonly temperature: number;
  readonly seed: number;
}

async function streamed({ prompt, temperature, seed }: Ask): Promise<string> {
  const extensions = { ignore_eos: true } as object;
  const stream = await client.completions.create({
    model: 'spark-nano',
    prompt,
    max_tokens: 40,
    temperature,
    seed,
    stream: true,
    ...extensions,
  });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
  return text;
}

const names = ['fibonacci', 'readFile', 'parse', 'Queue', 'merge', 'debounce', 'toJson', 'sum'];

/** Prompts of 10 to 300 tokens, some with long beginnings in common; greedy and seeded by turns. */
function askOf(index: number): Ask {
  const name = names[index % names.length]!;
  const context = `// part ${index % 3} of the library\n`.repeat(1 + (index % 5) * 8);
  return {
    prompt: `${context}export function ${name}${index}(n: number)`,
    temperature: index % 2 === 0 ? 0 : 0.8,
    seed: 1000 + index,
  };
}

test('32 concurrent streams each give exactly the text they give alone', async () => {
  const asks = Array.from({ length: 32 }, (_, index) => askOf(index));
  const crowd = await Promise.all(asks.map(streamed));
  for (const [index, ask] of asks.entries()) expect(await streamed(ask), ask.prompt).toBe(crowd[index]);
  expect(new Set(crowd).size).toBeGreaterThan(16); // they are not all the same text
});

test('chat and text completions stream through the openai package', async () => {
  const chat = await client.chat.completions.create({
    model: 'spark-nano',
    messages: [{ role: 'user', content: 'Rename `x` to `count`: let x = 0;' }],
    max_tokens: 20,
    stream: true,
    stream_options: { include_usage: true },
  });
  let tokens = 0;
  for await (const chunk of chat) tokens = chunk.usage?.completion_tokens ?? tokens;
  expect(tokens).toBeGreaterThan(0);
  const whole = await client.completions.create({
    model: 'spark-nano',
    prompt: 'const a = ',
    suffix: ';\nconsole.log(a);',
    max_tokens: 8,
  });
  expect(whole.usage!.completion_tokens).toBeGreaterThan(0);
});

test('a second request with a prefix of 1,000 tokens in common computes only what is new', async () => {
  const shared = Array.from({ length: 1008 }, (_, index) => (index * 37) % 8000);
  const ask = async (last: number) => {
    const prompt = [...shared, last, last, last];
    const answer = await client.completions.create({ model: 'spark-nano', prompt, max_tokens: 4 });
    return answer.usage!.prompt_tokens_details!.cached_tokens;
  };
  const prefilledBefore = await metric('sparklane_step_tokens_total{kind="prefill"}');
  expect(await ask(1)).toBe(0);
  expect(await ask(2)).toBe(1008);
  const prefilled = (await metric('sparklane_step_tokens_total{kind="prefill"}')) - prefilledBefore;
  expect(prefilled).toBe(1011 + 3);
});

test('a worker that dies in mid-stream costs its requests a typed error and nobody else anything', async () => {
  const stream = await client.completions.create({
    model: 'spark-nano',
    prompt: 'while (true) {',
    max_tokens: 2000,
    stream: true,
    ...({ ignore_eos: true } as object),
  });
  const read = async () => {
    let chunks = 0;
    for await (const _ of stream)
      if (++chunks === 5) await (server.device.backend as CpuBackend).terminateWorker(0);
  };
  await expect(read()).rejects.toMatchObject({ code: 'worker_died' });
  expect((await streamed(askOf(0))).length).toBeGreaterThan(0);
  server.engine.check();
  expect(server.engine.load).toMatchObject({ runningCount: 0, waitingCount: 0, kv: { inUseCount: 0 } });
});

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  expect(line, name).toBeDefined();
  return Number(line!.split(' ')[1]);
}
