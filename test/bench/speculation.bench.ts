// One stream of spark-nano through the WebSocket, greedy, with and without prompt lookup, in turn. A small model repeats
// itself, so lookup guesses well here; what it brings on real edits is another question.
// Run: npx tsx test/bench/speculation.bench.ts [server flags]
import { argv } from 'node:process';
import type { NativeClient } from '../../server/native/client.ts';
import { serve } from './served.ts';

const outputTokens = 192;
const roundCount = 9; // after two that warm up
const prompt = 'export function fibonacci(n: number): number {\n';

export interface SpeculationGain {
  readonly plainTokensPerSecond: number; // medians
  readonly draftedTokensPerSecond: number;
  readonly ratio: number; // median over rounds
}

export async function speculationBench(flags: readonly string[]): Promise<SpeculationGain> {
  const served = await serve(flags);
  try {
    const client = await served.connect();
    const rounds: { plain: number; drafted: number }[] = [];
    for (let round = -2; round < roundCount; round++) {
      const plain = await tokensPerSecond(client, false);
      const drafted = await tokensPerSecond(client, true);
      if (round >= 0) rounds.push({ plain, drafted });
    }
    client.close();
    return {
      plainTokensPerSecond: median(rounds.map(({ plain }) => plain)),
      draftedTokensPerSecond: median(rounds.map(({ drafted }) => drafted)),
      ratio: median(rounds.map(({ plain, drafted }) => drafted / plain)),
    };
  } finally {
    await served.stop();
  }
}

/** From the first frame to the last; the first one's tokens do not count. */
async function tokensPerSecond(client: NativeClient, speculation: boolean): Promise<number> {
  const session = client.open();
  await session.append({ text: prompt });
  let firstMs = 0;
  let lastMs = 0;
  let tokens = 0;
  const options = { maxTokens: outputTokens, ignoreStopTokens: true, temperature: 0, speculation };
  const answer = session.generate(options, (frame) => {
    lastMs = performance.now();
    if (firstMs === 0) firstMs = lastMs;
    else tokens += frame.tokens.length;
  });
  await answer.end;
  await session.close();
  return (tokens * 1000) / (lastMs - firstMs);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

export function printSpeculation(gain: SpeculationGain): void {
  const { plainTokensPerSecond, draftedTokensPerSecond, ratio } = gain;
  console.log(
    `\none greedy stream: ${plainTokensPerSecond.toFixed(0)} tok/s, with prompt lookup ` +
      `${draftedTokensPerSecond.toFixed(0)} tok/s, ratio ${ratio.toFixed(2)} (median of ${roundCount} rounds)`,
  );
}

if (argv[1] === import.meta.filename) printSpeculation(await speculationBench(argv.slice(2)));
