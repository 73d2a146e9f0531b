import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadTokenizer } from '../../../../models/checkpoint/tokenizer-source.ts';
import { CheckpointError } from '../../../../models/files/model-file.ts';
import { byteCharacters } from '../../../../models/tokenizer/byte-level.ts';
import type { Tokenizer } from '../../../../models/tokenizer/tokenizer.ts';
import { tinyTokenIds, tinyTokenizerJson } from '../../../golden/tiny-model.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
type Json = Record<string, unknown>;

function load(changes: Json = {}, modelChanges: Json = {}): Tokenizer {
  const json = tinyTokenizerJson();
  const model = { ...(json['model'] as Json), ...modelChanges };
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'tokenizer.json'), JSON.stringify({ ...json, model, ...changes }));
  return loadTokenizer(root);
}

/** The text of each token: shows how a text is cut. */
function cut(tokenizer: Tokenizer, text: string): string[] {
  return Array.from(tokenizer.encode(text), (id) => tokenizer.decode([id], { keepSpecial: true }));
}

/** Merges digits, letters and punctuation only within what the pre-tokeniser leaves together. */
const joinAll = (pairs: string[]) => {
  const json = tinyTokenizerJson()['model'] as { vocab: Record<string, number>; merges: string[] };
  const vocab = { ...json.vocab };
  let id = 400;
  for (const pair of pairs) vocab[pair.replace(' ', '')] = id++;
  return { vocab, merges: [...pairs, ...json.merges] };
};

const isolate = (pattern: string) => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});
const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
const sequence = (...pretokenizers: unknown[]) => ({ type: 'Sequence', pretokenizers });

const llama3Pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
  '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

test('text comes back as it went in', () => {
  const tokenizer = load();
  const text = 'const x = 1;\n\n\tif (x) {\r\n  return `naïve 漢字 👩‍💻`;\n}\0\u0085\ufeff';
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  expect([...tokenizer.encode('')]).toEqual([]);
  expect(tokenizer.decode([])).toBe('');
});

test('merges apply by priority, leftmost first', () => {
  expect(cut(load(), '        return')).toEqual(['    ', '  ', ' ', ' ', 'return']);
  expect(cut(load({}, joinAll(['a a'])), 'aaaaa')).toEqual(['aa', 'aa', 'a']);
});

test('a byte without a token is dropped, as Hugging Face tokenizers does without an unknown token', () => {
  const { vocab } = tinyTokenizerJson()['model'] as { vocab: Record<string, number> };
  const { [byteCharacters()[4]!]: _, ...rest } = vocab;
  expect([...load({}, { vocab: rest }).encode('a\u0004b')]).toEqual([97, 98]);
  expect([...load().encode('a\u0004b')]).toHaveLength(3);
});

test('text is normalised to NFC where the model was trained so', () => {
  const composed = load().encode('é');
  expect(load().encode('e\u0301')).toEqual(composed);
  expect(load({ normalizer: null }).encode('e\u0301')).not.toEqual(composed);
  expect(
    load({ normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }] } }).encode('e\u0301'),
  ).toEqual(composed);
});

test('special tokens in the text are recognised and nothing is added', () => {
  const tokenizer = load();
  const ids = tokenizer.encode('<|im_start|>a<|im_end|>');
  expect([...ids]).toEqual([tinyTokenIds.imStart, 97, tinyTokenIds.imEnd]);
  expect(tokenizer.specialTokenId('<|im_end|>')).toBe(tinyTokenIds.imEnd);
  expect(tokenizer.specialTokenId('<|nope|>')).toBeNull();
  expect(tokenizer.isSpecial(tinyTokenIds.imEnd)).toBe(true);
  expect(tokenizer.isSpecial(5)).toBe(false);
});

test('special tokens decode to nothing unless they are asked for', () => {
  const tokenizer = load();
  const ids = tokenizer.encode('<|im_start|>hi<|im_end|>');
  expect(tokenizer.decode(ids)).toBe('hi');
  expect(tokenizer.decode(ids, { keepSpecial: true })).toBe('<|im_start|>hi<|im_end|>');
});

test('the longest of the added tokens that begin at a place is taken', () => {
  const added = (id: number, content: string, special = true) => ({
    id,
    content,
    special,
    normalized: false,
  });
  const tokenizer = load({ added_tokens: [added(500, '<|a|>'), added(501, '<|a|><|b|>'), added(502, '.*')] });
  expect([...tokenizer.encode('<|a|><|a|><|b|>.*')]).toEqual([500, 501, 502]);
});

