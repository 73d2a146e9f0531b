import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { vocabularyDifference } from '../../../../models/checkpoint/vocabulary-difference.ts';
import { resolveModel } from '../../../../models/model.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
const nano = { path: resolveModel('spark-nano'), spec: { vocabSize: 8192 } as never };

function copyWith(name: string, change: (text: string) => string) {
  const copied = join(directory, name);
  mkdirSync(copied);
  cpSync(join(nano.path, 'tokenizer.json'), join(copied, 'tokenizer.json'));
  const path = join(copied, 'tokenizer.json');
  writeFileSync(path, change(readFileSync(path, 'utf8')));
  return { path: copied, spec: nano.spec };
}

test('a copy of a tokenizer has the same vocabulary', () => {
  expect(
    vocabularyDifference(
      nano,
      copyWith('same', (text) => text),
    ),
  ).toBeNull();
});

test('one added token with another text is found, with its id and both texts', () => {
  const other = copyWith('other', (text) => text.replaceAll('<|fim_middle|>', '<|fim_centre|>'));
  expect(vocabularyDifference(nano, other)).toMatch(
    /^token \d+ is "<\|fim_centre\|>" instead of "<\|fim_middle\|>"$/,
  );
});

test('another number of tokens is a difference, even if only padding differs', () => {
  const padded = { ...nano, spec: { vocabSize: 8320 } as never };
  expect(vocabularyDifference(nano, padded)).toBe('it has 8320 tokens instead of 8192');
});
