// A checkpoint becomes a decoder graph on disk: model.onnx, the same for the official binding, and one file of
// weights, streamed tensor by tensor. Owns the entry's content and its key; models/cache.ts owns the entry itself.
// Before it: checkpoint.ts; after it: kernels/onnx opens the files.
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileDigest, hashFiles, openEntry } from '../cache.ts';
import { type Checkpoint, requiredTensors } from '../checkpoint.ts';
import type { ModelSpec } from '../spec.ts';
import type { WeightSource } from './arithmetic.ts';
import { decoderInterface, rangeOutputs, topCount, writeDecoder } from './decoder.ts';
import { type KvPrecision, rangeName } from './decoder-context.ts';
import { type GraphWriter, type TensorRecipe, tensorSize } from './graph-writer.ts';
import { encodeModel, type GraphProto, type TensorProto, type ValueInfo } from './onnx-proto.ts';
import { isSmoothable, type Precision } from './precision.ts';
import { type ActivationRanges, type SmoothedRole, smoothed } from './smoothing.ts';

// Part of every entry's key: raise it whenever the same checkpoint would give other files.
const builderVersion = '7';

const modelFiles: Readonly<Record<KvPrecision, string>> = { fp32: 'model.onnx', int8: 'model-kv-int8.onnx' };
const bindingModelFiles: Readonly<Record<KvPrecision, string>> = {
  fp32: 'model-binding.onnx',
  int8: 'model-binding-kv-int8.onnx',
};
const weightsFile = 'weights.bin';
const producer = { name: 'sparklane', version: builderVersion };
const alignment = 64; // bytes, a cache line and the widest vector

export interface BuildProgress {
  readonly doneSize: number; // bytes of weights written
  readonly totalSize: number; // bytes
}

/** A graph that also answers how large its activations are; it lives as long as the measuring. */
export interface ProbeGraph {
  readonly modelPath: string;
  readonly spec: ModelSpec;
  readonly rangeNames: (role: SmoothedRole, layer: number) => string; // outputs, beside those of every decoder
}

/** Measures a model's activations, which needs a runtime: kernels/onnx/activation-probe.ts. */
export interface Calibration {
  readonly key: string; // changes with whatever changes the ranges of a model
  readonly measure: (probe: ProbeGraph) => Promise<ActivationRanges>;
}

export interface BuildOptions {
  readonly precision: Precision;
  readonly cacheDirectory: string; // created if missing
  readonly calibration?: Calibration; // formats that gain by it err less; without it they are built all the same
  readonly onProgress?: (progress: BuildProgress) => void;
}

export interface BuiltGraph {
  readonly directory: string;
  readonly modelPath: string; // for the C API
  readonly bindingModelPath: string; // for the official binding: the same graph with a sequence as first output
  readonly int8Kv: { readonly modelPath: string; readonly bindingModelPath: string }; // the same weights, KV as int8
  readonly precision: Precision;
  readonly contentHash: string; // hex; equal hashes have equal files
  readonly topCount: number; // K of top_values and top_ids
  readonly vocabSize: number;
  readonly spec: ModelSpec;
  readonly fates: string; // what became of the weights, by type, for people
  readonly fromCache: boolean;
}

/**
 * The graph of `checkpoint` in the cache folder, built unless a sound entry is there. Safe beside other builders,
 * of this process or others: the first to finish wins. Rejects with CheckpointError or the file system's errors
 * and leaves no half entry behind. Holds at most one stacked matrix in memory.
 */
export async function buildGraph(checkpoint: Checkpoint, options: BuildOptions): Promise<BuiltGraph> {
  const { spec } = checkpoint;
  const { precision, cacheDirectory, onProgress } = options;
  const contentHash = await contentHashOf(checkpoint, options);
  const entry = await openEntry({
    cacheDirectory,
    key: `${precision}-${contentHash}`,
    build: async (directory) => {
      const ranges = await measuredRanges(join(directory, 'probe'), checkpoint, options);
      const source = ranges === null ? checkpoint : smoothed(spec, checkpoint, ranges);
      const format = { precision, smoothed: ranges !== null };
      return writeEntry(directory, { spec, source, format }, onProgress ?? (() => undefined));
    },
  });
  const pathsFor = (kv: KvPrecision) => ({
    modelPath: join(entry.directory, modelFiles[kv]),
    bindingModelPath: join(entry.directory, bindingModelFiles[kv]),
  });
  return {
    directory: entry.directory,
    ...pathsFor('fp32'),
    int8Kv: pathsFor('int8'),
    precision,
    contentHash,
    topCount: topCount(spec),
    vocabSize: spec.vocabSize,
    spec,
    fates: fatesOf(checkpoint, precision),
    fromCache: entry.found,
  };
}

