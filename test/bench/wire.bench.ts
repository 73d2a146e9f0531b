// CPU time of one token from the engine to a client's hands, over real sockets: the native WebSocket against OpenAI's
// SSE stream, client and server counted together (both run in this process). The device draws a token a millisecond, as
// a fast one does, and computes nothing; what engine and generator take alone is measured too and taken off.
// Run: npx tsx test/bench/wire.bench.ts [ms per token; 0: at once]
import { type ClientRequest, request as httpRequest } from 'node:http';
import OpenAI from 'openai';
import { WallClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { PlainTokens } from '../../kernels/sim/token-source.ts';
import { loadModel } from '../../models/model.ts';
import { Detokenizer } from '../../models/tokenizer/detokenizer.ts';
import { createLog } from '../../server/base/log.ts';
import { NativeClient } from '../../server/client/client.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import { type RunningServer, startServer } from '../../server/compose.ts';
import { loadConfig } from '../../server/config/config.ts';
import { TextGenerator } from '../../server/generation/generation.ts';
import { ServerMetrics } from '../../server/metrics/metrics.ts';
import { greedyRequest } from '../greedy-request.ts';
import { testListener } from '../listeners.ts';
import { median } from './samples.ts';

const TOKENS = 500; // per answer
const ROUNDS = 11;
const stepMs = Number(process.argv[2] ?? 1);
const FRAME_INTERVAL_US = 8000; // half of what a screen takes

export interface WireCost {
  readonly name: string;
  readonly cpuUs: number; // per token: median of rounds, engine and generator taken off
  readonly wallUs: number; // per token, all of it
}

type Answer = () => Promise<void>;

/** Measures all paths in turn, round by round, so that a change of the machine's speed meets all of them. */
export async function wireBench(): Promise<WireCost[]> {
  const { server, alone } = await start();
  const client = await NativeClient.connect(
    webSocketTo(server.url, { apiKey: null, frameSizeMax: 2 ** 20, connectTimeoutMs: 5000 }),
  );
  const openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const paths: readonly { readonly name: string; readonly answer: Answer }[] = [
    { name: 'engine and generator alone', answer: alone },
    { name: 'native WebSocket, a frame a token', answer: () => overNative(client, 0) },
    { name: 'native WebSocket, a frame every 8 ms', answer: () => overNative(client, FRAME_INTERVAL_US) },
    { name: 'SSE, leanest client', answer: () => overSse(server) },
    { name: 'SSE, openai package', answer: () => overOpenAi(openai) },
  ];
  const measured = paths.map(({ name, answer }) => ({
    name,
    answer,
    cpu: [] as number[],
    wall: [] as number[],
  }));
  for (let round = -2; round < ROUNDS; round++) {
    for (const { answer, cpu, wall } of measured) {
      const startCpu = process.cpuUsage();
      const startMs = performance.now();
      await answer();
      const { user, system } = process.cpuUsage(startCpu);
      if (round < 0) continue; // warm-up
      cpu.push((user + system) / TOKENS);
      wall.push(((performance.now() - startMs) * 1000) / TOKENS);
    }
  }
  client.close();
  await server.stop();
  const base = median(measured[0]!.cpu);
  return measured.map(({ name, cpu, wall }, index) => ({
    name,
    cpuUs: median(cpu) - (index === 0 ? 0 : base),
    wallUs: median(wall),
  }));
}

async function start(): Promise<{ server: RunningServer; alone: Answer }> {
  const clock = new WallClock();
  const model = loadModel('spark-nano');
  const config = loadConfig({ flags: { port: 0, backend: 'sim', logLevel: 'silent' }, env: {} });
  const limits = {
    replicaCount: 1,
    slotCount: 4,
    slotTokensMax: 4096,
    blockSize: 16,
    blockCount: 1024,
    rowTokensMax: 128,
    stepTokensMax: 132,
    sampleCountMax: 1,
    logprobsMax: 20,
    vocabSize: model.spec.vocabSize,
  };
  const backend = new SimBackend('instant', {
    limits,
    clock,
    costModel: {
      start: (_plan, done) => {
        if (stepMs === 0) clock.defer(() => done(0));
        else clock.schedule(stepMs, () => done(stepMs));
      },
      releaseSlot: () => {},
    },
    tokens: new PlainTokens({ idMin: 1000, idCount: 4096 }),
    faults: null,
  });
  const random = new Random(1);
  let idCount = 0;
  const server = await startServer({
    config: { ...config, slots: 4 },
    version: '0.0.0',
    model,
    backend,
    transport: await testListener(config),
    clock,
    epochMs: () => 1_763_600_000_000,
    random,
    freshId: () => `${++idCount}`,
    log: createLog({ level: 'silent', write: () => {}, epochMs: () => 0 }),
    metrics: new ServerMetrics({ nodeMetrics: false }),
  });
  const generator = new TextGenerator({
    engine: server.engine,
    stopTokenIds: model.spec.eosTokenIds,
    openText: () => new Detokenizer(model.tokenizer),
    random,
  });
  return { server, alone: () => generated(generator) };
}

function generated(generator: TextGenerator): Promise<void> {
  return new Promise((resolve) => {
    let tokenCount = 0;
    const started = generator.start(
      {
        ...greedyRequest,
        tokens: Int32Array.of(1, 2, 3),
        maxTokens: TOKENS,
        seed: 1,
        ignoreStopTokens: true,
      },
      {
        onDelta: ({ tokens }) => {
          tokenCount += tokens.length;
        },
        onEnd: () => {
          if (tokenCount !== TOKENS) throw new Error(`${tokenCount} tokens`);
          resolve();
        },
      },
    );
    if (!started.ok) throw new Error(started.message);
  });
}

async function overNative(client: NativeClient, frameIntervalUs: number): Promise<void> {
  const session = client.open({ temperature: 0 });
  void session.append({ tokens: [1, 2, 3] });
  let text = '';
  const onFrame = (frame: { readonly text: string }) => {
    text += frame.text;
  };
  const asked = { maxTokens: TOKENS, ignoreStopTokens: true, seed: 1, frameIntervalUs };
  const end = await session.generate(asked, onFrame).end;
  if (end.usage.outputTokens !== TOKENS || text === '') throw new Error('not the answer that was asked for');
  await session.close();
}

/** The client most programs use. */
async function overOpenAi(openai: OpenAI): Promise<void> {
  const stream = await openai.chat.completions.create({
    model: 'spark-nano',
    messages: [{ role: 'user', content: 'x' }],
    max_tokens: TOKENS,
    seed: 1,
    stream: true,
  });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  if (text === '') throw new Error('an empty answer');
}

/** The leanest client: node's own parser, one JSON.parse per event. */
function overSse({ url }: RunningServer): Promise<void> {
  const body = JSON.stringify({
    model: 'spark-nano',
    messages: [{ role: 'user', content: 'x' }],
    max_tokens: TOKENS,
    ignore_eos: true,
    seed: 1,
    stream: true,
  });
  return new Promise((resolve, reject) => {
    let text = '';
    let rest = '';
    const sent: ClientRequest = httpRequest(
      `${url}/v1/chat/completions`,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          const events = (rest + chunk).split('\n\n');
          rest = events.pop()!;
          for (const event of events) {
            if (event === 'data: [DONE]') continue;
            const parsed = JSON.parse(event.slice('data: '.length)) as SseChunk;
            text += parsed.choices[0]?.delta.content ?? '';
          }
        });
        response.on('end', () => (text === '' ? reject(new Error('an empty answer')) : resolve()));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

interface SseChunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
}

export function printWire(costs: readonly WireCost[]): void {
  const sse = costs.at(-1)!;
  console.log('\n| per token, one stream | CPU µs | wall µs | CPU, of SSE |\n|---|---|---|---|');
  for (const [index, { name, cpuUs, wallUs }] of costs.entries()) {
    const share = index === 0 ? '' : `${Math.round((cpuUs / sse.cpuUs) * 100)} %`;
    console.log(`| ${name} | ${cpuUs.toFixed(1)} | ${wallUs.toFixed(1)} | ${share} |`);
  }
}

if (process.argv[1] === import.meta.filename) printWire(await wireBench());
