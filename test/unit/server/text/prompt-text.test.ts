// What is far too long is refused by its beginning: counted in characters that the tokenizer is shown, not in time.
import { expect, test } from 'vitest';
import { encodePrompt, tooManyTokens, tooMuchSaid } from '../../../../server/text/prompt-text.ts';

const contextTokensMax = 100;

/** A token a character, or one for `perToken` of them; counts what it is shown. */
function counting(perToken = 1) {
  const seen = { characters: 0 };
  const encode = (text: string) => {
    seen.characters += text.length;
    return new Int32Array(Math.ceil(text.length / perToken));
  };
  return { seen, tokenizer: { encode } };
}

test('of a text far beyond the context only as much is tokenised as shows it', () => {
  const { seen, tokenizer } = counting();
  const bound = { contextTokensMax, mode: 'raw' as const };
  expect(tooManyTokens('a'.repeat(800), tokenizer, bound)).toBeNull();
  expect(seen.characters).toBe(0); // it may fit
  expect(tooManyTokens('a'.repeat(1e6), tokenizer, bound)).toBe(784);
  expect(seen.characters).toBe(800);
  expect(encodePrompt('a'.repeat(1e6), tokenizer, bound)).toMatchObject({
    ok: false,
    fault: { code: 'context_length_exceeded' },
  });
});

test('a text of few tokens is tokenised whole, however long it is', () => {
  const { tokenizer } = counting(5000);
  expect(tooManyTokens('a'.repeat(1e5), tokenizer, { contextTokensMax, mode: 'raw' })).toBeNull();
});

test('a conversation is judged before it is laid out once it says many times what the context holds', () => {
  const said = (count: number) =>
    Array.from({ length: count }, () => ({ role: 'user', content: 'a'.repeat(50) }));
  const { seen, tokenizer } = counting();
  expect(tooMuchSaid(said(64), tokenizer, contextTokensMax)).toBeNull();
  expect(seen.characters).toBe(0); // a template may leave out a part of it
  expect(tooMuchSaid(said(65), tokenizer, contextTokensMax)).toBe(784);
  expect(seen.characters).toBe(800);
  const parts = [
    { role: 'user', content: [{ type: 'text', text: 'a'.repeat(4000) }, { type: 'image_url' }] },
  ];
  expect(tooMuchSaid(parts, counting().tokenizer, contextTokensMax)).toBe(784);
});
