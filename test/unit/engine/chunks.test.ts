import { expect, test } from 'vitest';
import { pieceCount, tokensBesideDecodes } from '../../../server/engine/chunks.ts';

const costs = { decodeMs: [1, 1.5, 2.5, 4.5], rowMs: [1, 1.1, 1.2, 1.3, 1.4] }; // 0.1 ms for another token

test('a prompt takes no longer than the decodes beside it, but a block at least', () => {
  const beside = (decodingCount: number, blockSize: number) =>
    tokensBesideDecodes(decodingCount, costs, 128, blockSize);
  expect([1, 2, 3, 4, 9].map((count) => beside(count, 4))).toEqual([8, 12, 24, 44, 44]);
  expect(beside(1, 16)).toBe(16);
  expect(beside(0, 16)).toBe(128); // nobody waits
  expect(tokensBesideDecodes(4, costs, 32, 4)).toBe(32);
  expect(tokensBesideDecodes(1, null, 128, 16)).toBe(128);
  expect(tokensBesideDecodes(1, { decodeMs: [1], rowMs: [1] }, 128, 16)).toBe(128);
});

test('chunks are cut between blocks, never so that a token is computed alone', () => {
  expect(pieceCount(100, 128, 16)).toBe(100);
  expect(pieceCount(100, 40, 16)).toBe(32);
  expect(pieceCount(33, 32, 16)).toBe(31);
  expect(pieceCount(100, 40, 0)).toBe(0); // chunks stay whole where nobody asks for pieces
  expect(pieceCount(100, 8, 16)).toBe(0);
  expect(pieceCount(3, 2, 2)).toBe(3);
  for (const unit of [1, 2, 4, 16]) {
    for (let budget = Math.max(2, unit); budget <= 40; budget++) {
      for (let count = 2; count <= 129; count++) {
        let left = count;
        while (left > 0) {
          const piece = pieceCount(left, budget, unit);
          expect(piece).toBeGreaterThan(1);
          left -= piece;
        }
      }
    }
  }
});
