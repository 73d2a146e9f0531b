import { env } from 'node:process';
import { expect, test } from 'vitest';
import { Random } from '../../kernels/random.ts';
import { builtGraphs } from '../run-folders.ts';
import { Arena, until } from './arena.ts';
import { Background } from './background.ts';
import { MIXED } from './catalog.ts';
import type { Fault } from './fault.ts';
import { held } from './held.ts';

const seed = Number(env['SEED'] || 1);
const minutes = env['FAULTS'] === 'whole' ? Number(env['MINUTES'] || 1) : 0; // 0: ROUNDS_MIN only
const ROUNDS_MIN = 6;
const TIMEOUT_MS = 300_000 + minutes * 60_000;

test(`a mix of ${MIXED.length} kinds, seed ${seed}`, { timeout: TIMEOUT_MS }, async () => {
  const random = new Random(seed);
  // A session outlives its socket: those of callers that were cut off end by themselves.
  const arena = await Arena.start(builtGraphs(), {
    sessionIdleTimeoutMs: 10_000,
    kvCacheSizeMax: '1GiB', // an own answer that was given up is computed again with other roundings: exhausted.ts
  });
  try {
    const background = await Background.of(arena);
    await arena.settled();
    const before = await held(arena);
    let injected = 0;
    const startMs = performance.now();
    for (let round = 0; round < ROUNDS_MIN || performance.now() - startMs < minutes * 60_000; round++) {
      const pair = [pick(random), pick(random)];
      const seeds = pair.map(() => random.seed());
      const counts = await background.beside('none', () =>
        Promise.all(pair.map(({ inject }, index) => inject(arena, new Random(seeds[index]!)))),
      );
      injected += counts.reduce((sum, count) => sum + count, 0);
      arena.hangUp();
      await arena.settled();
    }
    await until(async () => {
      const { sockets, sessions } = await held(arena);
      return sockets <= before.sockets && sessions === 0;
    });
    const after = await held(arena);
    expect({ ...after, descriptors: 0 }).toMatchObject({ sessions: 0, inUse: 0, waiting: 0 });
    if (before.descriptors !== null) expect(after.descriptors).toBeLessThan(before.descriptors + 20);
    console.log(`mix, seed ${seed}: ${injected} faults, ${JSON.stringify(background.tally)}`);
  } finally {
    await arena.stop();
  }
});

function pick(random: Random): Fault {
  return MIXED[random.integer(0, MIXED.length - 1)]!;
}
