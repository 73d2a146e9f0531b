import { env } from 'node:process';
import { expect, test } from 'vitest';
import { Random } from '../../kernels/random.ts';
import { builtGraphs } from '../run-folders.ts';
import { Arena, HANGS_MS, until } from './arena.ts';
import { Background } from './background.ts';
import { MIXED } from './catalog.ts';
import { held, heldByProcess } from './held.ts';

const seed = Number(env['SEED'] || 1);
const minutes = env['FAULTS'] === 'soak' ? Number(env['MINUTES'] || 2) : 0;
const WARM_ROUNDS = 6; // caches fill, the compiler has seen everything
const ROUNDS_MIN = 18;
const MIB = 2 ** 20;

test.runIf(minutes > 0)(
  `what is held between rounds does not grow, seed ${seed}`,
  { timeout: HANGS_MS + minutes * 60_000 },
  async () => {
    const random = new Random(seed);
    const arena = await Arena.start(builtGraphs(), { sessionIdleTimeoutMs: 10_000 });
    try {
      const background = await Background.of(arena);
      await arena.settled();
      const before = await held(arena);
      const measured: Awaited<ReturnType<typeof heldByProcess>>[] = [];
      const startMs = performance.now();
      let injected = 0;
      for (let round = 0; round < ROUNDS_MIN || performance.now() - startMs < minutes * 60_000; round++) {
        const fault = MIXED[round % MIXED.length]!; // each in its turn: rounds can be compared
        injected += await background.beside('none', () => fault.inject(arena, new Random(random.seed())));
        arena.hangUp();
        await arena.settled();
        // Sessions whose client is gone wait for it, for as long as the option says.
        await until(async () => {
          const { sockets, sessions, descriptors } = await held(arena);
          const isOpen = descriptors !== null && descriptors >= before.descriptors! + 20; // half a head is no socket yet
          return sockets <= before.sockets && sessions === 0 && !isOpen;
        });
        measured.push(await heldByProcess(arena));
      }
      const after = await held(arena);
      const [warm, last] = [measured[WARM_ROUNDS]!, measured.at(-1)!];
      console.log(
        `soak, seed ${seed}: ${measured.length} rounds, ${injected} faults, ${JSON.stringify(background.tally)}\n` +
          [measured[0]!, warm, measured[measured.length >> 1]!, last]
            .map((one) => JSON.stringify(one))
            .join('\n') +
          `\n${JSON.stringify(before)}\n${JSON.stringify(after)}`,
      );
      expect({ ...after, descriptors: 0, sockets: 0 }).toEqual({
        ...{ sessions: 0, inUse: 0, waiting: 0, descriptors: 0, sockets: 0 },
      });
      if (before.descriptors !== null) expect(after.descriptors).toBeLessThan(before.descriptors + 20);
      expect(last.kvSize).toBeLessThanOrEqual(64 * MIB); // --kv-cache-size of the arena: a full cache is no leak
      expect(last.heapSize).toBeLessThan(warm.heapSize * 1.2 + 8 * MIB);
      expect(last.externalSize).toBeLessThan(warm.externalSize * 1.2 + 8 * MIB);
      expect(last.residentSize - last.kvSize).toBeLessThan(
        (warm.residentSize - warm.kvSize) * 1.3 + 64 * MIB,
      );
      expect(last.resources).toBeLessThan(warm.resources + 20);
    } finally {
      await arena.stop();
    }
  },
);
