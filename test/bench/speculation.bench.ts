// One stream of spark-nano through the WebSocket, with and without prompt lookup, in turn: greedy, where a small model
// repeats itself and lookup guesses well, up to a temperature at which nothing repeats, the contrast that lookup must
// not make slower. What it brings on real edits is another question.
// Run: npx tsx test/bench/speculation.bench.ts [server flags]
import { argv } from 'node:process';
import type { NativeClient } from '../../server/client/client.ts';
import { median } from './samples.ts';
import { serve } from './served.ts';

const outputTokens = 192;
const roundCount = 15; // of two streams each, in turn ABBA; after one that warms up
const temperatures = [0, 0.8, 1, 1.3];

export interface SpeculationGain {
  readonly temperature: number;
  readonly plainTokensPerSecond: number; // median
  readonly draftedTokensPerSecond: number; // median
  readonly ratio: number; // median over rounds
}

export async function speculationBench(flags: readonly string[]): Promise<readonly SpeculationGain[]> {
  const served = await serve(flags);
  try {
    const client = await served.connect();
    const gains: SpeculationGain[] = [];
    for (const temperature of temperatures) gains.push(await gainAt(client, temperature));
    client.close();
    return gains;
  } finally {
    await served.stop();
  }
}

async function gainAt(client: NativeClient, temperature: number): Promise<SpeculationGain> {
  const rounds: { plain: number; drafted: number }[] = [];
  for (let round = -1; round < roundCount; round++) {
    const draftedFirst = round % 2 === 0;
    const first = await tokensPerSecond(client, { speculation: draftedFirst, temperature, seed: round });
    const second = await tokensPerSecond(client, { speculation: !draftedFirst, temperature, seed: round });
    if (round < 0) continue;
    rounds.push(draftedFirst ? { plain: second, drafted: first } : { plain: first, drafted: second });
  }
  return {
    temperature,
    plainTokensPerSecond: median(rounds.map(({ plain }) => plain)),
    draftedTokensPerSecond: median(rounds.map(({ drafted }) => drafted)),
    ratio: median(rounds.map(({ plain, drafted }) => drafted / plain)),
  };
}

interface Ask {
  readonly speculation: boolean;
  readonly temperature: number;
  readonly seed: number; // other seeds, other prompts
}

/** From the first frame to the last; the first one's tokens do not count. */
async function tokensPerSecond(client: NativeClient, { seed, ...ask }: Ask): Promise<number> {
  const session = client.open();
  const text = `// file ${seed + 2}\nexport function fibonacci(n: number): number {\n`;
  await session.append({ text });
  let firstMs = 0;
  let lastMs = 0;
  let tokens = 0;
  const options = { ...ask, seed: seed + 2, maxTokens: outputTokens, ignoreStopTokens: true };
  const answer = session.generate(options, (frame) => {
    lastMs = performance.now();
    if (firstMs === 0) firstMs = lastMs;
    else tokens += frame.tokens.length;
  });
  await answer.end;
  await session.close();
  return (tokens * 1000) / (lastMs - firstMs);
}

export function printSpeculation(gains: readonly SpeculationGain[]): void {
  console.log(`\none stream with and without prompt lookup (medians of ${roundCount} rounds)`);
  console.table(
    gains.map(({ temperature, plainTokensPerSecond, draftedTokensPerSecond, ratio }) => ({
      temperature,
      'plain tok/s': Math.round(plainTokensPerSecond),
      'with lookup': Math.round(draftedTokensPerSecond),
      ratio: ratio.toFixed(2),
    })),
  );
}

if (argv[1] === import.meta.filename) printSpeculation(await speculationBench(argv.slice(2)));
