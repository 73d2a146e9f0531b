// Several decode rounds in one step of the cpu backend: the same tokens as one step each, told as they are drawn.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RoundOutcome, StepOutcome, StepPlan } from '../../kernels/backend.ts';
import { buildTinyGraph, CpuRig, greedy, promptOf, rowOf, type TinyGraph } from '../cpu-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
let tiny: TinyGraph;

beforeAll(async () => {
  tiny = await buildTinyGraph(directory);
});

describe.each(['c-api', 'binding'] as const)('through %s,', (runtime) => {
  let rig: CpuRig;

  beforeAll(async () => {
    rig = await CpuRig.open(tiny.graph, { runtime, sizes: { roundsMax: 6 } });
  });
  afterAll(() => rig?.backend.close());

  /** Every round's tokens by row. */
  function rounds(plan: StepPlan): Promise<number[][]> {
    return new Promise((resolve, reject) => {
      const drawn: number[][] = [];
      const note = ({ rows }: RoundOutcome) => drawn.push(rows.map(({ tokens }) => tokens[0]!));
      const done = (outcome: StepOutcome) => {
        if (!outcome.ok) return reject(new Error(outcome.failure.message));
        note(outcome);
        resolve(drawn);
      };
      rig.backend.step(plan, done, (outcomes) => outcomes.forEach(note));
    });
  }

  async function seated(slots: readonly number[], sampling = greedy) {
    const rows = [];
    for (const slot of slots) {
      const prompt = promptOf(slot + 3, 5 + 3 * slot);
      const token = await rig.prefill({ slot }, prompt);
      const history = Int32Array.from([...prompt, token]);
      const row = rowOf({ slot, position: prompt.length, tokens: [token], sampling });
      rows.push({ ...row, promptCount: prompt.length, history });
    }
    return rows;
  }

  function release(slots: readonly number[]): void {
    for (const slot of slots) rig.backend.releaseSlot(0, slot);
  }

  test('rows draw what they would draw in one step each, with gaps between their seats', async () => {
    const slots = [0, 2, 3, 6];
    const rows = await seated(slots);
    const drawn = await rounds({ replica: 0, restores: [], rows, saves: [], rounds: 6 });
    expect(drawn.length).toBe(6);
    for (const [index, slot] of slots.entries()) {
      const expected = tiny.reference.greedy(promptOf(slot + 3, 5 + 3 * slot), 7).slice(1);
      expect(drawn.map((round) => round[index])).toEqual(expected);
    }
    release(slots);
  });

  test('a seat goes on where its rounds have ended, and those beside it that step meanwhile write over nothing of it', async () => {
    const slots = [0, 1, 2];
    const [first, middle, last] = await seated(slots);
    const next = (row: typeof first, drawn: readonly number[]) => {
      const tokens = Int32Array.of(drawn.at(-1)!);
      return { ...row!, position: row!.position + drawn.length, tokens, history: null };
    };
    const said = (await rounds({ replica: 0, restores: [], rows: [middle!], saves: [], rounds: 3 })).flat();
    const beside: [number[], number[]] = [[], []];
    for (let i = 0; i < 3; i++) {
      const rows = [first, last].map((row, index) => (i === 0 ? row! : next(row, beside[index as 0 | 1])));
      const [drawn] = await rounds({ replica: 0, restores: [], rows, saves: [] });
      for (const index of [0, 1] as const) beside[index].push(drawn![index]!);
    }
    const rows = [next(middle, said)];
    said.push(...(await rounds({ replica: 0, restores: [], rows, saves: [], rounds: 3 })).flat());
    const expected = (slot: number, count: number) =>
      tiny.reference.greedy(promptOf(slot + 3, 5 + 3 * slot), count + 1).slice(1);
    expect([beside[0], said, beside[1]]).toEqual([expected(0, 3), expected(1, 6), expected(2, 3)]);
    release(slots);
  });

  test('penalties see what the rounds before have drawn, and draws belong to their positions', async () => {
    const sampling = { ...greedy, temperature: 0.9, seed: 7, repetitionPenalty: 1.3, presencePenalty: 0.4 };
    const [row] = await seated([1], sampling);
    const together = await rounds({ replica: 0, restores: [], rows: [row!], saves: [], rounds: 5 });
    const tokens = [...row!.history];
    for (let i = 0; i < 5; i++) {
      const last = { ...row!, position: tokens.length - 1, tokens: Int32Array.of(tokens.at(-1)!) };
      const rows = [{ ...last, history: Int32Array.from(tokens) }];
      const [drawn] = await rounds({ replica: 0, restores: [], rows, saves: [] });
      tokens.push(drawn![0]!);
    }
    expect(together.map(([token]) => token)).toEqual(tokens.slice(row!.history.length));
    release([1]);
  });

  test('an interrupted step ends when it likes, and what is drawn after it is one text with what was drawn before', async () => {
    const [row] = await seated([1]);
    const plan = { replica: 0, restores: [], rows: [row!], saves: [], rounds: 6 };
    const stepping = rounds(plan);
    rig.backend.interrupt(0); // the worker may be through already
    const drawn = await stepping;
    const tokens = [...row!.history, ...drawn.map(([token]) => token!)];
    const at = tokens.length - 1;
    const rows = [rowOf({ slot: 1, position: at, tokens: [tokens[at]!] })];
    const [next] = await rounds({ replica: 0, restores: [], rows, saves: [] });
    expect([...tokens, next![0]!].slice(8)).toEqual(
      tiny.reference.greedy(promptOf(4, 8), tokens.length - 8 + 1),
    );
    release([1]);
  });

  test('a block filled on the way comes back as if each token had been a step', async () => {
    const [row] = await seated([1]);
    const saves = [0, 1, 2].map((index) => ({ slot: 1, position: 4 * index, block: 20 + index }));
    const drawn = await rounds({ replica: 0, restores: [], rows: [row!], saves, rounds: 6 });
    release([1]);
    const tokens = [...row!.history, ...drawn.map(([token]) => token!)];
    const rows = [rowOf({ slot: 4, position: 12, tokens: tokens.slice(12) })];
    const restores = [{ slot: 4, position: 0, blocks: [20, 21, 22] }];
    const [next] = await rounds({ replica: 0, restores, rows, saves: [] });
    expect(next![0]).toBe(tiny.reference.greedy(tokens, 1)[0]);
    release([4]);
  });

  test('masks of an older step are gone in every round', async () => {
    const slots = [0, 1, 2, 3];
    const all = await seated([...slots, 4, 5, 6, 7]);
    const free = all.slice(0, slots.length);
    const mask = new Uint32Array(10).fill(1 << 7); // few tokens, none of them what the model would say
    const masked = all.map((row) => ({ ...row, masks: [mask] })); // more than a round of the others has
    const [drawn] = await rounds({ replica: 0, restores: [], rows: masked, saves: [] });
    for (const token of drawn!) expect(token % 32).toBe(7);
    const unmasked = await rounds({ replica: 0, restores: [], rows: free, saves: [], rounds: 6 });
    for (const [index, slot] of slots.entries()) {
      const expected = tiny.reference.greedy(promptOf(slot + 3, 5 + 3 * slot), 7).slice(1);
      expect(unmasked.map((round) => round[index])).toEqual(expected);
    }
    release(all.map(({ slot }) => slot));
  });
});
