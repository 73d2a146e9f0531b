import { expect, test } from 'vitest';
import { borneOut } from '../../../server/engine/borne-out.ts';
import { Drafter } from '../../../server/engine/drafter.ts';
import { chancesOf } from '../../../server/engine/guess-chances.ts';
import { Speculation } from '../../../server/engine/speculation.ts';

const place = (length: number, ...tokens: number[]) => ({ length, tokens: Int32Array.from(tokens) });

test('the longest place is followed, the first of equals, and each guess says how far the others go along', () => {
  expect(borneOut([])).toBeNull();
  const found = borneOut([place(4, 1, 2, 8), place(8, 1, 2, 3, 4), place(8, 1, 2, 3, 9), place(4, 7)]);
  expect(found).toEqual({
    tokens: Int32Array.of(1, 2, 3, 4),
    // 144 of 160 agree on 1 (as squares of what agrees before); all three on 2; two of three on 3, which are 128 of 144; then half.
    accords: ['most', 'three agree', 'most', 'half'],
    lengths: [8, 8, 8, 8],
  });
  expect(borneOut([place(64, 1, 2), place(2, 1, 3)])!.accords).toEqual(['two agree', 'nearly all']);
  expect(borneOut([place(4, 1), place(3, 2), place(3, 2), place(3, 2)])!.accords).toEqual(['fewer']);
  // Who has nothing more to say is not against it.
  expect(borneOut([place(2, 5), place(3, 5, 6)])).toMatchObject({ accords: ['two agree', 'alone'] });
});

test('a guess is the likelier the more agrees before it, the more places go along, and the more were right before', () => {
  const chance = (length: number, accord: 'three agree' | 'alone' | 'half', index = 0) =>
    chancesOf({
      tokens: new Int32Array(index + 1),
      lengths: new Array(index + 1).fill(length),
      accords: new Array(index + 1).fill(accord),
    })[index]!;
  const rising = (values: readonly number[]) =>
    values.every((value, i) => i === 0 || value >= values[i - 1]!);
  expect(rising([2, 4, 8, 16, 32].map((length) => chance(length, 'alone')))).toBe(true);
  expect(rising((['half', 'alone', 'three agree'] as const).map((accord) => chance(4, accord)))).toBe(true);
  expect(rising([0, 3, 9].map((index) => chance(2, 'alone', index)))).toBe(true);
});

test('a draft ends where its places go apart, and goes on where they agree', () => {
  // After 1 2 3 4 came 5 6 7 and then each time something else; after 11 12 13 14 always the same.
  const split = [
    1, 2, 3, 4, 5, 6, 7, 70, 71, 1, 2, 3, 4, 5, 6, 7, 80, 81, 1, 2, 3, 4, 5, 6, 7, 90, 91, 1, 2, 3, 4,
  ];
  const same = [11, 12, 13, 14, 15, 16, 17, 18, 19, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 11, 12, 13, 14];
  const costs = { decodeMs: [1], rowMs: [1, 1.25, 1.5, 1.75, 2, 2.25] };
  const worth = (text: readonly number[]) => {
    const asked = { count: text.length, promptCount: 1 };
    const draft = new Drafter(null).draft(Int32Array.from(text), asked, 5)!;
    expect(draft.tokens).toHaveLength(5);
    return new Speculation().worthwhileCount(draft, costs, { decodingCount: 1, contextTokens: 0 });
  };
  expect([worth(split), worth(same)]).toEqual([3, 5]);
});
