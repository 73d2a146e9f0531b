import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as PackageTokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadTokenizer } from '../../../models/checkpoint/tokenizer-source.ts';
import { resolveModel } from '../../../models/model.ts';
import { Detokenizer } from '../../../models/tokenizer/detokenizer.ts';

const directory = resolveModel('spark-nano'); // for its thousands of merges, not for what it says
const tokenizer = loadTokenizer(directory);
const json = JSON.parse(readFileSync(join(directory, 'tokenizer.json'), 'utf8')) as {
  added_tokens: { content: string }[];
};
const special = json.added_tokens.map(({ content }) => content);

/** Code, white space, long runs, scripts, emoji, control characters, halves of surrogates, special tokens. */
const anyText = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.string({ unit: 'grapheme' }) },
      { weight: 2, arbitrary: fc.string({ unit: 'binary' }) },
      {
        weight: 2,
        arbitrary: fc.constantFrom('const ', 'function', ' return', '=> {\n', '  ', '\r\n', "it's", '1234'),
      },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom(' ', 'a', '\n', '=', 'é'), fc.nat(300))
          .map(([c, n]) => c.repeat(n)),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '\u0338',
          '\u0085',
          '\ufeff',
          '\u200b',
          'e\u0301',
          '👩‍💻',
          '\u0661',
          '漢字',
        ),
      },
      { weight: 1, arbitrary: fc.constantFrom(...special, '<|im_', '|>') },
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

test('ids are those of the whole package, merges included', () => {
  const whole = new PackageTokenizer(json, {});
  fc.assert(
    fc.property(anyText, (text) => {
      expect([...tokenizer.encode(text)]).toEqual(whole.encode(text, { add_special_tokens: false }).ids);
    }),
    { numRuns: 300 },
  );
});

test('decoding gives the normalised text back', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const decoded = tokenizer.decode(tokenizer.encode(text), { keepSpecial: true });
      expect(decoded).toBe(normalized(text));
    }),
    { numRuns: 300 },
  );
});

test('what is pushed and flushed is what decode gives, for the tokens of any text', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const ids = tokenizer.encode(text);
      const detokenizer = new Detokenizer(tokenizer);
      const streamed = Array.from(ids, (id) => detokenizer.push(id)).join('') + detokenizer.flush();
      expect(streamed).toBe(tokenizer.decode(ids));
    }),
    { numRuns: 300 },
  );
});

test('what is pushed and flushed is what decode gives, for any tokens at all', () => {
  const byteTokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter(
    (id) => tokenizer.tokenBytes(id).length === 1 && tokenizer.tokenBytes(id)[0]! >= 0x80,
  );
  const anyId = fc.oneof(fc.nat(tokenizer.vocabSize - 1), fc.constantFrom(...byteTokens));
  fc.assert(
    fc.property(fc.array(anyId, { maxLength: 40 }), (ids) => {
      const detokenizer = new Detokenizer(tokenizer);
      const pieces = ids.map((id) => detokenizer.push(id));
      for (const piece of pieces) expect(piece).toBe(wellFormed(piece));
      expect(pieces.join('') + detokenizer.flush()).toBe(tokenizer.decode(ids));
    }),
    { numRuns: 500 },
  );
});

test('long runs take no time to speak of: nothing is quadratic', () => {
  for (const unit of [' ', 'a', '{', '1', '\n', ' \n', '漢', '<|']) {
    const text = unit.repeat(50_000); // squared, minutes
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  }
});

/** NFC between special tokens: a combining mark after one does not join its bracket. */
function normalized(text: string): string {
  const borders = new RegExp(`(${special.map((token) => token.replaceAll('|', '\\|')).join('|')})`);
  return wellFormed(text)
    .split(borders)
    .map((part) => (special.includes(part) ? part : part.normalize('NFC')))
    .join('');
}

/** Lone surrogates become U+FFFD, as in UTF-8. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}