test('added tokens that are text show as text, and are found after normalising if they ask for it', () => {
  const tokenizer = load({
    added_tokens: [
      { id: 500, content: '<think>', special: false, normalized: false },
      { id: 501, content: 'cafe\u0301', special: false, normalized: true },
    ],
  });
  expect([...tokenizer.encode('<think>caf\u00e9')]).toEqual([500, 501]);
  expect([...tokenizer.encode('cafe\u0301')]).toEqual([501]);
  expect(tokenizer.decode([500])).toBe('<think>');
  expect(tokenizer.specialTokenId('<think>')).toBe(500);
  expect(tokenizer.isSpecial(500)).toBe(false);
});

test('an id that stands for nothing has no bytes and no text', () => {
  const tokenizer = load({ added_tokens: [{ id: 600, content: '<x>', special: true }] });
  expect(tokenizer.vocabSize).toBe(601);
  for (const id of [550, 601, -1, 2 ** 31, 0.5]) {
    expect(tokenizer.tokenBytes(id)).toHaveLength(0);
    expect(tokenizer.decode([id])).toBe('');
  }
});

test('half a character decodes to U+FFFD', () => {
  const tokenizer = load();
  const [first, ...rest] = tokenizer.encode('漢');
  expect(tokenizer.decode([first!])).toBe('\ufffd');
  expect(tokenizer.decode([first!, ...rest])).toBe('漢');
  expect(tokenizer.decode(rest)).toBe('\ufffd\ufffd');
});

test('a lone surrogate becomes U+FFFD', () => {
  const tokenizer = load();
  expect(tokenizer.decode(tokenizer.encode('a\ud800b'))).toBe('a\ufffdb');
});

test('Llama 3: numbers are cut in threes, and a piece that is a token is not merged up', () => {
  const numbers = joinAll(['1 2', '12 3', '3 4', '4 5', '45 6', '7 8']);
  const vocab = { ...numbers.vocab, Ġwhole: 450 };
  const changes = { pre_tokenizer: sequence(isolate(llama3Pattern), bytes), normalizer: null };
  const tokenizer = load(changes, { ...numbers, vocab, ignore_merges: true });
  expect(cut(tokenizer, '12345678 whole')).toEqual(['123', '456', '78', ' whole']);
  expect(cut(load(changes, { ...numbers, vocab }), ' whole')).not.toEqual([' whole']);
});

test('Llama 3: what the post-processor would put first is known, not added', () => {
  const tokenizer = load({
    added_tokens: [{ id: 500, content: '<|begin_of_text|>', special: true, normalized: false }],
    post_processor: {
      type: 'Sequence',
      processors: [
        { ...bytes, use_regex: true },
        {
          type: 'TemplateProcessing',
          single: [
            { SpecialToken: { id: '<|begin_of_text|>', type_id: 0 } },
            { Sequence: { id: 'A', type_id: 0 } },
          ],
          pair: [],
          special_tokens: {
            '<|begin_of_text|>': { id: '<|begin_of_text|>', ids: [500], tokens: ['<|begin_of_text|>'] },
          },
        },
      ],
    },
  });
  expect(tokenizer.startIds).toEqual([500]);
  expect(tokenizer.encode('a')).toHaveLength(1);
  expect(load().startIds).toEqual([]);
});

test('GPT-2: ByteLevel cuts by its own expression, with the white space of Unicode', () => {
  const tokenizer = load(
    { pre_tokenizer: { ...bytes, use_regex: true } },
    joinAll(['1 2', '12 3', '123 4', "' s"]),
  );
  expect(cut(tokenizer, "it's 1234")).toEqual(['i', 't', "'s", ' ', '1234']);
  // U+0085 is white space to tokenizers, not to JavaScript's \s: it is cut from what follows.
  const stem = `Â ${byteCharacters()[0x85]}`;
  const nextLine = joinAll([stem, `${stem.replace(' ', '')} !`]);
  expect(cut(load({ pre_tokenizer: { ...bytes, use_regex: true } }, nextLine), '\u0085!')).toEqual([
    '\u0085',
    '!',
  ]);
  expect(cut(load({ pre_tokenizer: bytes }, nextLine), '\u0085!')).toEqual(['\u0085!']);
  const byLetters = load({ pre_tokenizer: bytes }, joinAll(['Ġ 1']));
  expect(cut(byLetters, ' 1')).toEqual([' 1']);
});

test('DeepSeek: several splits in a row, digits one by one whatever their script', () => {
  const numbers = joinAll(['1 2', 'Ù ¡', 'Ù¡ Ù¡', 'a b']);
  const tokenizer = load(
    {
      normalizer: null,
      pre_tokenizer: sequence(
        isolate('[\\r\\n]'),
        isolate('\\s?\\p{L}+'),
        { type: 'Digits', individual_digits: true },
        bytes,
      ),
    },
    numbers,
  );
  expect(cut(tokenizer, 'ab12\u0661\u0661')).toEqual(['ab', '1', '2', '\u0661', '\u0661']);
});

