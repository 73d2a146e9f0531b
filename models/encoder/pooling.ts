// How the vectors of a text's tokens become one, as a sentence-transformers checkpoint says it: modules.json, 1_Pooling,
// Dense layers, Normalize. Owns the reading and the arithmetic. Before it: a model's directory; after it:
// kernels/onnx/embedder.ts pools what the graph answers.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CheckpointError, readJson, readOptionalJson } from '../files/model-file.ts';
import { openSafetensors, readTensor } from '../weights/safetensors.ts';

const modes = ['cls', 'mean', 'max', 'mean-sqrt', 'weighted-mean', 'last'] as const;
export type PoolingMode = (typeof modes)[number];

export interface DenseLayer {
  readonly weight: Float32Array; // [outSize, inSize]
  readonly bias: Float32Array | null; // [outSize]
  readonly outSize: number;
  readonly hasTanh: boolean;
}

export interface Pooling {
  readonly modes: readonly PoolingMode[]; // several are set side by side
  readonly dense: readonly DenseLayer[];
  readonly isNormalised: boolean; // to length 1
  readonly textTokensMax: number | null; // start and end included; null: the model's context
  readonly lowersCase: boolean;
}

const modulesSchema = z.array(z.looseObject({ path: z.string(), type: z.string() })).max(16);
const modeFields: Readonly<Record<string, PoolingMode>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean-sqrt',
  pooling_mode_weightedmean_tokens: 'weighted-mean',
  pooling_mode_lasttoken: 'last',
};
const denseSchema = z.looseObject({
  in_features: z.int().positive(),
  out_features: z.int().positive(),
  bias: z.boolean().default(true),
  activation_function: z.string().default('torch.nn.modules.activation.Tanh'),
});
const textSchema = z.looseObject({
  max_seq_length: z.int().positive().nullish(),
  do_lower_case: z.boolean().nullish(),
});

/** Where a checkpoint says nothing: the mean, of length 1. Throws CheckpointError for a module that is not known. */
export function readPooling(directory: string): Pooling {
  const file = join(directory, 'modules.json');
  const text = readOptionalJson(join(directory, 'sentence_bert_config.json'), textSchema);
  const told = { textTokensMax: text?.max_seq_length ?? null, lowersCase: text?.do_lower_case ?? false };
  const modules = readOptionalJson(file, modulesSchema);
  if (modules === null) return { modes: ['mean'], dense: [], isNormalised: true, ...told };
  let pooled: readonly PoolingMode[] = ['mean'];
  let isNormalised = false;
  const dense: DenseLayer[] = [];
  for (const [index, { path, type }] of modules.entries()) {
    const kind = type.slice(type.lastIndexOf('.') + 1);
    if (path.includes('..') || /^[/\\]/.test(path))
      throw new CheckpointError(`${JSON.stringify(path)} is not within the model`, {
        file,
        field: `${index}.path`,
      });
    if (kind === 'Pooling') pooled = readModes(join(directory, path, 'config.json'));
    else if (kind === 'Dense') dense.push(readDense(join(directory, path)));
    else if (kind === 'Normalize') isNormalised = true;
    else if (kind !== 'Transformer' && kind !== 'Dropout') {
      throw new CheckpointError(`${type} is not supported`, { file, field: `${index}.type` });
    }
  }
  return { modes: pooled, dense, isNormalised, ...told };
}

function readModes(file: string): readonly PoolingMode[] {
  const config = readJson(file, z.looseObject({}));
  const named = config['pooling_mode'];
  if (typeof named === 'string') {
    const field = Object.keys(modeFields).find(
      (name) =>
        name === `pooling_mode_${named}` ||
        name === `pooling_mode_${named}_tokens` ||
        name === `pooling_mode_${named}_token`,
    );
    if (field !== undefined) return [modeFields[field]!];
    throw new CheckpointError(`${named} is not supported`, { file, field: 'pooling_mode' });
  }
  const chosen = Object.entries(modeFields).filter(([field]) => config[field] === true);
  const unknown = Object.keys(config).find(
    (field) => field.startsWith('pooling_mode_') && config[field] === true && !(field in modeFields),
  );
  if (unknown !== undefined) throw new CheckpointError('is not supported', { file, field: unknown });
  return chosen.length === 0 ? ['mean'] : chosen.map(([, mode]) => mode);
}

