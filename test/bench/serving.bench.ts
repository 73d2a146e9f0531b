// The whole server over real sockets: decode by number of streams, prefill, time to first token cold and cached, and
// the server's own share of a token. Run: npx tsx test/bench/serving.bench.ts [server flags]
import { argv } from 'node:process';
import { Random } from '../../kernels/random.ts';
import type { NativeClient } from '../../server/client/client.ts';
import { median, randomTokens } from './samples.ts';
import { type Served, serve } from './served.ts';

const streamCounts = [1, 2, 4, 8, 16];
const outputTokens = 384;
const decodeRounds = 5; // after one that warms up
const prefillTokens = 2048;
const sharedTokens = 1024;
const newTokens = 32;

export interface DecodeRate {
  readonly streams: number;
  readonly tokensPerSecond: number; // all streams together, by the client's clock, first to last token
  readonly tpotMs: number; // median of streams
  readonly deviceMs: number; // mean of a step on the device while this ran, prompts included
  readonly serverShare: number; // of the time from the first question to the last token, without a step on the device
}

export interface ServingCosts {
  readonly device: string;
  readonly readyMs: number;
  readonly rssMiB: number; // after everything
  readonly decode: readonly DecodeRate[];
  readonly prefillTokensPerSecond: number;
  readonly coldTtftMs: number; // median; sharedTokens + newTokens, nothing cached
  readonly cachedTtftMs: number; // median; sharedTokens of them cached
  readonly cachedTokens: number; // as reported in usage
}

export async function servingBench(flags: readonly string[]): Promise<ServingCosts> {
  const served = await serve(flags);
  try {
    const client = await served.connect();
    const decode: DecodeRate[] = [];
    for (const streams of streamCounts) decode.push(await decodeRate(served, client, streams));
    const prefillTokensPerSecond = await prefillRate(client);
    const ttft = await firstTokens(client);
    const rssMiB = (await served.rssBytes()) / 2 ** 20;
    client.close();
    return {
      device: served.device,
      readyMs: served.readyMs,
      rssMiB,
      decode,
      prefillTokensPerSecond,
      ...ttft,
    };
  } finally {
    await served.stop();
  }
}

async function decodeRate(served: Served, client: NativeClient, streams: number): Promise<DecodeRate> {
  const rates: { tokensPerSecond: number; tpotMs: number }[] = [];
  let before = await deviceTime(served);
  let wallMs = 0;
  for (let round = -1; round < decodeRounds; round++) {
    if (round === 0) before = await deviceTime(served);
    const spans = await Promise.all(
      Array.from({ length: streams }, (_, stream) => oneStream(client, round * 64 + stream)),
    );
    if (round < 0) continue;
    const firstMs = Math.min(...spans.map((span) => span.firstMs));
    const lastMs = Math.max(...spans.map((span) => span.lastMs));
    wallMs += lastMs - Math.min(...spans.map((span) => span.askedMs));
    const tpots = spans.map((span) => (span.lastMs - span.firstMs) / (outputTokens - 1));
    rates.push({
      tokensPerSecond: (streams * outputTokens * 1000) / (lastMs - firstMs),
      tpotMs: median(tpots),
    });
  }
  const after = await deviceTime(served);
  const deviceMs = (after.seconds - before.seconds) * 1000;
  const tpotMs = median(rates.map((rate) => rate.tpotMs));
  return {
    streams,
    tokensPerSecond: median(rates.map((rate) => rate.tokensPerSecond)),
    tpotMs,
    deviceMs: deviceMs / (after.steps - before.steps),
    serverShare: 1 - deviceMs / wallMs,
  };
}

async function oneStream(client: NativeClient, seed: number) {
  const session = client.open();
  await session.append({ tokens: randomTokens(new Random(seed + 1000), 64) });
  let firstMs = 0;
  let lastMs = 0;
  const askedMs = performance.now();
  const answer = session.generate(
    { maxTokens: outputTokens, ignoreStopTokens: true, temperature: 0, speculation: false },
    () => {
      lastMs = performance.now();
      if (firstMs === 0) firstMs = lastMs;
    },
  );
  await answer.end;
  await session.close();
  return { askedMs, firstMs, lastMs };
}

async function prefillRate(client: NativeClient): Promise<number> {
  const rates: number[] = [];
  const random = new Random(7);
  for (let round = 0; round < 4; round++) {
    const session = client.open();
    const prefilled = session.nextPrefilled();
    const startMs = performance.now();
    await session.append({ tokens: randomTokens(random, prefillTokens) });
    await prefilled;
    rates.push((prefillTokens * 1000) / (performance.now() - startMs));
    await session.close();
  }
  return median(rates.slice(1));
}

async function firstTokens(client: NativeClient) {
  const random = new Random(11);
  const cold: number[] = [];
  const cached: number[] = [];
  let cachedTokens = 0;
  for (let round = 0; round < 5; round++) {
    const shared = randomTokens(random, sharedTokens);
    cold.push((await ask(client, [...shared, ...randomTokens(random, newTokens)])).ttftMs);
    const again = await ask(client, [...shared, ...randomTokens(random, newTokens)]);
    cached.push(again.ttftMs);
    cachedTokens = again.cachedTokens;
  }
  return { coldTtftMs: median(cold), cachedTtftMs: median(cached), cachedTokens };
}

/** Asks at once, without prefill ahead: the append and the question travel together. */
async function ask(client: NativeClient, tokens: number[]) {
  const session = client.open();
  const startMs = performance.now();
  let ttftMs = 0;
  void session.append({ tokens });
  const answer = session.generate({ maxTokens: 2, ignoreStopTokens: true, temperature: 0 }, () => {
    if (ttftMs === 0) ttftMs = performance.now() - startMs;
  });
  const { usage } = await answer.end;
  await session.close();
  return { ttftMs, cachedTokens: usage.cachedTokens };
}

async function deviceTime(served: Served) {
  return {
    seconds: await served.metric('sparklane_step_device_seconds_sum'),
    steps: await served.metric('sparklane_step_device_seconds_count'),
  };
}

export function printServing(costs: ServingCosts): void {
  console.log(
    `\n${costs.device}; ready in ${costs.readyMs.toFixed(0)} ms, ${costs.rssMiB.toFixed(0)} MiB resident`,
  );
  console.table(
    costs.decode.map(({ streams, tokensPerSecond, tpotMs, deviceMs, serverShare }) => ({
      streams,
      'tok/s': Math.round(tokensPerSecond),
      'TPOT ms': tpotMs.toFixed(3),
      'device ms': deviceMs.toFixed(3),
      'server share': `${(serverShare * 100).toFixed(1)} %`,
    })),
  );
  console.log(`prefill of ${prefillTokens} tokens: ${costs.prefillTokensPerSecond.toFixed(0)} tok/s`);
  console.log(
    `TTFT of ${sharedTokens} + ${newTokens} tokens: cold ${costs.coldTtftMs.toFixed(1)} ms, ` +
      `with ${costs.cachedTokens} cached ${costs.cachedTtftMs.toFixed(1)} ms`,
  );
}

if (argv[1] === import.meta.filename) printServing(await servingBench(argv.slice(2)));
