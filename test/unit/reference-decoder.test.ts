import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { rotaryFrequencies } from '../../models/graph/rotary.ts';
import type { RopeScaling } from '../../models/spec.ts';
import { type TinyModelOptions, tinyVocabSize, writeTinyModel } from '../golden/tiny-model.ts';
import { argmax, createReferenceDecoder } from '../reference-decoder.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = temporaryDirectory();
const checkpointOf = (options: Partial<TinyModelOptions>) =>
  loadCheckpoint(writeTinyModel(join(root, JSON.stringify(options).replace(/\W/g, '')), options));
const decoderOf = (options: Partial<TinyModelOptions>) => createReferenceDecoder(checkpointOf(options));
const tokens = [5, 300, 17, 17, 42, 128, 5, 99];

const variants: Partial<TinyModelOptions>[] = [
  { architecture: 'qwen2' },
  { architecture: 'llama', tiedEmbeddings: false, attentionBias: true, mlpBias: true },
  { architecture: 'llama', kvHeadCount: 1 },
  { architecture: 'llama', kvHeadCount: 4, headSize: 32 },
];

test.each(variants)('what comes later changes nothing before it: %j', (options) => {
  const decoder = decoderOf(options);
  const all = decoder.allLogits(tokens);
  expect(all).toHaveLength(tokens.length);
  for (const length of [1, 4, 8]) expect(decoder.logits(tokens.slice(0, length))).toEqual(all[length - 1]);
});

test.each(variants)('what came before counts, and so does its order: %j', (options) => {
  const decoder = decoderOf(options);
  const last = decoder.logits([1, 2, 3]);
  expect(decoder.logits([2, 1, 3])).not.toEqual(last);
  expect(decoder.logits([3])).not.toEqual(last);
});

test('greedy decoding goes on with the most likely token', () => {
  const decoder = decoderOf({});
  const answer = decoder.greedy(tokens, 5);
  const all = decoder.allLogits([...tokens, ...answer]);
  expect(answer).toEqual(all.slice(tokens.length - 1, -1).map(argmax));
  expect(decoder.greedy(tokens, 0)).toEqual([]);
});

test('linear scaling by two puts token 2n where token n would be', () => {
  const plain = rotaryFrequencies(checkpointOf({}).spec);
  const linear = rotaryFrequencies(checkpointOf({ ropeScaling: { kind: 'linear', factor: 2 } }).spec);
  expect([...linear].map((frequency) => 2 * frequency)).toEqual([...plain]);
});

test('llama3 scaling leaves fast turns alone and slows slow ones by the factor', () => {
  const ropeScaling: RopeScaling = {
    kind: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalContextLength: 64,
  };
  const plain = rotaryFrequencies(checkpointOf({}).spec);
  const scaled = rotaryFrequencies(checkpointOf({ ropeScaling }).spec);
  const ratios = [...plain].map((frequency, i) => frequency / scaled[i]!);
  expect(ratios[0]).toBe(1);
  expect(ratios.at(-1)).toBeCloseTo(8, 12);
  expect(ratios).toEqual([...ratios].sort((a, b) => a - b));
  expect(ratios.some((ratio) => ratio > 1.01 && ratio < 7.99)).toBe(true);
});

test('a tied head is the embedding matrix', () => {
  const checkpoint = checkpointOf({});
  const read = (name: string) =>
    checkpoint.read(name === 'lm_head.weight' ? 'model.embed_tokens.weight' : name);
  const untied = createReferenceDecoder({
    ...checkpoint,
    spec: { ...checkpoint.spec, tiedEmbeddings: false },
    read,
  });
  expect(untied.logits(tokens)).toEqual(createReferenceDecoder(checkpoint).logits(tokens));
});

test('of equal values the first is the greatest', () => {
  expect(argmax([1, 3, 3, 2])).toBe(1);
  expect(argmax([Number.NEGATIVE_INFINITY])).toBe(0);
});

test('tokens outside the vocabulary or the context are a mistake of the caller', () => {
  const decoder = decoderOf({ contextLength: 4 });
  expect(() => decoder.logits([])).toThrow('0 tokens');
  expect(() => decoder.logits([1, 2, 3, 4, 5])).toThrow('5 tokens');
  for (const token of [-1, tinyVocabSize, 0.5, Number.NaN]) {
    expect(() => decoder.logits([token])).toThrow(`token ${token}`);
  }
});
