// Small tokenizers, one for each kind of step, against what Hugging Face tokenizers made of the same texts
// (test/golden/tokenizers/make.py).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadTokenizer } from '../../models/checkpoint/tokenizer-source.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

interface Case {
  readonly name: string;
  readonly tokenizer: object;
  readonly ids: readonly (readonly number[])[]; // by text
  readonly decoded: readonly string[];
}

const { texts, cases } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'tokenizers/steps.json'), 'utf8'),
) as { texts: readonly string[]; cases: readonly Case[] };
const root = temporaryDirectory();

test.each(cases)('$name', ({ name, tokenizer: json, ids, decoded }) => {
  const directory = join(root, name.replaceAll(/\W/g, '-'));
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'tokenizer.json'), JSON.stringify(json));
  const tokenizer = loadTokenizer(directory);
  const found = texts.map((text) => [...tokenizer.encode(text)]);
  expect(Object.fromEntries(texts.map((text, index) => [text, found[index]]))).toEqual(
    Object.fromEntries(texts.map((text, index) => [text, ids[index]])),
  );
  const shown = ids.map((row) => tokenizer.decode(row, { keepSpecial: true }));
  expect(shown).toEqual(decoded);
});
