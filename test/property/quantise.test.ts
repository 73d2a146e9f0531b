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

const blockSize = 32;

/** What 4-bit blocks stand for, padding included: [rows, blocks · 32]. */
function fromNibbles(values: Float32Array, columns: number): Float64Array {
  const { data, scales, zeroPoints } = quantiseBlocks(values, { columns, blockSize, bits: 4 });
  const blocks = Math.ceil(columns / blockSize);
  return Float64Array.from({ length: scales.length * blockSize }, (_, at) => {
    const block = Math.floor(at / blockSize) % blocks;
    const row = Math.floor(at / blockSize / blocks);
    const zero = (zeroPoints![row * Math.ceil(blocks / 2) + (block >> 1)]! >> (4 * (block & 1))) & 15;
    return (((data[at >> 1]! >> (4 * (at & 1))) & 15) - zero) * scales[row * blocks + block]!;
  });
}

test('4-bit blocks err no more than sixteen levels whose lowest is the extreme, and padding is zero', () => {
  fc.assert(
    fc.property(matrix, ({ rows, columns, values }) => {
      const back = fromNibbles(values, columns);
      const width = Math.ceil(columns / blockSize) * blockSize;
      for (let start = 0; start < rows * width; start += blockSize) {
        const row = Math.floor(start / width);
        const source = Array.from({ length: blockSize }, (_, index) => {
          const column = (start % width) + index;
          return column < columns ? values[row * columns + column]! : 0;
        });
        const extreme = source.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
        const scale = extreme / -8;
        const plain = (value: number) => (scale === 0 ? 0 : Math.min(7, Math.round(value / scale)) * scale);
        const square = (of: (value: number, index: number) => number) =>
          source.reduce((sum, value, index) => sum + (value - of(value, index)) ** 2, 0);
        expect(square((_, index) => back[start + index]!)).toBeLessThanOrEqual(
          1.000001 * square(plain) + 1e-10 * scale ** 2 + 1e-80, // float32 has no such scales
        );
        for (const [index, value] of source.entries())
          if ((start % width) + index >= columns) expect(back[start + index]).toBeCloseTo(value, 12);
      }
    }),
  );
});

const level = fc.integer({ min: 0, max: 15 });
const scale = fc.constantFrom(1, -0.5, 0.0123, 3e-4);

test('weights that were once 4 bits about the middle come back as they are', () => {
  fc.assert(
    fc.property(fc.array(level, { minLength: 31, maxLength: 31 }), scale, (levels, step) => {
      const values = Float32Array.from([0, ...levels], (each) => (each - 8) * Math.fround(step));
      const back = fromNibbles(values, blockSize);
      for (const [index, value] of values.entries())
        expect(Math.abs(back[index]! - value)).toBeLessThanOrEqual(1e-6 * Math.abs(value));
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
