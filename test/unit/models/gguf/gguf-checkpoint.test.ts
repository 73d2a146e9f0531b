import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { rotaryFrequencies } from '../../../../models/graph/rotary.ts';
import { loadModel } from '../../../../models/model.ts';
import { requiredTensors } from '../../../../models/weights/required-tensors.ts';
import type { Checkpoint } from '../../../../models/weights/weights.ts';
import { type TinyModelOptions, writeTinyModel } from '../../../golden/tiny-model.ts';
import { type GgufTensor, type MetadataValue, writeGguf } from '../../../peer/gguf-file.ts';
import { ggufMetadata, ggufTensors } from '../../../peer/gguf-model.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();

/** The tiny model as a directory, and as a GGUF file with some of its entries changed. */
function both(
  name: string,
  options: Partial<TinyModelOptions>,
  change: {
    metadata?: [string, MetadataValue][];
    tensors?: (all: readonly GgufTensor[]) => GgufTensor[];
  } = {},
): { directory: Checkpoint; path: string } {
  const directory = loadCheckpoint(writeTinyModel(join(root, name), options));
  const path = join(root, `${name}.gguf`);
  const tensors = ggufTensors(directory, 'F16').map((tensor) => ({ ...tensor, type: 'F32' as const }));
  const metadata = new Map([...ggufMetadata(directory, 'F16'), ...(change.metadata ?? [])]);
  writeGguf(path, metadata, change.tensors?.(tensors) ?? tensors);
  return { directory, path };
}

test.each<[string, Partial<TinyModelOptions>]>([
  ['qwen2', {}],
  ['llama', { architecture: 'llama', tiedEmbeddings: false, attentionBias: true }],
  ['linear', { architecture: 'llama', ropeScaling: { kind: 'linear', factor: 4 } }],
])('a GGUF file of %s is the checkpoint it was made of', (name, options) => {
  const { directory, path } = both(name, options);
  const { spec, read, shape, has } = loadCheckpoint(path);
  const { bosTokenId: _bos, eosTokenIds, rmsNormEps, ...exact } = directory.spec;
  expect(spec).toMatchObject({ ...exact, eosTokenIds: [eosTokenIds[0]] }); // the writer names one
  expect(spec.rmsNormEps).toBeCloseTo(rmsNormEps, 10); // float32 in the file
  for (const [tensor, size] of requiredTensors(directory.spec)) {
    expect(shape(tensor)).toEqual(size);
    expect(read(tensor)).toEqual(directory.read(tensor));
  }
  expect(has('lm_head.weight')).toBe(!spec.tiedEmbeddings);
});

test("Llama 3's stretched frequencies come as divisors, and are the same", () => {
  const sizes = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 32 };
  const ropeScaling = { kind: 'llama3', ...sizes } as const;
  const { directory, path } = both('llama3', { architecture: 'llama', ropeScaling });
  const { spec } = loadCheckpoint(path);
  expect(spec.ropeScaling?.kind).toBe('divisors');
  const wanted = rotaryFrequencies(directory.spec);
  for (const [index, frequency] of rotaryFrequencies(spec).entries()) {
    expect(frequency / wanted[index]!).toBeCloseTo(1, 6);
  }
});

