// What stands in a model's place instead of it, and whether the message says so.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../../models/checkpoint/checkpoint.ts';
import { loadModel } from '../../../models/model.ts';
import { floatTensor, writeSafetensors } from '../../golden/safetensors-writer.ts';
import { tinyVocabSize, writeTinyModel } from '../../golden/tiny-model.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const root = temporaryDirectory();
const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n';
let count = 0;
const tiny = (options = {}) => writeTinyModel(join(root, `wrong-${count++}`), options);

function changed(changes: Record<string, unknown>, options = {}): string {
  const directory = tiny(options);
  const file = join(directory, 'config.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify({ ...json, ...changes }));
  return directory;
}

test.each(['model.safetensors', 'tokenizer.json', 'config.json'])('%s that is a Git LFS pointer', (name) => {
  const directory = tiny();
  writeFileSync(join(directory, name), pointer);
  const load = name === 'model.safetensors' ? loadCheckpoint : loadModel;
  expect(() => load(directory)).toThrow(`${name}: is a Git LFS pointer`);
});

test('a GGUF file that is a Git LFS pointer, or something else', () => {
  const directory = tiny();
  writeFileSync(join(directory, 'a.gguf'), pointer);
  expect(() => loadModel(join(directory, 'a.gguf'))).toThrow('a.gguf: is a Git LFS pointer');
  writeFileSync(join(directory, 'b.gguf'), 'something else entirely');
  expect(() => loadModel(join(directory, 'b.gguf'))).toThrow('is not a GGUF file');
});

test.each([
  ['adapter_config.json', 'adapter'],
  ['pytorch_model.bin', 'PyTorch'],
  ['pytorch_model-00001-of-00002.bin', 'PyTorch'],
  ['model-00001-of-00002.safetensors', 'without model.safetensors.index.json'],
  ['model.onnx', 'ONNX'],
])('a directory of %s says what it holds', (name, words) => {
  const without = join(root, `holds-${count++}`);
  mkdirSync(without, { recursive: true });
  writeFileSync(join(without, name), 'x');
  expect(() => loadModel(without)).toThrow(words);
  const directory = tiny();
  rmSync(join(directory, 'model.safetensors'));
  writeFileSync(join(directory, name), 'x');
  expect(() => loadCheckpoint(directory)).toThrow(words);
});

test('a file is said to be one', () => {
  const file = join(tiny(), 'config.json');
  expect(() => loadModel(file)).toThrow('is a file: name its directory');
});

test('another architecture is the reason, whatever else its config lacks', () => {
  const directory = tiny();
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ architectures: ['Qwen3NextForCausalLM'] }));
  expect(() => loadModel(directory)).toThrow('architectures: Qwen3NextForCausalLM is not supported');
});

test('a size of heads that cannot be turned is refused before anything is built', () => {
  expect(() => loadModel(changed({ head_dim: 7 }))).toThrow('head_dim: 7 is not supported');
  expect(() => loadModel(changed({ head_dim: 101 }))).toThrow('only even sizes of a head');
  expect(loadModel(changed({ head_dim: 8 })).name).toContain('wrong');
});

test('a window that would be left out is refused, one that covers the context is not', () => {
  const llama = { architecture: 'llama' };
  expect(() => loadModel(changed({ sliding_window: 8 }, llama))).toThrow(
    'sliding_window: 8 is not supported',
  );
  expect(loadModel(changed({ sliding_window: 1 << 20 }, llama)).name).toContain('wrong');
  expect(loadModel(changed({ sliding_window: null }, llama)).name).toContain('wrong');
});

test('a directory or device in the place of weights is no file', () => {
  const directory = tiny();
  renameSync(join(directory, 'model.safetensors'), join(directory, 'elsewhere'));
  mkdirSync(join(directory, 'model.safetensors'));
  expect(() => loadCheckpoint(directory)).toThrow(/not a regular file|cannot be read/);
});

/** A tied model with a head of its own in the weights. */
function withHead(change: (embedding: Float32Array) => Float32Array, dtype: 'F32' | 'BF16' = 'F32'): string {
  const directory = tiny({ tiedEmbeddings: true });
  const whole = loadCheckpoint(directory);
  const names = ['model.embed_tokens.weight', 'model.norm.weight'];
  for (let layer = 0; layer < whole.spec.layerCount; layer++) {
    const of = (part: string) => `model.layers.${layer}.${part}`;
    names.push(of('input_layernorm.weight'), of('post_attention_layernorm.weight'));
    names.push(...['gate', 'up', 'down'].map((part) => of(`mlp.${part}_proj.weight`)));
    names.push(...['q', 'k', 'v', 'o'].map((part) => of(`self_attn.${part}_proj.weight`)));
    names.push(...['q', 'k', 'v'].map((part) => of(`self_attn.${part}_proj.bias`)));
  }
  const tensors = names.map((name) =>
    floatTensor(name, { shape: whole.shape(name), values: whole.read(name), dtype: 'F32' }),
  );
  const values = change(whole.read('model.embed_tokens.weight'));
  const shape = [tinyVocabSize, whole.spec.hiddenSize];
  tensors.push(floatTensor('lm_head.weight', { shape, values, dtype }));
  writeSafetensors(join(directory, 'model.safetensors'), tensors);
  return directory;
}

test('a head that differs from the embeddings is used, whatever config.json says', () => {
  expect(loadCheckpoint(tiny()).spec.tiedEmbeddings).toBe(true);
  expect(loadCheckpoint(withHead((values) => values)).spec.tiedEmbeddings).toBe(true);
  const moved = withHead((values) => values.map((value, index) => (index === 700 ? value + 1 : value)));
  expect(loadCheckpoint(moved).spec.tiedEmbeddings).toBe(false);
  expect(loadCheckpoint(withHead((values) => values, 'BF16')).spec.tiedEmbeddings).toBe(false); // rounded: not the same
  expect(loadCheckpoint(withHead((values) => values.map(() => 0.5), 'BF16')).spec.tiedEmbeddings).toBe(false);
});

test('JSON that nests without end is refused in words, whatever would have read it', () => {
  const directory = tiny();
  const nested = `${'{"normalizers":['.repeat(100_000)}${']}'.repeat(100_000)}`;
  writeFileSync(join(directory, 'tokenizer.json'), `{"normalizer":${nested}}`);
  expect(() => loadModel(directory)).toThrow('tokenizer.json: its lists and objects lie deeper than 32');
});
