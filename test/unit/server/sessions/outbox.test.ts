import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Outbox } from '../../../../server/sessions/outbox.ts';

const delta = (index: number, tokens: number[], text: string) => ({
  choice: 0,
  index,
  tokens,
  text,
  logprobs: null,
});

test('tokens leave in order, once, whatever the sizes of pushes and takes; the text follows them', () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 6 }) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.integer({ min: 0, max: 8 }),
      (steps, replayTokensMax) => {
        const outbox = new Outbox(replayTokensMax);
        const taken: number[] = [];
        let text = '';
        let pushed = 0;
        for (const one of [...steps, { take: 1000 }]) {
          if ('push' in one) {
            const tokens = Array.from({ length: one.push }, (_, i) => pushed + i);
            outbox.push(delta(pushed, tokens, tokens.map((id) => `${id},`).join('')), pushed);
            pushed += one.push;
            continue;
          }
          const batch = outbox.take(one.take);
          if (batch === null) continue;
          expect(batch.index).toBe(taken.length);
          taken.push(...batch.tokens);
          text += batch.text;
        }
        expect(taken).toEqual(Array.from({ length: pushed }, (_, i) => i));
        expect(text).toBe(taken.map((id) => `${id},`).join(''));
        expect(outbox.unsentCount).toBe(0);
      },
    ),
  );
});

test('beyond what is kept, each token still leaves with its time, its reasoning and its log-probability', () => {
  const outbox = new Outbox(8);
  const logprobsOf = (id: number) => ({ logprob: -id, topTokens: [id], topLogprobs: [-id] });
  for (let id = 0; id < 500; id += 2) {
    const logprobs = [logprobsOf(id), logprobsOf(id + 1)];
    outbox.push({ tokens: [id, id + 1], text: `${id} `, logprobs }, 10 * id, `because ${id} `);
    while (outbox.unsentCount > 5) {
      const batch = outbox.take(3)!;
      const last = batch.index + batch.tokens.length - 1;
      const second = batch.tokens.filter((token) => token % 2 === 1).map((token) => token - 1);
      expect(batch).toEqual({
        index: batch.index,
        tokens: Array.from({ length: batch.tokens.length }, (_, i) => batch.index + i),
        text: second.map((first) => `${first} `).join(''),
        reasoning: second.map((first) => `because ${first} `).join(''),
        timeMs: 10 * (last - (last % 2)),
        logprobs: batch.tokens.map(logprobsOf),
      });
    }
  }
  expect(outbox.firstIndex).toBeGreaterThan(400);
});

test('what was sent can be sent again from any kept token on, word for word', () => {
  const outbox = new Outbox(100);
  for (let i = 0; i < 50; i++) outbox.push(delta(i, [i], `<${i}>`), i);
  outbox.take(1000);
  expect(outbox.rewind(30)).toBe(true);
  expect(outbox.take(1000)).toMatchObject({ index: 30, text: '<30><31><32>'.concat(outboxText(33, 50)) });
  expect(outbox.rewind(50)).toBe(true);
  expect(outbox.take(1)).toBeNull();
  expect(outbox.rewind(51)).toBe(false);
});

test('what is kept is bounded; what is not sent is never dropped', () => {
  const outbox = new Outbox(100);
  for (let i = 0; i < 1000; i++) outbox.push(delta(i, [i], ''), i);
  expect(outbox.firstIndex).toBe(0);
  expect(outbox.unsentCount).toBe(1000);
  while (outbox.take(7) !== null);
  expect(outbox.nextIndex).toBe(1000);
  expect(outbox.firstIndex).toBeGreaterThanOrEqual(1000 - 201);
  expect(outbox.firstIndex).toBeLessThanOrEqual(900);
  expect(outbox.rewind(0)).toBe(false);
  expect(outbox.rewind(900)).toBe(true);
});

test('text without a token goes with the next one, or stays as the tail', () => {
  const outbox = new Outbox(10);
  outbox.push(delta(0, [1], 'a'), 0);
  outbox.push(delta(1, [], 'b'), 0);
  outbox.push(delta(1, [2], 'c'), 0);
  outbox.push(delta(2, [], 'd'), 0);
  expect(outbox.take(10)).toMatchObject({ tokens: [1, 2], text: 'abc' });
  expect(outbox.tail).toBe('d');
});

function outboxText(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => `<${from + i}>`).join('');
}
