// A model directory of a published shape with seeded random weights: as fast or slow as the real one, and saying
// nothing. Its tokenizer is spark-nano's: real text has real token ids, the rest of the vocabulary is never written.
// Built locally into a cache directory, never committed.
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { mix32 } from '../../kernels/random.ts';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { resolveModel } from '../../models/model.ts';
import { requiredTensors } from '../../models/weights/required-tensors.ts';

// Source: config.json of Qwen/Qwen2.5-Coder-0.5B.
const config = {
  architectures: ['Qwen2ForCausalLM'],
  vocab_size: 151_936,
  hidden_size: 896,
  intermediate_size: 4864,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  hidden_act: 'silu',
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  tie_word_embeddings: true,
  bos_token_id: null,
  eos_token_id: null,
};

const seed = 20_261_120;
const bytesPerValue = 2; // BF16

/** Answers the directory; writes about 1 GB the first time, in some seconds. */
export function ensureRandomModel(cacheDirectory: string): string {
  const directory = join(cacheDirectory, 'qwen2.5-coder-0.5b-random');
  const weights = join(directory, 'model.safetensors');
  if (existsSync(weights)) return directory;
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(resolveModel('spark-nano'), name), join(directory, name));
  }
  writeWeights(`${weights}.partial`, requiredTensors(readModelSpec(directory)));
  renameSync(`${weights}.partial`, weights);
  return directory;
}

function writeWeights(path: string, tensors: ReadonlyMap<string, readonly number[]>): void {
  const entries: Record<string, unknown> = {};
  let offset = 0;
  for (const [name, shape] of tensors) {
    const size = countOf(shape) * bytesPerValue;
    entries[name] = { dtype: 'BF16', shape, data_offsets: [offset, offset + size] };
    offset += size;
  }
  const header = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(path, 'w');
  try {
    for (const bytes of [length, header]) writeWhole(file, bytes);
    let index = 0;
    for (const [name, shape] of tensors) writeWhole(file, randomTensor(name, shape, seed + index++));
  } finally {
    closeSync(file);
  }
}

/** Sizes that keep activations near 1 and logits spread, as test/golden/tiny-model.ts does. */
function randomTensor(name: string, shape: readonly number[], tensorSeed: number): Uint8Array {
  const values = new Float32Array(countOf(shape));
  const isNorm = name.endsWith('norm.weight');
  if (isNorm) values.fill(1);
  else {
    const isTable = name.includes('embed_tokens');
    const deviation = shape.length === 1 ? 0.1 : (isTable ? 3 : 1.5) / Math.sqrt(shape.at(-1)!);
    const step = deviation / Math.sqrt((4 * (256 ** 2 - 1)) / 12); // of the sum of four uniform bytes
    for (let index = 0; index < values.length; index++) {
      const bits = mix32(Math.imul(index + 1, 0x9e3779b9) ^ tensorSeed);
      const sum = (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24);
      values[index] = (sum - 510) * step;
    }
  }
  const halves = new Uint16Array(values.buffer);
  for (let index = 0; index < values.length; index++) halves[index] = halves[2 * index + 1]!; // upper half: truncated
  return new Uint8Array(values.buffer, 0, values.length * bytesPerValue);
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function writeWhole(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}
