// When blocks are asked for elsewhere, and when they are computed at once.
import { expect, test } from 'vitest';
import { TierRates } from '../../../server/engine/tier-rates.ts';

const all = (tokenCount: number) => ({ tokenCount, foundCount: tokenCount });
const nothing = (tokenCount: number) => ({ tokenCount, foundCount: 0 });

function rates(msPerToken: number): TierRates {
  const made = new TierRates();
  made.learnCompute(1000, 1000 * msPerToken);
  return made;
}

test('whoever has never asked asks; then where computing takes four times as long', () => {
  const some = rates(0.1);
  expect(some.askPays(16)).toBe(true);
  some.learnAsk(20, nothing(1000));
  expect(some.askPays(700)).toBe(false);
  expect(some.askPays(900)).toBe(true);
});

test('where questions are answered with yes, a slow one pays as well: a node that has just started is slow itself', () => {
  const some = rates(0.17);
  some.learnAsk(116, all(1808));
  some.learnAsk(140, all(2400));
  expect(some.askPays(2272)).toBe(true);
  expect(some.askPays(600)).toBe(false); // computed sooner than asked for
});

test('ends of turns that nobody can have do not speak for long prompts, and no number of noes ends all questions', () => {
  const some = rates(0.1);
  some.learnAsk(40, all(2000));
  some.learnAsk(40, nothing(200));
  expect(some.askPays(600)).toBe(true);
  for (let count = 0; count < 50; count++) some.learnAsk(40, nothing(200));
  expect(some.askPays(600)).toBe(false);
  expect(some.askPays(1700)).toBe(true);
});

test('a question that was not asked makes the next one cheaper', () => {
  const some = rates(0.1);
  some.learnAsk(40, nothing(1000));
  let skipped = 0;
  while (!some.askPays(800)) skipped++;
  expect(skipped).toBeGreaterThan(5);
  expect(skipped).toBeLessThan(15);
});
