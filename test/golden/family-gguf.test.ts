// GGUF files of every family: metadata and tensor names as the Python package `gguf` and llama.cpp's converter write them
// (make-family-ggufs.py), with the weights of the tiny checkpoints. Read, they must be the same decoder, tensor by tensor.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { requiredTensors } from '../../models/weights/required-tensors.ts';
import { readTensor } from '../../models/weights/safetensors.ts';
import { openWeightFiles } from '../../models/weights/weight-files.ts';
import { type GgufTensor, type MetadataValue, writeGguf } from '../peer/gguf-file.ts';
import { interleaveHalves } from '../peer/gguf-model.ts';
import { createReferenceDecoder } from '../reference-decoder.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = join(import.meta.dirname, 'models/families');
const directory = temporaryDirectory();
const names = readdirSync(root).filter((name) => existsSync(join(root, name, 'gguf.json')));

interface Recorded {
  readonly divisors: Readonly<Record<string, readonly number[]>>;
  readonly metadata: readonly (readonly [key: string, kind: 'string' | 'uint32' | 'float32', value: never])[];
  readonly tensors: readonly (readonly [
    to: string,
    from: string,
    change: 'permute' | 'plus-one' | 'stack' | 'ours' | null,
  ])[];
}

/** What is another architecture in GGUF files. */
const otherNames: Readonly<Record<string, string>> = {
  ...{ mixtral: 'llama', olmo3: 'olmo2', granitehybrid: 'granite' },
};

const withoutOnes = (shape: readonly number[]) => shape.filter((size) => size !== 1);

/** Writes the file that a converter would; answers its path. */
function convert(name: string): string {
  const folder = join(root, name);
  const { divisors, metadata, tensors } = JSON.parse(
    readFileSync(join(folder, 'gguf.json'), 'utf8'),
  ) as Recorded;
  const { byTensor } = openWeightFiles(folder);
  const checkpoint = loadCheckpoint(folder);
  const { headCount, kvHeadCount, headSize, experts } = checkpoint.spec;
  const stored = tensors.map(([to, from, change]): GgufTensor => {
    if (change === 'stack') {
      const parts = Array.from({ length: experts!.count }, (_, i) => from.replace('*', String(i)));
      const read = () => Float32Array.from(parts.flatMap((part) => [...checkpoint.read(part)]));
      const rows = checkpoint.shape(parts[0]!);
      return {
        name: to,
        shape: [parts.length, ...rows.slice(0, from.endsWith('bias') ? 1 : 2)],
        type: 'F32',
        read,
      };
    }
    if (change === 'ours')
      return { name: to, shape: checkpoint.shape(from), type: 'F32', read: () => checkpoint.read(from) };
    const file = byTensor.get(from)!;
    const read = () => {
      const values = readTensor(file, from);
      const heads = from.includes('q_proj') ? headCount : kvHeadCount;
      if (change === 'permute') return interleaveHalves(values, { headCount: heads, headSize });
      return change === 'plus-one' ? values.map((value) => value + 1) : values;
    };
    const shape = withoutOnes(file.tensors.get(from)!.shape); // as the converter squeezes them
    return { name: to, shape, type: 'F32', read };
  });
  const extra = Object.entries(divisors).map(([to, values]): GgufTensor => {
    return { name: to, shape: [values.length], type: 'F32', read: () => Float32Array.from(values) };
  });
  const path = join(directory, `${name}.gguf`);
  const values = metadata.map(([key, kind, value]) => [key, { kind, value } as MetadataValue] as const);
  writeGguf(path, new Map(values), [...stored, ...extra]);
  return path;
}

test.each(names)('a GGUF file of %s is the checkpoint that it was made of', (name) => {
  const wanted = loadCheckpoint(join(root, name));
  const { spec, read, shape } = loadCheckpoint(convert(name));
  const { name: _name, bosTokenId: _bos, eosTokenIds: _eos, ropeScaling, ...rest } = wanted.spec;
  const experts = rest.experts && { ...rest.experts, clamp: spec.experts!.clamp }; // no key says it
  const architecture = otherNames[rest.architecture] ?? rest.architecture;
  const exact = { ...rest, experts, architecture };
  for (const [field, value] of Object.entries(exact)) {
    const actual = spec[field as keyof typeof exact];
    if (typeof value === 'number')
      expect((actual as number) / value).toBeCloseTo(1, 6); // float32 in the file
    else expect(actual, field).toEqual(value);
  }
  // The converter writes Llama 3's scaling as the numbers that it comes to.
  const kind = ropeScaling?.kind === 'llama3' ? 'divisors' : ropeScaling?.kind;
  expect(spec.ropeScaling?.kind).toBe(kind);
  for (const [tensor, size] of requiredTensors(wanted.spec)) {
    expect(withoutOnes(shape(tensor)), tensor).toEqual(withoutOnes(size));
    expect(read(tensor), tensor).toEqual(wanted.read(tensor));
  }
});

const computed = names.filter((name) => name !== 'gpt-oss'); // the limit of its experts is not the published one

test.each(computed)('a GGUF file of %s computes the same', (name) => {
  const tokens = Array.from({ length: 40 }, (_, i) => 3 + ((i * 37) % 250));
  const [expected, actual] = [join(root, name), convert(name)].map((path) =>
    createReferenceDecoder(loadCheckpoint(path)).logits(tokens),
  );
  for (const [id, logit] of expected!.entries()) expect(actual![id]).toBeCloseTo(logit, 4);
});
