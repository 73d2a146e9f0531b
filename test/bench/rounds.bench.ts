// What several decode rounds per step and telling their tokens together bring: servers side by side that differ in
// --decode-rounds, --stream-interval and --threads, one stream at a time, in turn. Run: npx tsx test/bench/rounds.bench.ts
import { argv } from 'node:process';
import { Random } from '../../kernels/random.ts';
import { median } from './samples.ts';
import { serve } from './served.ts';

const outputTokens = 256;
const repeats = 15; // after one that warms up

const variants = [
  { rounds: 1, intervalMs: 0, threads: 2 },
  { rounds: 16, intervalMs: 0, threads: 2 },
  { rounds: 16, intervalMs: 4, threads: 2 },
  { rounds: 32, intervalMs: 4, threads: 2 },
  { rounds: 32, intervalMs: 4, threads: 1 },
  { rounds: 32, intervalMs: 8, threads: 2 },
  { rounds: 64, intervalMs: 4, threads: 2 },
];

export interface RoundsRate {
  readonly rounds: number;
  readonly intervalMs: number;
  readonly threads: number;
  readonly tokensPerSecond: number; // median, by the client's clock, first to last token
  readonly ratio: number; // of it to the first variant's, median of pairs
}

export async function roundsBench(): Promise<RoundsRate[]> {
  const served = await Promise.all(
    variants.map(({ rounds, intervalMs, threads }) =>
      serve([`--decode-rounds=${rounds}`, `--stream-interval=${intervalMs}`, `--threads=${threads}`]),
    ),
  );
  try {
    const rates: number[][] = variants.map(() => []);
    for (let repeat = -1; repeat < repeats; repeat++) {
      for (const [index, server] of served.entries()) {
        const rate = await oneStream(server, repeat);
        if (repeat >= 0) rates[index]!.push(rate);
      }
    }
    return variants.map((variant, index) => ({
      ...variant,
      tokensPerSecond: median(rates[index]!),
      ratio: median(rates[index]!.map((rate, repeat) => rate / rates[0]![repeat]!)),
    }));
  } finally {
    for (const server of served) await server.stop();
  }
}

async function oneStream(served: Awaited<ReturnType<typeof serve>>, seed: number): Promise<number> {
  const client = await served.connect();
  const session = client.open();
  const random = new Random(seed + 100);
  await session.append({ tokens: Array.from({ length: 64 }, () => random.integer(0, 7999)) });
  let firstMs = 0;
  let lastMs = 0;
  const answer = session.generate(
    { maxTokens: outputTokens, ignoreStopTokens: true, temperature: 0, speculation: false },
    () => {
      lastMs = performance.now();
      if (firstMs === 0) firstMs = lastMs;
    },
  );
  await answer.end;
  await session.close();
  client.close();
  return ((outputTokens - 1) * 1000) / (lastMs - firstMs);
}

export function printRounds(rates: readonly RoundsRate[]): void {
  console.table(
    rates.map(({ rounds, intervalMs, threads, tokensPerSecond, ratio }) => ({
      'decode rounds': rounds,
      'interval ms': intervalMs,
      threads,
      'tok/s': Math.round(tokensPerSecond),
      ratio: ratio.toFixed(2),
    })),
  );
}

if (argv[1] === import.meta.filename) printRounds(await roundsBench());
