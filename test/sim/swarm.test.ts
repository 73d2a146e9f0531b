import { expect, test } from 'vitest';
import { runSwarm } from './swarm.ts';

const given = process.env['SEED'] || undefined;
const seeds =
  given === undefined
    ? Array.from({ length: Number(process.env['SEEDS'] ?? 40) }, (_, index) => index + 1)
    : [Number(given)];

function run(seed: number) {
  try {
    return runSwarm(seed);
  } catch (error) {
    throw new Error(`swarm failed, repeat with: make sim SEED=${seed}`, { cause: error });
  }
}

test('every swarm answers what the oracle says and loses no block', () => {
  const total = {
    completed: 0,
    cancelled: 0,
    failed: 0,
    unsampled: 0,
    masked: 0,
    refused: 0,
    cachedTokens: 0,
    preemptions: 0,
    acceptedDraftTokens: 0,
    rejectedDraftTokens: 0,
    fetchedBlocks: 0,
    skippedBlocks: 0,
    recomputedTokens: 0,
    keptTokens: 0,
    moved: 0,
    shrunk: 0,
  };
  for (const seed of seeds) {
    const result = run(seed);
    if (given !== undefined) console.log(result.transcript, { ...result, transcript: undefined });
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += result[key];
  }
  if (given !== undefined || seeds.length < 100) return;
  // The swarm has seen all it is meant to see.
  for (const [key, count] of Object.entries(total)) expect(count, key).toBeGreaterThan(seeds.length / 4);
});

test('the same seed gives the same bytes', () => {
  for (const seed of seeds.slice(0, 10)) expect(run(seed).transcript).toBe(run(seed).transcript);
});
