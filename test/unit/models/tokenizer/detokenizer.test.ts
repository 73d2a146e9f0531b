import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadTokenizer } from '../../../../models/checkpoint/tokenizer-source.ts';
import { Detokenizer } from '../../../../models/tokenizer/detokenizer.ts';
import { tinyTokenIds, writeTinyModel } from '../../../golden/tiny-model.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const tokenizer = loadTokenizer(writeTinyModel(join(temporaryDirectory(), 'tiny')));

function pushes(ids: ArrayLike<number>): string[] {
  const detokenizer = new Detokenizer(tokenizer);
  return [...Array.from(ids, (id) => detokenizer.push(id)), detokenizer.flush()];
}

test('a character appears with its last byte', () => {
  expect(pushes(tokenizer.encode('a漢b'))).toEqual(['a', '', '', '漢', 'b', '']);
  expect(pushes(tokenizer.encode('👩'))).toEqual(['', '', '👩', '']); // its first two bytes are one token
});

test('a character that never ends is U+FFFD at the end', () => {
  const ids = tokenizer.encode('x漢').slice(0, 2);
  expect(pushes(ids)).toEqual(['x', '', '\ufffd']);
});

test('a broken character is U+FFFD as soon as the next byte shows it', () => {
  const [first] = tokenizer.encode('漢');
  expect(pushes([first!, ...tokenizer.encode('ab')])).toEqual(['', '\ufffda', 'b', '']);
});

test('special tokens give nothing and do not break a character', () => {
  const [first, ...rest] = tokenizer.encode('漢');
  expect(pushes([first!, tinyTokenIds.imEnd, ...rest])).toEqual(['', '', '', '漢', '']);
});

test('unknown ids give nothing', () => {
  expect(pushes([9999, -1])).toEqual(['', '', '']);
});

test('a byte order mark is text like any other', () => {
  expect(pushes(tokenizer.encode('\ufeffa\ufeff')).join('')).toBe('\ufeffa\ufeff');
});

test('after a flush a detokenizer starts anew', () => {
  const detokenizer = new Detokenizer(tokenizer);
  const ids = tokenizer.encode('漢');
  detokenizer.push(ids[0]!);
  expect(detokenizer.flush()).toBe('\ufffd');
  expect(Array.from(ids, (id) => detokenizer.push(id)).join('')).toBe('漢');
});
