import { expect, test } from 'vitest';
import { loadTokenizer } from '../../models/checkpoint/tokenizer-source.ts';
import { sparkNanoGolden } from './golden-models.ts';

const nano = sparkNanoGolden();

test.skipIf(!nano)('texts are encoded as Hugging Face tokenizers encodes them', () => {
  const tokenizer = loadTokenizer(nano!.directory);
  expect(nano!.golden.tokenizer.length).toBeGreaterThan(0);
  for (const { text, ids } of nano!.golden.tokenizer) {
    expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.decode(ids, { keepSpecial: true })).toBe(text.normalize('NFC'));
  }
});

test.skipIf(!nano)('prompts are encoded as Hugging Face tokenizers encodes them', () => {
  const tokenizer = loadTokenizer(nano!.directory);
  for (const { prompt, input_ids: ids } of nano!.golden.cases) {
    expect([...tokenizer.encode(prompt)]).toEqual(ids);
  }
});
