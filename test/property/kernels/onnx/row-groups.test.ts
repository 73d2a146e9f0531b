// Whatever the seats hold: every row is computed exactly once, and no other split of the decode rows is cheaper.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attendedTokensPerRow, groupRows, RunList, runCost } from '../../../../kernels/onnx/row-groups.ts';

const slotTokensMax = 4096;

const seat = fc.record({
  tokenCount: fc.constantFrom(0, 0, 1, 1, 1, 5), // 0: no row in this step
  held: fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 500, max: slotTokensMax })),
});

test('grouping computes every row once and at the least cost', () => {
  fc.assert(
    fc.property(fc.array(seat, { minLength: 1, maxLength: 9 }), (seats) => {
      const rows = seats.flatMap(({ tokenCount }, slot) =>
        tokenCount === 0 ? [] : [{ slot, tokens: new Int32Array(tokenCount) }],
      );
      const computedCounts = Int32Array.from(seats, ({ held }) => held);
      const list = new RunList(seats.length);
      groupRows(rows, { computedCounts, slotTokensMax }, list);
      const runs = list.runs.slice(0, list.count);

      const decodeSlots = rows.filter(({ tokens }) => tokens.length === 1).map(({ slot }) => slot);
      const covered = runs
        .filter(({ tokenCount }) => tokenCount === 1)
        .flatMap((run) => Array.from({ length: run.slotCount }, (_, i) => run.slotStart + i));
      expect(new Set(covered).size).toBe(covered.length);
      for (const slot of decodeSlots) expect(covered).toContain(slot);
      const gaps = covered.filter((slot) => !decodeSlots.includes(slot));
      for (const slot of gaps) expect(seats[slot]!.held).toBeLessThan(slotTokensMax);
      const chunks = runs.filter(({ tokenCount }) => tokenCount > 1).map(({ slotStart }) => slotStart);
      expect(chunks).toEqual(rows.filter(({ tokens }) => tokens.length > 1).map(({ slot }) => slot));

      const costOf = (slot: number) => {
        const { held } = seats[slot]!;
        return held >= slotTokensMax ? Number.POSITIVE_INFINITY : 1 + held / attendedTokensPerRow;
      };
      const decodeRunCount = runs.length - chunks.length;
      const cost = gaps.reduce((sum, slot) => sum + costOf(slot), 0) + decodeRunCount * runCost;
      expect(cost).toBeCloseTo(leastCost(decodeSlots, costOf), 6);
    }),
  );
});

/** Tries every choice of gaps to fill. */
function leastCost(decodeSlots: readonly number[], costOf: (slot: number) => number): number {
  if (decodeSlots.length === 0) return 0;
  const gapCosts = decodeSlots.slice(1).map((slot, i) => {
    let cost = 0;
    for (let between = decodeSlots[i]! + 1; between < slot; between++) cost += costOf(between);
    return cost;
  });
  let least = Number.POSITIVE_INFINITY;
  for (let choice = 0; choice < 2 ** gapCosts.length; choice++) {
    let cost = runCost;
    for (const [i, gapCost] of gapCosts.entries()) cost += (choice >> i) & 1 ? gapCost : runCost;
    least = Math.min(least, cost);
  }
  return least;
}
