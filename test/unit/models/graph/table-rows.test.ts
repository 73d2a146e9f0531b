import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { blockArithmetic } from '../../../../models/graph/block-arithmetic.ts';
import { GraphWriter } from '../../../../models/graph/graph-writer.ts';
import type { WeightSource } from '../../../../models/weights/weights.ts';

const [vocabSize, hiddenSize] = [65_537, 160]; // 40 MiB in float: more than a part
const random = new Random(3);
const values = Float32Array.from({ length: vocabSize * hiddenSize }, () => random.next() - 0.5);

function bytesOf(source: WeightSource): readonly Uint8Array[] {
  const writer = new GraphWriter();
  blockArithmetic(source, 8, { coarse: false, fineHead: false }).embed(writer, 'ids', {
    weight: 'table',
    vocabSize,
    hiddenSize,
  });
  return writer.recipes.flatMap(({ produce }) => produce());
}

test('a table that is read part by part gives the bytes of the whole', () => {
  let largest = 0;
  const parts: WeightSource = {
    read: () => expect.unreachable('the table is whole in memory'),
    readRows(_, { start, count, of }) {
      expect(of).toBe(vocabSize);
      largest = Math.max(largest, 4 * count * hiddenSize);
      return values.slice(start * hiddenSize, (start + count) * hiddenSize);
    },
  };
  const [found, expected] = [bytesOf(parts), bytesOf({ read: () => values })];
  expect(found.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  for (const [index, bytes] of expected.entries()) expect(Buffer.compare(found[index]!, bytes)).toBe(0);
  expect(largest).toBeLessThanOrEqual(2 ** 25);
});
