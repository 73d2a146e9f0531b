// An encoder's directory → EncoderSpec and float32 tensors by our names. At load every tensor that is computed with is
// checked for presence, dtype and shape; values are read when asked for. Before it: encoder-config.ts; after it:
// encoder-graph.ts.
import { CheckpointError } from '../files/model-file.ts';
import { isReadableDtype, readTensor } from '../weights/safetensors.ts';
import type { TensorRows } from '../weights/stored-tensors.ts';
import { openWeightFiles, type WeightFiles } from '../weights/weight-files.ts';
import type { WeightSource } from '../weights/weights.ts';
import { readEncoderSpec } from './encoder-config.ts';
import { type EncoderFamily, encoderFamilies } from './encoder-families.ts';
import { type EncoderSpec, encoderTensors } from './encoder-spec.ts';

export interface EncoderCheckpoint extends WeightSource {
  readonly spec: EncoderSpec;
  readonly path: string;
  readonly weightFiles: readonly string[]; // paths
}

interface Place {
  readonly name: string; // in the checkpoint
  readonly rows: TensorRows | null; // null: all
}

/** Throws CheckpointError; holds no file open. */
export function loadEncoder(directory: string): EncoderCheckpoint {
  const spec = readEncoderSpec(directory);
  const weights = openWeightFiles(directory);
  const family = [...encoderFamilies.values()].find(({ name }) => name === spec.architecture)!;
  const placeOf = places(family, spec, weights);
  for (const [name, shape] of encoderTensors(spec)) checkTensor(placeOf(name), shape, weights, directory);
  return {
    spec,
    path: directory,
    weightFiles: weights.paths,
    read(name) {
      const { name: stored, rows } = placeOf(name);
      const file = weights.byTensor.get(stored)!;
      const values = readTensor(file, stored, rows);
      if (values.every(Number.isFinite)) return values;
      throw new CheckpointError('has a value that is no finite number', { file: file.path, field: stored });
    },
  };
}

/** Older checkpoints call a norm's gain and shift gamma and beta. */
function places(family: EncoderFamily, spec: EncoderSpec, { byTensor }: WeightFiles) {
  const words = `${family.parts['words']!.part}.weight`;
  const prefix = family.prefixes.find((each) => byTensor.has(each + words)) ?? '';
  return (name: string): Place => {
    const [, stem, kind] = /^(.+)\.(weight|bias)$/.exec(name)!;
    const layer = /\.(\d+)\./.exec(name)?.[1];
    const { part, third, half } = family.parts[layer === undefined ? stem! : stem!.replace(layer, '*')]!;
    const base = prefix + part.replace('*', layer ?? '');
    const older = `${base}.${kind === 'weight' ? 'gamma' : 'beta'}`;
    const stored = byTensor.has(older) ? older : `${base}.${kind}`;
    const { hiddenSize: d, ffnSize: f } = spec;
    if (third !== undefined) return { name: stored, rows: { start: third * d, count: d, of: 3 * d } };
    if (half !== undefined) return { name: stored, rows: { start: half * f, count: f, of: 2 * f } };
    return { name: stored, rows: null };
  };
}

function checkTensor(
  { name, rows }: Place,
  shape: readonly number[],
  { byTensor }: WeightFiles,
  directory: string,
): void {
  const file = byTensor.get(name);
  const found = file?.tensors.get(name);
  if (!file || !found)
    throw new CheckpointError('is missing from the weights', { file: directory, field: name });
  const place = { file: file.path, field: name };
  if (!isReadableDtype(found.dtype))
    throw new CheckpointError(`dtype ${found.dtype} is not one of F32, F16, BF16`, place);
  const needed = rows === null ? shape : [rows.of, ...shape.slice(1)];
  if (found.shape.length === needed.length && found.shape.every((size, axis) => size === needed[axis]))
    return;
  const problem = `has shape [${found.shape.join(', ')}], config.json asks for [${needed.join(', ')}]`;
  throw new CheckpointError(problem, place);
}
