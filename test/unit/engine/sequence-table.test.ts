import fc from 'fast-check';
import { expect, test } from 'vitest';
import { greedySampling } from '../../../kernels/backend.ts';
import type { Sequence } from '../../../server/engine/sequence.ts';
import { SequenceTable } from '../../../server/engine/sequence-table.ts';
import { TokenSlab } from '../../../server/engine/token-slab.ts';

const request = {
  tokens: Int32Array.of(1, 2, 3),
  ...{ maxTokens: 4, sampling: greedySampling, constraint: null, speculation: null, ignoreStopTokens: true },
  ...{ priority: 'turn' as const, cacheSalt: '', deadlineMs: null },
};
const sink = { onTokens() {}, onEnd() {} };

test('a table finds exactly those who have come and not left, in the order in which they came', () => {
  const coming = fc.array(fc.option(fc.nat(), { freq: 3, nil: null }), { maxLength: 800 }); // null: one comes; else which one leaves
  fc.assert(
    fc.property(coming, (moves) => {
      const table = new SequenceTable();
      const there: Sequence[] = [];
      const gone: number[] = [];
      for (const move of moves) {
        if (move === null || there.length === 0) there.push(table.open(request, sink, 0));
        else {
          const [leaving] = there.splice(move % there.length, 1);
          table.close(leaving!);
          gone.push(leaving!.id);
        }
      }
      expect(table.all()).toEqual(there);
      expect(table.count).toBe(there.length);
      for (const sequence of there) expect(table.get(sequence.id)).toBe(sequence);
      for (const id of gone) expect(table.get(id)).toBeUndefined();
    }),
    { numRuns: 30 },
  );
});

test('nobody is closed twice', () => {
  const table = new SequenceTable();
  const sequence = table.open(request, sink, 0);
  table.close(sequence);
  expect(() => table.close(sequence)).toThrow('closed once');
});

test('arrays of a slab are zeros of their own, whatever was written to their neighbours', () => {
  const slab = new TokenSlab();
  const arrays = Array.from({ length: 100 }, (_, index) => slab.take(1 + ((index * 37) % 600)));
  for (const [index, array] of arrays.entries()) {
    expect(array.every((token) => token === 0)).toBe(true);
    array.fill(index + 1);
  }
  for (const [index, array] of arrays.entries()) {
    expect(array).toHaveLength(1 + ((index * 37) % 600));
    expect(array.every((token) => token === index + 1)).toBe(true);
  }
});