test.each<[string, [string, MetadataValue][], string]>([
  [
    'another architecture',
    [['general.architecture', { kind: 'string', value: 'rwkv6' }]],
    'rwkv6 is not supported',
  ],
  [
    'experts of no number',
    [['qwen2.expert_count', { kind: 'uint32', value: 8 }]],
    'expert_used_count: is missing',
  ],
  [
    'shared experts',
    [['qwen2.expert_shared_count', { kind: 'uint32', value: 1 }]],
    'has no experts that all tokens share',
  ],
  ['a window', [['qwen2.attention.sliding_window', { kind: 'uint32', value: 8 }]], '8 is not supported'],
  [
    'another scaling',
    [['qwen2.rope.scaling.type', { kind: 'string', value: 'xpos' }]],
    'xpos is not supported',
  ],
  [
    'a text for a number',
    [['qwen2.block_count', { kind: 'string', value: '2' }]],
    'expected an integer from 0 on',
  ],
  ['no layers', [['qwen2.block_count', { kind: 'uint32', value: 0 }]], 'block_count: is 0'],
  ['too many layers', [['qwen2.block_count', { kind: 'uint32', value: 1e6 }]], 'layers are more than'],
  [
    'odd groups of heads',
    [['qwen2.attention.head_count_kv', { kind: 'uint32', value: 3 }]],
    '3 does not divide',
  ],
  [
    'another width',
    [['qwen2.feed_forward_length', { kind: 'uint32', value: 7 }]],
    'the metadata asks for [7,',
  ],
  [
    'an end token beyond',
    [['tokenizer.ggml.eot_token_id', { kind: 'uint32', value: 9999 }]],
    'outside the vocabulary',
  ],
])('%s is refused with the key', (name, metadata, problem) => {
  const { path } = both(name.replaceAll(' ', '-'), {}, { metadata });
  expect(() => loadCheckpoint(path)).toThrow(problem);
});

test('a tensor too few or too many makes another model of it, and is refused', () => {
  const less = both(
    'less',
    {},
    { tensors: (all) => all.filter(({ name }) => name !== 'blk.1.ffn_up.weight') },
  );
  expect(() => loadCheckpoint(less.path)).toThrow('blk.1.ffn_up.weight: is missing from the weights');
  const extra = {
    name: 'blk.0.attn_q_norm.weight',
    shape: [8],
    type: 'F32',
    read: () => new Float32Array(8),
  } as const;
  const more = both('more', {}, { tensors: (all) => [...all, extra] });
  expect(() => loadCheckpoint(more.path)).toThrow(
    'blk.0.attn_q_norm.weight: is no part of this architecture',
  );
});

test('a directory of one GGUF model is that model, called as the directory; of several it is refused', () => {
  const { path } = both('single', {});
  const directory = join(root, 'my-model');
  mkdirSync(directory);
  copyFileSync(path, join(directory, 'weights.Q8_0.gguf'));
  copyFileSync(path, join(directory, 'mmproj-weights.gguf')); // an image encoder's name
  expect(loadModel(directory).name).toBe('my-model');
  expect(loadModel(join(directory, 'weights.Q8_0.gguf')).name).toBe('weights.Q8_0');
  copyFileSync(path, join(root, 'sha256-0123'));
  expect(loadModel(join(root, 'sha256-0123')).spec.vocabSize).toBe(loadModel(path).spec.vocabSize);
  copyFileSync(path, join(directory, 'weights.Q4_0.gguf'));
  expect(() => loadModel(directory)).toThrow('name one of weights.Q4_0.gguf, weights.Q8_0.gguf');
});

test('sampling advice and tokens for filling in the middle come from the metadata', () => {
  const { path } = both(
    'advice',
    { chatTemplate: null },
    {
      metadata: [
        ['general.sampling.temp', { kind: 'float32', value: 0.5 }],
        ['tokenizer.ggml.fim_pre_token_id', { kind: 'uint32', value: 1 }],
        ['tokenizer.ggml.fim_suf_token_id', { kind: 'uint32', value: 2 }],
        ['tokenizer.ggml.fim_mid_token_id', { kind: 'uint32', value: 3 }],
        ['tokenizer.chat_template', { kind: 'string', value: '{{ bos_token }}{{ messages[0].content }}' }],
      ],
    },
  );
  const model = loadModel(path);
  expect(model.defaults.temperature).toBe(0.5);
  expect(model.fim).toEqual({ prefixId: 1, suffixId: 2, middleId: 3 });
  const messages = [{ role: 'user', content: 'hi' }];
  expect(model.chatTemplate!.render(messages, { addGenerationPrompt: false })).toContain('hi');
});
