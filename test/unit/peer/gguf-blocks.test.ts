import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodedSize, encodeValues, toHalf } from '../../peer/gguf-blocks.ts';

/** The value of a binary16, by the definition. */
function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const finiteHalves = Array.from({ length: 0x7c00 }, (_, half) => half);

test('every half is its own half', () => {
  for (const half of finiteHalves) {
    expect(toHalf(fromHalf(half))).toBe(half);
    expect(toHalf(-fromHalf(half))).toBe(half | 0x8000);
  }
});

test('a number between two halves becomes the nearer one, the even one of two as near', () => {
  for (const half of finiteHalves.slice(0, -1)) {
    const low = fromHalf(half);
    const high = fromHalf(half + 1);
    expect(toHalf(low + (high - low) * 0.25)).toBe(half);
    expect(toHalf(low + (high - low) * 0.75)).toBe(half + 1);
    expect(toHalf((low + high) / 2)).toBe(half + (half & 1));
  }
});

test('what is too large becomes infinite, what is no number stays none', () => {
  expect(toHalf(65_519)).toBe(0x7bff);
  expect(toHalf(65_520)).toBe(0x7c00);
  expect(toHalf(-1e30)).toBe(0xfc00);
  expect(fromHalf(toHalf(Number.NaN))).toBeNaN();
});

const values = fc
  .array(fc.float({ noNaN: true, min: -8, max: 8 }), { minLength: 64, maxLength: 64 })
  .map((numbers) => Float32Array.from(numbers));

/** One value at a time, with arrays of levels: slow and obvious. */
function slowly(type: 'Q8_0' | 'Q4_0', block: readonly number[]): number[] {
  let extreme = 0;
  for (const value of block) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  const scale = type === 'Q8_0' ? Math.abs(extreme) / 127 : extreme / -8;
  const half = toHalf(scale);
  const shares = block.map((value) => (scale === 0 ? 0 : value * (1 / scale)));
  const head = [half & 255, half >> 8];
  if (type === 'Q8_0') {
    return [...head, ...shares.map((x) => (Math.sign(x) * Math.floor(Math.abs(x) + 0.5)) & 255)];
  }
  const levels = shares.map((x) => Math.min(15, Math.floor(x + 8.5)));
  return [...head, ...levels.slice(0, 16).map((level, at) => level + 16 * levels[at + 16]!)];
}

test.each(['Q8_0', 'Q4_0'] as const)('%s is what a slow reference makes of each block', (type) => {
  fc.assert(
    fc.property(values, (numbers) => {
      const all = [...numbers];
      expect([...encodeValues(type, numbers)]).toEqual([
        ...slowly(type, all.slice(0, 32)),
        ...slowly(type, all.slice(32)),
      ]);
    }),
  );
});

test('8 bits lose at most half a level, 4 bits a whole one at the clipped end', () => {
  fc.assert(
    fc.property(values, (numbers) => {
      const bytes = encodeValues('Q8_0', numbers);
      const nibbles = encodeValues('Q4_0', numbers);
      for (const [at, value] of numbers.entries()) {
        const block = at >> 5;
        const within = at & 31;
        const scale8 = fromHalf(bytes[34 * block]! | (bytes[34 * block + 1]! << 8));
        const level8 = (bytes[34 * block + 2 + within]! << 24) >> 24;
        expect(Math.abs(level8 * scale8 - value)).toBeLessThanOrEqual(0.56 * scale8 + 1e-5);
        const scale4 = fromHalf(nibbles[18 * block]! | (nibbles[18 * block + 1]! << 8));
        const level4 = (nibbles[18 * block + 2 + (within & 15)]! >> (within < 16 ? 0 : 4)) & 15;
        expect(Math.abs((level4 - 8) * scale4 - value)).toBeLessThanOrEqual(1.01 * Math.abs(scale4) + 1e-5);
      }
    }),
  );
});

test('zeros stay zeros and rows that are not whole blocks are refused', () => {
  expect([...encodeValues('Q8_0', new Float32Array(32))]).toEqual(new Array(34).fill(0));
  expect([...encodeValues('Q4_0', new Float32Array(32))]).toEqual([
    ...[0, 0x80], // −0, as ggml has it
    ...new Array(16).fill(0x88),
  ]);
  expect(() => encodeValues('Q4_0', new Float32Array(33))).toThrow('33 values are not whole blocks of 32');
  expect(encodedSize('F16', 5)).toBe(10);
});
