import { env } from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../kernels/random.ts';
import { builtGraphs } from '../run-folders.ts';
import { Arena, HANGS_MS } from './arena.ts';
import { Background } from './background.ts';
import { FAMILIES } from './catalog.ts';

const whole = env['FAULTS'] === 'whole';
const seed = Number(env['SEED'] || 1);
const cache = builtGraphs();

describe.each(FAMILIES)('$name', ({ name, flags, turns, faults }) => {
  let arena: Arena;
  let background: Background;
  let injected = 0;

  beforeAll(async () => {
    arena = await Arena.start(cache, flags);
    background = await Background.of(arena, turns);
  }, HANGS_MS);

  afterAll(async () => {
    if (whole) console.log(`${name}: ${injected} faults, ${JSON.stringify(background?.tally)}`);
    await arena?.stop();
  }, HANGS_MS);

  for (const { id, casualties = 'none', pace = 'quick', inject } of faults) {
    test.runIf(whole || pace === 'quick')(id, { timeout: HANGS_MS }, async () => {
      const before = background.tally.compared;
      const count = await background.beside(casualties, () => inject(arena, new Random(seed)));
      arena.hangUp();
      await arena.settled();
      expect(background.tally.compared).toBeGreaterThan(before + 4);
      expect(count).toBeGreaterThan(0);
      injected += count;
    });
  }
});