test('tokens that a splitter of an inverted, removing kind leaves out are left out', () => {
  const words = { type: 'Split', pattern: { Regex: '\\w+|[^\\w\\s]+' }, behavior: 'Removed', invert: true };
  expect(
    load({ pre_tokenizer: sequence(words, bytes) }).decode(
      load({ pre_tokenizer: sequence(words, bytes) }).encode('a  b;'),
    ),
  ).toBe('ab;');
});

test('merges in the newer form of pairs are the same merges', () => {
  const merges = (tinyTokenizerJson()['model'] as { merges: string[] }).merges.map((merge) =>
    merge.split(' '),
  );
  const text = 'export function() { return the number; }';
  expect(load({}, { merges }).encode(text)).toEqual(load().encode(text));
});

test.each<[string, Json, Json, string]>([
  ['a WordLevel model', {}, { type: 'WordLevel' }, 'model.type'],
  ['dropout', {}, { dropout: 0.1 }, 'model.dropout'],
  ['an end-of-word suffix', {}, { end_of_word_suffix: '</w>' }, 'model.end_of_word_suffix'],
  ['no vocabulary', {}, { vocab: [] }, 'model.vocab'],
  ['an id that is no integer', {}, { vocab: { a: 1.5 } }, 'model.vocab.a'],
  ['an enormous id', {}, { vocab: { a: 2 ** 31 } }, 'model.vocab.a'],
  ['merges that are no list', {}, { merges: 'a b' }, 'model.merges'],
  ['a merge of three', {}, { merges: ['a b c'] }, 'model.merges.0'],
  ['a merge into nothing', {}, { merges: ['a q'] }, 'model.merges.0'],
  ['no ByteLevel decoder', { decoder: { type: 'Metaspace' } }, {}, 'decoder.type'],
  ['no decoder', { decoder: null }, {}, 'decoder.type'],
  ['a decoder of another alphabet', { pre_tokenizer: null }, {}, 'decoder.type'],
  ['a decoder over whole texts', { pre_tokenizer: null, decoder: { type: 'CTC' } }, {}, 'decoder.type'],
  [
    'no decoder of characters',
    { pre_tokenizer: { type: 'Metaspace', replacement: '▁' }, decoder: null },
    {},
    'decoder',
  ],
  [
    'an unknown scheme',
    { pre_tokenizer: { type: 'Metaspace', prepend_scheme: 'last' } },
    {},
    'pre_tokenizer',
  ],
  [
    'an unknown step',
    { pre_tokenizer: sequence({ type: 'UnicodeScripts' }, bytes) },
    {},
    'pre_tokenizer.pretokenizers.0',
  ],
  [
    'steps after the bytes',
    { pre_tokenizer: sequence(bytes, { type: 'Digits' }) },
    {},
    'pre_tokenizer.pretokenizers.0',
  ],
  [
    'an unknown kind of split',
    { pre_tokenizer: sequence({ ...isolate('a'), behavior: 'Dropped' }, bytes) },
    {},
    'pre_tokenizer.pretokenizers.0.behavior',
  ],
  [
    'an expression that is none',
    { pre_tokenizer: sequence(isolate('(a'), bytes) },
    {},
    'pre_tokenizer.pretokenizers.0.pattern',
  ],
  ['an unknown normaliser', { normalizer: { type: 'Precompiled' } }, {}, 'normalizer.type'],
  [
    'an unknown normaliser within',
    { normalizer: { type: 'Sequence', normalizers: [{ type: 'Nmt' }] } },
    {},
    'normalizer.normalizers.0.type',
  ],
  ['an unknown token that is none', {}, { unk_token: '<nope>' }, 'model.unk_token'],
  ['scores that are no list', {}, { type: 'Unigram' }, 'model.vocab'],
  ['no token for the unknown', {}, { type: 'Unigram', vocab: [['a', -1]] }, 'model.unk_id'],
  ['an empty token', { added_tokens: [{ id: 1, content: '' }] }, {}, 'added_tokens.0.content'],
])('a tokenizer with %s is refused by its field', (_, changes, modelChanges, field) => {
  expect(() => load(changes, modelChanges)).toThrow(CheckpointError);
  expect(() => load(changes, modelChanges)).toThrow(`tokenizer.json: ${field}`);
});

test('a missing tokenizer.json is named', () => {
  expect(() => loadTokenizer(join(root, 'absent'))).toThrow('tokenizer.json: is missing');
});
