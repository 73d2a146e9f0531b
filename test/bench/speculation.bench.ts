// One stream of spark-nano through the WebSocket, one token at a time and with prompt lookup, in turn: greedy, where a
// small model repeats itself and lookup guesses well, up to a temperature at which nothing repeats, the contrast that
// lookup must not make slower. Guesses are computed as if each came alone (as it is shipped), and together
// (--invariance none), which is faster and moves bits. What lookup brings on real edits is another question.
// Run: npx tsx test/bench/speculation.bench.ts [server flags]
import { argv } from 'node:process';
import type { NativeClient } from '../../server/client/client.ts';
import { median } from './samples.ts';
import { serve } from './served.ts';

const outputTokens = 192;
const roundCount = 15; // of three streams each, forwards and backwards by turns; after one that warms up
const temperatures = [0, 0.8, 1, 1.3];
const ways = ['plain', 'alone', 'together'] as const;
type Way = (typeof ways)[number];

export interface SpeculationGain {
  readonly temperature: number;
  readonly tokensPerSecond: Readonly<Record<Way, number>>; // medians
  readonly ratios: Readonly<Record<Way, number>>; // to plain, medians over rounds
}

export async function speculationBench(flags: readonly string[]): Promise<readonly SpeculationGain[]> {
  const servers = [await serve(flags), await serve([...flags, '--invariance', 'none'])];
  try {
    const [alone, together] = await Promise.all(servers.map((served) => served.connect()));
    const clients = { plain: alone!, alone: alone!, together: together! };
    const gains: SpeculationGain[] = [];
    for (const temperature of temperatures) gains.push(await gainAt(clients, temperature));
    for (const client of [alone!, together!]) client.close();
    return gains;
  } finally {
    for (const served of servers) await served.stop();
  }
}

async function gainAt(
  clients: Readonly<Record<Way, NativeClient>>,
  temperature: number,
): Promise<SpeculationGain> {
  const rounds: Record<Way, number>[] = [];
  for (let seed = -1; seed < roundCount; seed++) {
    const round = { plain: 0, alone: 0, together: 0 };
    for (const way of seed % 2 === 0 ? ways : [...ways].reverse()) {
      const ask = { speculation: way !== 'plain', temperature, seed };
      round[way] = await tokensPerSecond(clients[way], ask);
    }
    if (seed >= 0) rounds.push(round);
  }
  const medians = (of: (round: Record<Way, number>, way: Way) => number) =>
    Object.fromEntries(ways.map((way) => [way, median(rounds.map((round) => of(round, way)))])) as Record<
      Way,
      number
    >;
  return {
    temperature,
    tokensPerSecond: medians((round, way) => round[way]),
    ratios: medians((round, way) => round[way] / round.plain),
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
    gains.map(({ temperature, tokensPerSecond: each, ratios }) => ({
      temperature,
      'plain tok/s': Math.round(each.plain),
      'with lookup': Math.round(each.alone),
      ratio: ratios.alone.toFixed(2),
      'computed together': Math.round(each.together),
      'its ratio': ratios.together.toFixed(2),
    })),
  );
}

if (argv[1] === import.meta.filename) printSpeculation(await speculationBench(argv.slice(2)));
