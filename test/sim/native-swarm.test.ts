import { expect, test } from 'vitest';
import { runNativeSwarm } from './native-swarm.ts';

const given = process.env['SEED'] || undefined;
const seeds =
  given === undefined
    ? Array.from({ length: Number(process.env['SEEDS'] ?? 50) }, (_, index) => index + 1)
    : [Number(given)];

function run(seed: number) {
  try {
    return runNativeSwarm(seed);
  } catch (error) {
    throw new Error(`native swarm failed, repeat with: make sim SEED=${seed}`, { cause: error });
  }
}

test('clients that come, ask, cancel, stall and vanish get what the oracle says and leave nothing behind', () => {
  const total = new Map<string, number>();
  for (const seed of seeds) {
    const { log, counts } = run(seed);
    if (given !== undefined) console.log(log);
    for (const [key, count] of Object.entries(counts)) total.set(key, (total.get(key) ?? 0) + count);
  }
  if (given !== undefined || seeds.length < 100) return;
  // The swarm has seen all it is meant to see.
  for (const key of [
    'tokens',
    'session.prefilled',
    'end stop',
    'end length',
    'end cancelled',
    'end failed',
    'end cached',
    'error session_busy',
    'error malformed_frame',
    'error context_length_exceeded',
    'error queue_full',
    'error session_limit',
    'session.closed',
    'pong',
  ]) {
    expect(total.get(key) ?? 0, key).toBeGreaterThan(5);
  }
});

test('the same seed gives the same conversation', () => {
  for (const seed of seeds.slice(0, 5)) expect(run(seed).log).toBe(run(seed).log);
});
