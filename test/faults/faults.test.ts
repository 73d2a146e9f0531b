import { env } from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../kernels/random.ts';
import { builtGraphs } from '../run-folders.ts';
import { Arena, HANGS_MS } from './arena.ts';
import { Background } from './background.ts';
import { FAMILIES } from './catalog.ts';
import type { Family } from './fault.ts';

const whole = env['FAULTS'] === 'whole';
const seed = Number(env['SEED'] || 1);
const cache = builtGraphs();

interface Scene {
  readonly arena: Arena;
  readonly background: Background;
}

async function open(flags: Family['flags'], turns: Family['turns']): Promise<Scene> {
  const arena = await Arena.start(cache, flags);
  return { arena, background: await Background.of(arena, turns) };
}

// One server for all families that bring no options of their own: what one has done to it, the next one meets.
let common: Promise<Scene> | null = null;

afterAll(async () => {
  await (await common)?.arena.stop();
}, HANGS_MS);

describe.each(FAMILIES)('$name', ({ name, flags, turns, faults }) => {
  let scene: Scene;
  let injected = 0;
  let earlier = { compared: 0, cutShort: 0 }; // by the families before

  beforeAll(async () => {
    if (flags === undefined) common ??= open(flags, turns);
    scene = await (flags === undefined ? common! : open(flags, turns));
    earlier = { ...scene.background.tally };
  }, HANGS_MS);

  afterAll(async () => {
    const { compared, cutShort } = scene?.background.tally ?? earlier;
    const tally = `${compared - earlier.compared} streams compared, ${cutShort - earlier.cutShort} cut short`;
    if (whole) console.log(`${name}: ${injected} faults, ${tally}`);
    if (flags !== undefined) await scene?.arena.stop();
  }, HANGS_MS);

  for (const { id, casualties = 'none', pace = 'quick', inject } of faults) {
    test.runIf(whole || pace === 'quick')(id, { timeout: HANGS_MS }, async () => {
      const { arena, background } = scene;
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
