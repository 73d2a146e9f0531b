import { env } from 'node:process';
import { expect, test } from 'vitest';
import { Random } from '../../kernels/random.ts';
import { builtGraphs } from '../run-folders.ts';
import { Arena, HANGS_MS, until } from './arena.ts';
import { Background } from './background.ts';
import { MIXED } from './catalog.ts';
import type { Fault } from './fault.ts';
import { held } from './held.ts';

const seed = Number(env['SEED'] || 1);
const minutes = env['FAULTS'] === 'whole' ? Number(env['MINUTES'] || 1) : 0; // 0: ROUNDS_MIN only
const ROUNDS_MIN = 6;

test(`a mix of ${MIXED.length} kinds, seed ${seed}`, { timeout: HANGS_MS + minutes * 60_000 }, async () => {
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
    // What the last round has left behind is closed when the system gets to it.
    await until(async () => {
      const { sockets, sessions, descriptors } = await held(arena);
      const isOpen = descriptors !== null && descriptors >= before.descriptors! + 20;
      return sockets <= before.sockets && sessions === 0 && !isOpen;
    });
    const after = await held(arena);
    expect(after).toMatchObject({ sessions: 0, inUse: 0, waiting: 0 });
    console.log(`mix, seed ${seed}: ${injected} faults, ${JSON.stringify(background.tally)}`);
  } finally {
    await arena.stop();
  }
});

function pick(random: Random): Fault {
  return MIXED[random.integer(0, MIXED.length - 1)]!;
}