function readDense(directory: string): DenseLayer {
  const file = join(directory, 'config.json');
  const config = readJson(file, denseSchema);
  const { in_features: inSize, out_features: outSize, activation_function: activation } = config;
  const hasTanh = activation.endsWith('.Tanh');
  if (!hasTanh && !activation.endsWith('.Identity'))
    throw new CheckpointError(`${activation} is not supported`, { file, field: 'activation_function' });
  const path = join(directory, 'model.safetensors');
  if (!existsSync(path)) throw new CheckpointError('is missing', { file: path });
  const weights = openSafetensors(path);
  const read = (name: string, size: number) => {
    const values = readTensor(weights, name);
    if (values.length === size && values.every(Number.isFinite)) return values;
    throw new CheckpointError(`is not ${size} finite numbers`, { file: path, field: name });
  };
  const bias = config.bias ? read('linear.bias', outSize) : null;
  return { weight: read('linear.weight', inSize * outSize), bias, outSize, hasTanh };
}

/** Elements of the one vector. */
export function pooledSize({ modes: chosen, dense }: Pooling, hiddenSize: number): number {
  return dense.at(-1)?.outSize ?? chosen.length * hiddenSize;
}

/** `states` [n, hiddenSize] of one text → [pooledSize]; `dimensions` first ones, of length 1 again where they were. */
export function pooled(
  { modes: chosen, dense, isNormalised }: Pooling,
  states: Float32Array,
  hiddenSize: number,
  dimensions: number | null = null,
): Float32Array {
  const parts = chosen.map((mode) => pooledBy(mode, states, hiddenSize));
  let vector = Float64Array.from(parts.flatMap((part) => [...part]));
  for (const layer of dense) vector = applied(layer, vector);
  if (dimensions !== null) vector = vector.slice(0, dimensions);
  if (isNormalised) {
    const length = Math.max(Math.hypot(...vector), 1e-12); // source: torch.nn.functional.normalize
    vector = vector.map((value) => value / length);
  }
  return Float32Array.from(vector);
}

function pooledBy(mode: PoolingMode, states: Float32Array, size: number): Float64Array {
  const count = states.length / size;
  const row = (index: number) => states.subarray(index * size, (index + 1) * size);
  if (mode === 'cls') return Float64Array.from(row(0));
  if (mode === 'last') return Float64Array.from(row(count - 1));
  const vector = new Float64Array(size).fill(mode === 'max' ? Number.NEGATIVE_INFINITY : 0);
  let weights = 0;
  for (let index = 0; index < count; index++) {
    const weight = mode === 'weighted-mean' ? index + 1 : 1;
    weights += weight;
    const state = row(index);
    for (let at = 0; at < size; at++) {
      if (mode === 'max') vector[at] = Math.max(vector[at]!, state[at]!);
      else vector[at]! += weight * state[at]!;
    }
  }
  if (mode === 'max') return vector;
  const divisor = mode === 'mean-sqrt' ? Math.sqrt(count) : weights;
  return vector.map((value) => value / divisor);
}

function applied(
  { weight, bias, outSize, hasTanh }: DenseLayer,
  vector: Float64Array,
): Float64Array<ArrayBuffer> {
  const inSize = vector.length;
  return Float64Array.from({ length: outSize }, (_, out) => {
    let sum = bias?.[out] ?? 0;
    for (let at = 0; at < inSize; at++) sum += weight[out * inSize + at]! * vector[at]!;
    return hasTanh ? Math.tanh(sum) : sum;
  });
}
