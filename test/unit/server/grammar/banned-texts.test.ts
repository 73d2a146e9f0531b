// Texts that an answer may not hold, against a search in the text: whatever a model draws of what is left, it holds none.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maskAllows } from '../../../../kernels/backend.ts';
import { Random } from '../../../../kernels/random.ts';
import { allowedTokens, narrowed } from '../../../../server/grammar/narrowed.ts';
import { allowedIds, openCompiler, stopTokenId, tokenizer, vocabSize } from '../../../grammar-rig.ts';

const compiler = openCompiler();

const ordinary = Array.from({ length: vocabSize }, (_, id) => id).filter((id) => !tokenizer.isSpecial(id));
const likely = ['a', 'b', 'n', ' ', 'é', 'an', 'na', 'ab', 'ba', ' a', ' b'].flatMap((text) => [
  ...tokenizer.encode(text),
]);

function draw(texts: readonly string[], { random, count }: { random: Random; count: number }): string {
  const constraint = compiler.banned(texts).newConstraint();
  const tokens: number[] = [];
  while (tokens.length < count) {
    const mask = constraint.mask()!;
    const ids = ordinary.filter((id) => maskAllows(mask, id));
    // What a banned text begins with is liked best, so that its end is tempting.
    const tempting = likely.filter((id) => maskAllows(mask, id));
    const from = tempting.length > 0 && random.next() < 0.7 ? tempting : ids;
    const id = from[random.integer(0, from.length - 1)]!;
    constraint.accept(id);
    tokens.push(id);
  }
  return tokenizer.decode(tokens);
}

test('no answer holds a banned text, however it is cut into tokens', () => {
  const word = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom('a', 'b', 'n', ' ', 'é') });
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), fc.nat(), (texts, seed) => {
      const text = draw(texts, { random: new Random(seed), count: 25 });
      for (const banned of texts) expect(text.includes(banned)).toBe(false);
    }),
    { numRuns: 40 },
  );
});

test('exactly the tokens that would complete one are masked', () => {
  const constraint = compiler.banned(['tion', 'on ']).newConstraint();
  for (const id of tokenizer.encode('func')) constraint.accept(id);
  const after = (text: string) => {
    const fork = constraint.fork();
    for (const id of tokenizer.encode(text)) fork.accept(id);
    return fork;
  };
  for (const said of ['', 't', 'ti', 'o', 'tio']) {
    const mask = after(said).mask()!;
    for (let id = 0; id < vocabSize; id++) {
      const text = `func${said}${tokenizer.isSpecial(id) ? '' : Buffer.from(tokenizer.tokenBytes(id)).toString('latin1')}`;
      expect([said, id, maskAllows(mask, id)]).toEqual([
        said,
        id,
        !text.includes('tion') && !text.includes('on '),
      ]);
    }
  }
});

test('an answer may always end, and control tokens are free', () => {
  const mask = compiler.banned(['a']).newConstraint().mask()!;
  expect(maskAllows(mask, stopTokenId)).toBe(true);
});

test('several constraints hold together; where they leave nothing the first wins', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((text) => tokenizer.encode(text)[0]!) as [number, number, number];
  const both = narrowed([allowedTokens([a, b], vocabSize), null, compiler.banned(['b']).newConstraint()])!;
  expect(allowedIds(both.mask()!)).toEqual([a]);
  const first = narrowed([allowedTokens([b], vocabSize), allowedTokens([c], vocabSize)])!;
  expect(allowedIds(first.mask()!)).toEqual([b]);
  expect(narrowed([null, null])).toBeNull();
});
