import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../../models/checkpoint/checkpoint.ts';
import { tinyTokenIds, tinyVocabSize, writeTinyModel } from '../../golden/tiny-model.ts';
import { type GgufTensor, writeGguf } from '../../peer/gguf-file.ts';
import { ggufTensors, interleaveHalves, writeGgufModel } from '../../peer/gguf-model.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const directory = temporaryDirectory();

interface ReadTensor {
  readonly dimensions: readonly number[]; // fastest first, as in the file
  readonly type: number;
  readonly start: number; // byte in the file
}

/** A second reading of the format, as strict as the writer ought to be. */
function readGguf(path: string) {
  const bytes = readFileSync(path);
  let at = 0;
  const take = (size: number) => {
    const start = at;
    at += size;
    return start;
  };
  const uint32 = () => bytes.readUInt32LE(take(4));
  const uint64 = () => Number(bytes.readBigUInt64LE(take(8)));
  const text = (size: number) => bytes.subarray(take(size), at).toString('utf8');
  const string = () => text(uint64());
  const value = (type: number): unknown => {
    if (type === 4) return uint32();
    if (type === 5) return bytes.readInt32LE(take(4));
    if (type === 6) return bytes.readFloatLE(take(4));
    if (type === 7) return bytes[take(1)] === 1;
    if (type === 8) return string();
    expect(type).toBe(9);
    const inner = uint32();
    return Array.from({ length: uint64() }, () => value(inner));
  };
  expect(text(4)).toBe('GGUF');
  expect(uint32()).toBe(3);
  const tensorCount = uint64();
  const entryCount = uint64();
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < entryCount; i++) metadata.set(string(), value(uint32()));
  const tensors = new Map<string, ReadTensor>();
  const entries = Array.from({ length: tensorCount }, () => ({
    name: string(),
    dimensions: Array.from({ length: uint32() }, uint64),
    type: uint32(),
    offset: uint64(),
  }));
  const dataStart = Math.ceil(at / 32) * 32;
  for (const { name, offset, ...entry } of entries)
    tensors.set(name, { ...entry, start: dataStart + offset });
  return { bytes, metadata, tensors };
}

test('a Qwen2 model keeps its dimensions, tokens and float values', () => {
  const checkpoint = loadCheckpoint(writeTinyModel(join(directory, 'qwen2')));
  const path = join(directory, 'qwen2.gguf');
  writeGgufModel(path, checkpoint, 'Q8_0');
  const { bytes, metadata, tensors } = readGguf(path);
  expect(Object.fromEntries(metadata)).toMatchObject({
    'general.alignment': 32,
    'general.architecture': 'qwen2',
    'general.file_type': 7,
    'qwen2.block_count': 3,
    'qwen2.embedding_length': 64,
    'qwen2.attention.head_count': 4,
    'qwen2.attention.head_count_kv': 2,
    'qwen2.rope.freq_base': 10_000,
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'qwen2',
    'tokenizer.ggml.add_bos_token': false,
    'tokenizer.ggml.eos_token_id': tinyTokenIds.endOfText,
  });
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
  const kinds = metadata.get('tokenizer.ggml.token_type') as number[];
  expect(tokens).toHaveLength(tinyVocabSize);
  expect([tokens[tinyTokenIds.imStart], kinds[tinyTokenIds.imStart]]).toEqual(['<|im_start|>', 3]);
  expect([tokens[tinyVocabSize - 1], kinds[tinyVocabSize - 1]]).toEqual([`[PAD${tinyVocabSize - 1}]`, 5]);
  expect((metadata.get('tokenizer.ggml.merges') as string[])[0]).toBe('Ġ Ġ');
  const { dimensions, type } = tensors.get('blk.1.ffn_down.weight')!;
  expect([dimensions, type]).toEqual([[96, 64], 8]);
  const norm = tensors.get('blk.2.attn_norm.weight')!;
  expect(norm).toMatchObject({ dimensions: [64], type: 0 });
  const values = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset + norm.start, bytes.byteOffset + norm.start + 256),
  );
  expect(values).toEqual(checkpoint.read('model.layers.2.input_layernorm.weight'));
  for (const { start } of tensors.values()) expect(start % 32).toBe(0);
  expect(tensors.has('output.weight')).toBe(false);
  expect(bytes.length % 32).toBe(0);
});

test('the heads of a Llama model are interleaved, its own output matrix and scaled frequencies are there', () => {
  const ropeScaling = {
    kind: 'llama3',
    ...{ factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 256 },
  } as const;
  const options = { architecture: 'llama', tiedEmbeddings: false, ropeScaling, attentionBias: true } as const;
  const checkpoint = loadCheckpoint(writeTinyModel(join(directory, 'llama'), options));
  const tensors = new Map(ggufTensors(checkpoint, 'F16').map((tensor) => [tensor.name, tensor]));
  expect(tensors.get('output.weight')!.shape).toEqual([tinyVocabSize, 64]);
  const given = checkpoint.read('model.layers.0.self_attn.k_proj.weight');
  const turned = tensors.get('blk.0.attn_k.weight')!.read();
  expect(turned.subarray(64, 128)).toEqual(given.subarray(8 * 64, 9 * 64)); // row 1 was the first of the second half
  expect(tensors.get('blk.0.attn_v.weight')!.read()).toEqual(
    checkpoint.read('model.layers.0.self_attn.v_proj.weight'),
  );
  expect(tensors.has('blk.0.attn_output.bias')).toBe(true);
  const factors = [...tensors.get('rope_freqs.weight')!.read()];
  expect(factors[0]).toBe(1);
  expect(factors.at(-1)).toBe(8);
  expect(factors).toEqual(factors.toSorted((a, b) => a - b));
});

test('halves of each head are interleaved row by row', () => {
  const rows = Float32Array.from({ length: 8 }, (_, row) => row); // 2 heads of 4, one column
  expect([...interleaveHalves(rows, { headCount: 2, headSize: 4 })]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
});

test('a tensor that is not as long as its shape leaves no file', () => {
  const tensor: GgufTensor = { name: 'odd', shape: [2, 32], type: 'F32', read: () => new Float32Array(63) };
  const path = join(directory, 'odd.gguf');
  expect(() => writeGguf(path, new Map(), [tensor])).toThrow('tensor odd has 63 values, its shape 64');
  expect(() => readFileSync(path)).toThrow('ENOENT');
  expect(() => readFileSync(`${path}.partial`)).toThrow('ENOENT');
});
