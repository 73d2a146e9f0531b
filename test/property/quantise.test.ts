// Both quantisers: every weight comes back within half a step, and no pair of levels can make x86 saturate.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { quantiseBlocks } from '../../models/graph/block-quantise.ts';
import { quantiseChannels } from '../../models/graph/channel-quantise.ts';

const weight = fc.oneof(
  { weight: 8, arbitrary: fc.double({ min: -1, max: 1, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, -1, 1e-8, 100, -100) },
);
const matrix = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 70 }))
  .chain(([rows, columns]) =>
    fc
      .array(weight, { minLength: rows * columns, maxLength: rows * columns })
      .map((values) => ({ rows, columns, values: Float32Array.from(values) })),
  );

test('8-bit blocks bring every weight back within half a step', () => {
  fc.assert(
    fc.property(matrix, fc.constantFrom(16, 32, 64), ({ rows, columns, values }, blockSize) => {
      const { data, scales } = quantiseBlocks(values, { columns, blockSize, bits: 8 });
      const blocks = Math.ceil(columns / blockSize);
      expect(data.length).toBe(rows * blocks * blockSize);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < blocks * blockSize; column++) {
          const scale = scales[row * blocks + Math.floor(column / blockSize)]!;
          const value = column < columns ? values[row * columns + column]! : 0;
          const back = (data[row * blocks * blockSize + column]! - 128) * scale;
          expect(Math.abs(back - value)).toBeLessThanOrEqual(scale * 0.501 + 1e-40);
        }
      }
    }),
  );
});

test('4-bit blocks keep sixteen levels, padding is zero, and the error is below that of a plain scale', () => {
  fc.assert(
    fc.property(matrix, ({ rows, columns, values }) => {
      const blockSize = 32;
      const { data, scales } = quantiseBlocks(values, { columns, blockSize, bits: 4 });
      const blocks = Math.ceil(columns / blockSize);
      const width = blocks * blockSize;
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < width; column++) {
          const at = row * width + column;
          const level = ((data[at >> 1]! >> ((at & 1) * 4)) & 15) - 8;
          const scale = scales[row * blocks + Math.floor(column / blockSize)]!;
          if (column >= columns) expect(level).toBe(0);
          else
            expect(Math.abs(level * scale - values[row * columns + column]!)).toBeLessThanOrEqual(
              3 * Math.abs(scale) + 1e-12,
            );
        }
      }
    }),
  );
});

test('channel levels never add up beyond 128 within a pair of one sign', () => {
  fc.assert(
    fc.property(matrix, ({ rows, columns, values }) => {
      const { data } = quantiseChannels(values, columns);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column + 1 < columns; column += 2) {
          const left = data[column * rows + row]!;
          const right = data[(column + 1) * rows + row]!;
          if (left * right > 0) expect(Math.abs(left + right)).toBeLessThanOrEqual(128);
        }
      }
    }),
  );
});

test('a row without large neighbours keeps its weights within a step', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 2, maxLength: 64 }),
      (row) => {
        // Every second weight is zero: no pair can break the limit.
        const values = Float32Array.from(row.flatMap((value) => [value, 0]));
        const { data, scales } = quantiseChannels(values, values.length);
        const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
        for (const [index, value] of values.entries()) {
          expect(Math.abs(data[index]! * scales[0]! - value)).toBeLessThanOrEqual(largest * 0.11 + 1e-12);
        }
      },
    ),
  );
});
