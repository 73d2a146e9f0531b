import { expect, test } from 'vitest';
import { runSessionSwarm } from './session-swarm.ts';

const given = process.env['SEED'] || undefined;
const seeds =
  given === undefined
    ? Array.from({ length: Number(process.env['SEEDS'] ?? 15) }, (_, index) => index + 1)
    : [Number(given)];

function run(seed: number) {
  try {
    return runSessionSwarm(seed);
  } catch (error) {
    throw new Error(`session swarm failed, repeat with: make sim SEED=${seed}`, { cause: error });
  }
}

test('sessions that are edited, forked, steered, lost and resumed say what the oracle says', () => {
  const total = new Map<string, number>();
  for (const seed of seeds) {
    const { log, counts } = run(seed);
    if (given !== undefined) console.log(log);
    for (const [key, count] of Object.entries(counts)) total.set(key, (total.get(key) ?? 0) + count);
  }
  if (given !== undefined || seeds.length < 25) return;
  // The swarm has seen all it is meant to see.
  for (const key of [
    'steer',
    'reconnect',
    'takeover',
    'replayed',
    'fork used',
    'session.edited',
    'cached',
    'fetched blocks',
    'end stop',
    'end length',
    'end cancelled',
    'end failed',
    'error context_length_exceeded',
    'error queue_full',
  ]) {
    expect(total.get(key) ?? 0, key).toBeGreaterThan(5);
  }
});

test('the same seed gives the same conversation', () => {
  for (const seed of seeds.slice(0, 2)) expect(run(seed).log).toBe(run(seed).log);
});
