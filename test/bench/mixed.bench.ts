// What prompts of newcomers cost those who are being answered: gaps between the tokens of running streams, at the client,
// with nobody else and while prompts of 2,048 tokens arrive one after another. In turn, so that a slower minute meets
// both. Needs dist/ (make build). Run: npx tsx test/bench/mixed.bench.ts [server flags]
import { argv } from 'node:process';
import { Random } from '../../kernels/random.ts';
import type { NativeClient } from '../../server/client/client.ts';
import { randomTokens } from './samples.ts';
import { serve } from './served.ts';

const streamCounts = [1, 4, 15]; // of 16 seats: a prompt needs one
const outputTokens = 384;
const promptTokens = 2048;
const rounds = 5; // after one that warms up

interface Gaps {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const served = await serve(argv.slice(2));
const client = await served.connect();
const random = new Random(13);
console.log(served.device);
console.log(
  `| streams | gap p50 / p99 alone, ms | beside prompts, ms | p99 ratio | prompts, tok/s |\n|---|---|---|---|---|`,
);
for (const streams of streamCounts) {
  const alone: number[] = [];
  const beside: number[] = [];
  const rates: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const quiet = await gapsOf(streams);
    const prompts = sendPrompts();
    const mixed = await gapsOf(streams);
    const rate = await prompts.stop();
    if (round < 0) continue;
    alone.push(...quiet);
    beside.push(...mixed);
    rates.push(rate);
  }
  const [before, after] = [summary(alone), summary(beside)];
  const text = ({ p50Ms, p99Ms }: Gaps) => `${p50Ms.toFixed(2)} / ${p99Ms.toFixed(1)}`;
  const rate = Math.round(rates.reduce((sum, value) => sum + value, 0) / rates.length);
  console.log(
    `| ${streams} | ${text(before)} | ${text(after)} | ${(after.p99Ms / before.p99Ms).toFixed(2)} | ${rate} |`,
  );
}
client.close();
await served.stop();

/** ms between tokens, all streams together; tokens of one frame have come together. */
async function gapsOf(streams: number): Promise<number[]> {
  const gaps: number[] = [];
  await Promise.all(Array.from({ length: streams }, () => oneStream(client, gaps)));
  return gaps;
}

async function oneStream(of: NativeClient, gaps: number[]): Promise<void> {
  const session = of.open();
  await session.append({ tokens: randomTokens(random, 64) });
  let lastMs = 0;
  const asked = { maxTokens: outputTokens, ignoreStopTokens: true, temperature: 0, speculation: false };
  await session.generate(asked, ({ tokens }) => {
    const nowMs = performance.now();
    if (lastMs > 0)
      for (let index = 0; index < tokens.length; index++) gaps.push(index === 0 ? nowMs - lastMs : 0);
    lastMs = nowMs;
  }).end;
  await session.close();
}

/** One new prompt after the other; stop() answers their rate. */
function sendPrompts(): { stop: () => Promise<number> } {
  let running = true;
  const startMs = performance.now();
  const done = (async () => {
    let count = 0;
    while (running) {
      const session = client.open();
      void session.append({ tokens: randomTokens(random, promptTokens) });
      await session.generate({ maxTokens: 1, temperature: 0 }).end;
      await session.close();
      count++;
    }
    return (count * promptTokens * 1000) / (performance.now() - startMs);
  })();
  return {
    stop: () => {
      running = false;
      return done;
    },
  };
}

function summary(gaps: readonly number[]): Gaps {
  const sorted = gaps.toSorted((a, b) => a - b);
  return { p50Ms: sorted[sorted.length >> 1]!, p99Ms: sorted[Math.floor(sorted.length * 0.99)]! };
}