/** `210 Q4_1 to 8 bit, 1 Q8_0 to 8 bit as it is, 61 F32 to float`. */
function fatesOf(checkpoint: Checkpoint, precision: Precision): string {
  const format = { precision, kv: 'fp32', smoothed: false } as const;
  // Smoothing changes stored values, so nothing is as it was.
  const source = isSmoothable(precision) ? { read: checkpoint.read } : checkpoint;
  const { fates } = writeDecoder(checkpoint.spec, format, source);
  const fateOf = new Map(fates.flatMap(({ weights, fate }) => weights.map((name) => [name, fate] as const)));
  const counts = new Map<string, number>();
  for (const name of requiredTensors(checkpoint.spec).keys()) {
    const line = `${checkpoint.typeOf(name)} to ${fateOf.get(name) ?? 'float'}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].map(([line, count]) => `${count} ${line}`).join(', ');
}

/** Everything that decides the entry's bytes: the weights, the dimensions, the precision and this builder. */
async function contentHashOf(
  checkpoint: Checkpoint,
  { precision, cacheDirectory, calibration }: BuildOptions,
): Promise<string> {
  const { name: _name, bosTokenId: _bos, eosTokenIds: _eos, ...dimensions } = checkpoint.spec;
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([builderVersion, precision, dimensions, isSmoothable(precision) && calibration?.key]),
  );
  if (checkpoint.variant !== undefined) hash.update(checkpoint.variant);
  for (const digest of await hashFiles(checkpoint.weightFiles, cacheDirectory)) hash.update(digest);
  return hash.digest('hex').slice(0, 32);
}

/** Null where nothing is to be measured. `directory` is there only meanwhile. */
async function measuredRanges(
  directory: string,
  checkpoint: Checkpoint,
  { precision, calibration }: BuildOptions,
): Promise<ActivationRanges | null> {
  if (calibration === undefined || !isSmoothable(precision)) return null;
  const { spec } = checkpoint;
  await mkdir(directory);
  try {
    const writer = writeDecoder(spec, { precision: 'int8', kv: 'fp32', probed: true }, checkpoint);
    const weights = await writeWeights(join(directory, weightsFile), writer.recipes, () => undefined);
    const { inputs, outputs } = decoderInterface(spec, 'fp32');
    const graph = graphOf(writer, weights, { inputs, outputs: [...outputs, ...rangeOutputs(spec)] });
    await writeWhole(directory, modelFiles.fp32, encodeModel(graph, producer));
    return await calibration.measure({
      modelPath: join(directory, modelFiles.fp32),
      spec,
      rangeNames: rangeName,
    });
  } finally {
    await rm(directory, { recursive: true });
  }
}

interface Entry {
  readonly spec: ModelSpec;
  readonly source: WeightSource;
  readonly format: { readonly precision: Precision; readonly smoothed: boolean };
}

async function writeEntry(
  directory: string,
  { spec, source, format }: Entry,
  onProgress: (progress: BuildProgress) => void,
): Promise<FileDigest[]> {
  const { recipes } = writeDecoder(spec, { ...format, kv: 'fp32' }, source);
  const weights = await writeWeights(join(directory, weightsFile), recipes, onProgress);
  const files: FileDigest[] = [{ file: weightsFile, size: weights.size, sha256: weights.sha256 }];
  for (const kv of ['fp32', 'int8'] as const) {
    const writer = writeDecoder(spec, { ...format, kv }, source);
    const graph = graphOf(writer, weights, decoderInterface(spec, kv));
    const guarded = { ...graph, ...withCopyGuard(writer, graph.outputs) };
    files.push(await writeWhole(directory, modelFiles[kv], encodeModel(graph, producer)));
    files.push(await writeWhole(directory, bindingModelFiles[kv], encodeModel(guarded, producer)));
  }
  return files;
}

function graphOf(
  writer: GraphWriter,
  weights: WrittenWeights,
  { inputs, outputs }: Pick<GraphProto, 'inputs' | 'outputs'>,
): GraphProto {
  const initializers = [...writer.constants, ...weights.tensors, ...aliased(writer, weights.tensors)];
  return { name: 'decoder', nodes: writer.nodes, initializers, inputs, outputs };
}

/** The sequence output that keeps the official binding from copying the KV cache; see kernels/onnx/ort-binding.ts. */
function withCopyGuard(writer: GraphWriter, outputs: readonly ValueInfo[]) {
  const name = 'copy_guard';
  const inputs = ['logsumexp'];
  const node = { operator: 'SequenceConstruct', domain: '', name, inputs, outputs: [name], attributes: {} };
  const guard: ValueInfo = { name, type: 'float', shape: ['rows'], sequence: true };
  return { nodes: [...writer.nodes, node], outputs: [guard, ...outputs] };
}

function aliased(writer: GraphWriter, tensors: readonly TensorProto[]): TensorProto[] {
  return writer.aliases.map(({ name, type, shape, of }) => {
    const { content } = tensors.find((tensor) => tensor.name === of)!;
    return { name, type, shape, content };
  });
}

async function writeWhole(directory: string, file: string, bytes: Uint8Array): Promise<FileDigest> {
  await writeFile(join(directory, file), bytes, { flush: true });
  return { file, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

interface WrittenWeights {
  readonly tensors: readonly TensorProto[];
  readonly size: number;
  readonly sha256: string;
}

async function writeWeights(
  path: string,
  recipes: readonly TensorRecipe[],
  onProgress: (progress: BuildProgress) => void,
): Promise<WrittenWeights> {
  const totalSize = recipes
    .flatMap((recipe) => recipe.tensors)
    .reduce((sum, t) => alignUp(sum) + tensorSize(t), 0);
  const hash = createHash('sha256');
  const tensors: TensorProto[] = [];
  const file = await open(path, 'wx');
  let size = 0;
  try {
    for (const recipe of recipes) {
      const contents = recipe.produce();
      for (const [index, tensor] of recipe.tensors.entries()) {
        const bytes = contents[index]!;
        if (bytes.length !== tensorSize(tensor))
          throw new Error(`tensor ${tensor.name} has ${bytes.length} bytes`);
        const padding = new Uint8Array(alignUp(size) - size);
        await writeAll(file, padding);
        await writeAll(file, bytes);
        hash.update(padding).update(bytes);
        const offset = size + padding.length;
        tensors.push({
          ...tensor,
          content: { kind: 'external', file: weightsFile, offset, size: bytes.length },
        });
        size = offset + bytes.length;
      }
      onProgress({ doneSize: size, totalSize });
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { tensors, size, sha256: hash.digest('hex') };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    offset += (await file.write(bytes, offset, bytes.length - offset)).bytesWritten;
  }
}

function alignUp(offset: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
