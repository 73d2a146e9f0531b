// How long the largest that a caller may send holds the event loop: the longest turn of the loop while one such request is
// served, the least of several tries (a shared machine adds to single ones). The caller is a process of its own. What the
// loop does in portions, or leaves to threads, shows as turns; test/unit holds counts where there are some.
// Run: npx tsx test/bench/portions.bench.ts [part of a name]
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { argv } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { WallClock } from '../../kernels/clock.ts';
import { startLocalServer } from '../../server/cli/local-server.ts';
import { NativeClient } from '../../server/client/client.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import { loadConfig } from '../../server/config/config.ts';
import { MemoryTerminal } from '../memory-terminal.ts';

const MIB = 2 ** 20;
const tries = 5;
const words = 'const parse = (file) => file.lines.map((line) => line.trim()); // all of it\n';
const text = (size: number) => words.repeat(Math.ceil(size / words.length)).slice(0, size);
const messages = (count: number, size: number) =>
  Array.from({ length: count }, (_, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content: `${i} ${text(size)}`,
  }));
const chat = (body: object) => ({ path: '/v1/chat/completions', body: { max_tokens: 1, ...body } });

interface Asked {
  readonly path: string;
  readonly body: object | null; // null: GET
}

const members: Readonly<Record<string, () => Asked>> = {
  'chat, 1 message': () => chat({ messages: messages(1, 10) }),
  'chat, 300 messages': () => chat({ messages: messages(300, 20) }),
  'chat, 3,000 messages': () => chat({ messages: messages(3000, 20) }),
  'chat, 3,000 messages again': () => chat({ messages: messages(3000, 20) }),
  'chat, 30,000 messages': () => chat({ messages: messages(30_000, 20) }),
  'chat, one message of 16 KiB': () => chat({ messages: messages(1, 16_384) }),
  'chat, one message of 15 MiB': () => chat({ messages: messages(1, 15 * MIB) }),
  'chat, body of 15 MiB in 90,000 values': () => chat({ messages: messages(40_000, 300) }),
  'completion, prompt of 15 MiB': () => ({
    path: '/v1/completions',
    body: { prompt: text(15 * MIB), max_tokens: 1 },
  }),
  'completion, prompt of 8,000 ids': () => ({
    path: '/v1/completions',
    body: { prompt: Array.from({ length: 8000 }, (_, i) => i), max_tokens: 1 },
  }),
  'completion, 500 tokens with 20 logprobs': () => ({
    path: '/v1/completions',
    body: { prompt: 'const', max_tokens: 500, logprobs: 20, ignore_eos: true },
  }),
  'chat, 500 tokens with 20 logprobs': () =>
    chat({ messages: messages(1, 10), max_tokens: 500, logprobs: true, top_logprobs: 20, ignore_eos: true }),
  'responses, 3,000 items': () => ({
    path: '/v1/responses',
    body: { input: messages(3000, 20), max_output_tokens: 1 },
  }),
  'messages, 3,000 turns': () => ({
    path: '/v1/messages',
    body: { messages: messages(3000, 20), max_tokens: 1 },
  }),
  'tokenize, 1 MiB': () => ({ path: '/tokenize', body: { content: text(MIB) } }),
  'detokenize, 100,000 ids': () => ({
    path: '/detokenize',
    body: { tokens: Array.from({ length: 100_000 }, (_, i) => i % 40_000) },
  }),
  'logit_bias of 1,024': () =>
    chat({
      messages: messages(1, 10),
      logit_bias: Object.fromEntries(messages(1024, 1).map((_, i) => [i, 1])),
    }),
  'schema of 5,000 properties': () =>
    chat({
      messages: messages(1, 10),
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'form',
          schema: {
            type: 'object',
            properties: Object.fromEntries(messages(5000, 1).map((_, i) => [`p${i}`, { type: 'integer' }])),
          },
        },
      },
    }),
  '1,000 tools': () =>
    chat({
      messages: messages(1, 10),
      tools: messages(1000, 1).map((_, i) => ({
        type: 'function',
        function: {
          name: `tool_${i}`,
          parameters: { type: 'object', properties: { a: { type: 'string' } } },
        },
      })),
    }),
  metrics: () => ({ path: '/metrics', body: null }),
  models: () => ({ path: '/v1/models', body: null }),
  openapi: () => ({ path: '/openapi.json', body: null }),
  'native, 3.9 MiB of text': () => ({ path: 'native text', body: null }),
  'native, 3,000 messages': () => ({ path: 'native messages', body: null }),
};

/** In the caller's process. */
async function ask(url: string, { path, body }: Asked): Promise<string> {
  if (path.startsWith('native')) return askNative(url, path);
  const init = body === null ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`${url}${path}`, { ...init, headers: { 'content-type': 'application/json' } });
  const answer = await response.text();
  return response.ok ? `${response.status}` : `${response.status} ${answer.slice(0, 110)}`;
}

async function askNative(url: string, path: string): Promise<string> {
  const options = { apiKey: null, frameSizeMax: 2 ** 24, connectTimeoutMs: 30_000 };
  const client = await NativeClient.connect(webSocketTo(url, options), { client: 'portions' });
  try {
    const session = client.open();
    const content = path === 'native text' ? { text: text(3.9 * MIB) } : { messages: messages(3000, 20) };
    await session.append(content);
    await session.generate({ maxTokens: 1 }).end;
    return 'answered';
  } catch (error) {
    return (error as Error).message.slice(0, 110);
  } finally {
    client.close();
  }
}

const isCaller = argv[2] === '--caller';

if (isCaller) {
  process.on('message', async ({ url, name }: { url: string; name: string }) => {
    process.send!(await ask(url, members[name]!()));
  });
} else await measure(argv[2] ?? '');

async function measure(part: string): Promise<void> {
  const host = { terminal: new MemoryTerminal(), env: {}, clock: new WallClock(), epochMs: Date.now };
  const flags = { port: 0, logLevel: 'error', speculation: 'off' };
  const server = await startLocalServer(loadConfig({ flags, env: {} }), host);
  const caller = fork(import.meta.filename, ['--caller']);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const rows: object[] = [];
  for (const name of Object.keys(members).filter((one) => one.includes(part))) {
    let least = Number.POSITIVE_INFINITY;
    let outcome: unknown = '';
    for (let attempt = 0; attempt < tries; attempt++) {
      await sleep(20);
      delay.reset();
      caller.send({ url: server.url, name });
      [outcome] = await once(caller, 'message');
      await sleep(20);
      least = Math.min(least, delay.max / 1e6);
    }
    rows.push({ asked: name, 'longest turn, ms': least.toFixed(1), outcome });
    console.log(name, least.toFixed(1), outcome);
  }
  console.table(rows);
  caller.kill();
  await server.stop();
}
