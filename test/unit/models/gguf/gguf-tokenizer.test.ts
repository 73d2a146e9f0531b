import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { GgufValue } from '../../../../models/gguf/gguf-header.ts';
import { ggufTokenizer } from '../../../../models/gguf/gguf-tokenizer.ts';
import { preTokenizers } from '../../../../models/gguf/pre-tokenizers.ts';
import { compileSplitter } from '../../../../models/tokenizer/text-splitter.ts';
import { Tokenizer } from '../../../../models/tokenizer/tokenizer.ts';

const golden = join(import.meta.dirname, '../../../golden/tokenizers');
const published = readJson<{ texts: string[]; pieces: Record<string, string[][]> }>('pre-tokenizers.json');
const steps = readJson<{ texts: string[]; cases: StepsCase[] }>('steps.json');

interface StepsCase {
  readonly name: string;
  readonly ids: number[][];
  readonly tokenizer: {
    readonly added_tokens: { id: number; content: string }[];
    readonly model: { vocab: Record<string, number>; merges: [string, string][] };
  };
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(golden, file), 'utf8')) as T;
}

function metadata(values: Readonly<Record<string, unknown>>): ReadonlyMap<string, GgufValue> {
  return new Map(
    Object.entries(values).map(([name, value]) => [
      `tokenizer.ggml.${name}`,
      Array.isArray(value)
        ? {
            length: value.length,
            strings: () => (typeof value[0] === 'string' ? (value as string[]) : null),
            numbers: () => (typeof value[0] === 'number' ? (value as number[]) : null),
          }
        : (value as string),
    ]),
  );
}

const load = (values: Readonly<Record<string, unknown>>) =>
  new Tokenizer(ggufTokenizer({ path: 'some.gguf', metadata: metadata(values) }));

test.each(Object.keys(published.pieces))('%s cuts as the published tokenizer does', (name) => {
  const { split } = compileSplitter(
    { type: 'Sequence', pretokenizers: preTokenizers.get(name)!.steps },
    { file: name, field: 'pre' },
  );
  expect(published.texts.map((text) => split(text, true))).toEqual(published.pieces[name]);
});

test.each([...preTokenizers.keys()])('%s loses nothing of a text', (name) => {
  const { split, alphabet } = compileSplitter(
    { type: 'Sequence', pretokenizers: preTokenizers.get(name)!.steps },
    { file: name, field: 'pre' },
  );
  expect(alphabet).toBe('bytes');
  for (const text of published.texts) expect(split(text, true).join('')).toBe(text);
});

const bytes = Object.keys(steps.cases.find(({ name }) => name === 'words')!.tokenizer.model.vocab).slice(
  0,
  256,
);

test('a pre-tokenizer that is not known is refused by its name', () => {
  const tokens = { model: 'gpt2', tokens: bytes, merges: ['h e'] };
  expect(() => load({ ...tokens, pre: 'tomorrow' })).toThrow('tokenizer.ggml.pre: tomorrow is not supported');
  expect(() => load({ ...tokens, model: 'bert' })).toThrow('tokenizer.ggml.model: bert is not supported');
});

test('a text begins as the file says, or as its pre-tokenizer is known to', () => {
  const values = { model: 'gpt2', tokens: [...bytes, 'he', '<s>'], merges: ['h e'], bos_token_id: 257 };
  expect(load({ ...values, pre: 'qwen2' }).startIds).toEqual([]);
  expect(load({ ...values, pre: 'llama-bpe' }).startIds).toEqual([257]);
  expect(load({ ...values, pre: 'llama-bpe', add_bos_token: false }).startIds).toEqual([]);
  expect(load({ ...values, pre: 'qwen2', add_bos_token: true }).startIds).toEqual([257]);
});

test('control tokens are found in the text, unused ones are not', () => {
  const tokenizer = load({
    ...{ model: 'gpt2', pre: 'gpt-2', merges: ['h e'] },
    tokens: [...bytes, 'he', '<a>', '<b>', '<c>'],
    token_type: [...bytes.map(() => 1), 1, 3, 4, 5],
  });
  const ids = tokenizer.encode('<a><b>');
  expect([...ids]).toEqual([257, 258]);
  expect([...tokenizer.encode('<c>')]).toHaveLength(3);
  expect(tokenizer.isSpecial(257)).toBe(true);
  expect(tokenizer.isSpecial(258)).toBe(false);
});

/** SentencePiece's file of the same tokenizer: scores for merges, kinds for added tokens. */
function sentencePieceFile({ tokenizer: { model, added_tokens: added } }: StepsCase) {
  const tokens = Object.keys(model.vocab).sort((a, b) => model.vocab[a]! - model.vocab[b]!);
  const rankOf = new Map<string, number>();
  for (const [rank, [left, right]] of model.merges.entries()) {
    if (!rankOf.has(left + right)) rankOf.set(left + right, rank);
  }
  const kindOf = (token: string) => {
    if (token === '<unk>') return 2;
    if (added.some(({ content }) => content === token)) return 3;
    return /^<0x..>$/.test(token) ? 6 : 1;
  };
  return {
    ...{ model: 'llama', tokens, token_type: tokens.map(kindOf), bos_token_id: tokens.indexOf('<s>') },
    scores: tokens.map((token) => -(rankOf.get(token) ?? 1e6)),
  };
}

test('SentencePiece: scores give the tokens that merges give, bytes what has none', () => {
  const spm = steps.cases.find(({ name }) => name === 'SentencePiece')!;
  const file = sentencePieceFile(spm);
  const tokenizer = load(file);
  expect(tokenizer.startIds).toEqual([file.bos_token_id]);
  for (const [index, text] of steps.texts.entries()) {
    expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(spm.ids[index]);
  }
  expect(tokenizer.decode(tokenizer.encode('hello 漢 x'))).toBe('hello 漢 x');
});

test('SentencePiece: no space is put before a text where the file says so', () => {
  const spm = steps.cases.find(({ name }) => name === 'SentencePiece without a space before')!;
  const tokenizer = load({ ...sentencePieceFile(spm), add_space_prefix: false });
  for (const [index, text] of steps.texts.entries()) {
    expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(spm.ids[index]);
  }
});
