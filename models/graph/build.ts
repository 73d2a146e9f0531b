// A checkpoint becomes a decoder graph on disk: model.onnx, the same for the official binding, and one file of
// weights, streamed tensor by tensor. Owns the entry's content and its key; models/files/cache.ts owns the entry itself.
// Before it: checkpoint/checkpoint.ts; after it: kernels/onnx opens the files.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { AdapterChoice } from '../checkpoint/lora.ts';
import { type FileDigest, hasEntry, hashFiles, openEntry } from '../files/cache.ts';
import type { GraphProto, ValueInfo } from '../onnx/onnx-proto.ts';
import type { ModelSpec } from '../spec.ts';
import { requiredTensors } from '../weights/required-tensors.ts';
import type { Checkpoint, WeightSource } from '../weights/weights.ts';
import { type DecoderFormat, decoderInterface, statesInterface, topCount, writeDecoder } from './decoder.ts';
import type { KvPrecision } from './decoder-context.ts';
import {
  type BuildProgress,
  graphOf,
  type WrittenWeights,
  weightsFile,
  writeModel,
  writeWeights,
} from './graph-files.ts';
import { type GraphWriter, recipeSize } from './graph-writer.ts';
import { hasOwnAttention } from './own-attention-nodes.ts';
import { fusedNodes } from './own-fusion.ts';
import { paddedHeads } from './padded-heads.ts';
import { hasFineHead, hasOwnProducts, isSmoothable, type Precision } from './precision.ts';
import { type Probe, probeParts } from './probe.ts';
import { madeByThreads, madeHere } from './recipe-threads.ts';
import { readShippedRanges } from './shipped-ranges.ts';
import { type ActivationRanges, smoothed } from './smoothing.ts';

// Part of every entry's key: raise it whenever the same checkpoint would give other files.
const builderVersion = '24';

const modelFiles: Readonly<Record<KvPrecision, string>> = { fp32: 'model.onnx', int8: 'model-kv-int8.onnx' };
const bindingModelFiles: Readonly<Record<KvPrecision, string>> = {
  fp32: 'model-binding.onnx',
  int8: 'model-binding-kv-int8.onnx',
};
// A thread takes about 0.2 s to start, in which one alone makes this much.
const threadedSize = 48 * 2 ** 20; // bytes of weights

const statesFile = 'model-states.onnx';
const deviceFile = 'model-device.onnx';

/** Measures a model's activations, which needs a runtime: kernels/onnx/activation-probe.ts. */
export interface Calibration {
  readonly key: string; // changes with whatever changes the ranges of a model
  readonly measure: (probe: Probe) => Promise<ActivationRanges>;
  /** Whether this processor multiplies uint8 by any int8 without saturating; not: then weights of a head are rounded otherwise. */
  readonly exactProducts?: boolean;
}

export interface BuildOptions {
  readonly precision: Precision;
  readonly cacheDirectory: string; // created if missing
  readonly ownKernels?: boolean; // this machine has our own operators (kernels/onnx/own-library.ts): formats that they have are for the cpu's C API alone
  readonly calibration?: Calibration; // formats that gain by it err less; without it they are built all the same
  readonly onProgress?: (progress: BuildProgress) => void;
  readonly threads?: BuildThreads; // without them this thread makes everything
}

/** Threads that convert: each opens the checkpoint for itself, as `loadCheckpoint(checkpoint.path)` with these adapters does. */
export interface BuildThreads {
  readonly count: number;
  readonly adapters: readonly AdapterChoice[];
}

export interface BuiltGraph {
  readonly directory: string;
  readonly modelPath: string; // for the C API
  readonly bindingModelPath: string | null; // for the official binding: the same graph with a sequence as first output; null: our own operators compute it
  readonly int8Kv: { readonly modelPath: string; readonly bindingModelPath: string | null } | null; // the same weights, KV as int8; null: of a graph that others built
  readonly deviceModelPath: string | null; // for other devices than the cpu: the same weights, every operator one that they have; null: modelPath
  readonly ownKernels: boolean; // with our own operators, which are the cpu's
  readonly statesModelPath: string | null; // the same weights: every token's state, as decoder.ts says; both runtimes
  readonly precision: Precision;
  readonly contentHash: string; // hex; equal hashes have equal files
  readonly topCount: number; // K of top_values and top_ids
  readonly vocabSize: number;
  readonly spec: ModelSpec; // of the graph: of heads that were padded, with their padding
  readonly fates: string; // what became of the weights, by type, for people
  readonly fromCache: boolean;
}

/**
 * The graph of `checkpoint` in the cache folder, built unless a sound entry is there. Safe beside other builders,
 * of this process or others: the first to finish wins. Rejects with CheckpointError or the file system's errors
 * and leaves no half entry behind. Holds at most one stacked matrix in memory, with threads
 * 2 GiB of them or one.
 */
export async function buildGraph(given: Checkpoint, options: BuildOptions): Promise<BuiltGraph> {
  const checkpoint = paddedHeads(given);
  const { spec } = checkpoint;
  const { precision, cacheDirectory, onProgress } = options;
  const contentHash = await contentHashOf(checkpoint, options);
  const entry = await openEntry({
    cacheDirectory,
    key: `${precision}-${contentHash}`,
    build: async (directory) => {
      const ranges = await measuredRanges(join(directory, 'probe'), checkpoint, options);
      const source = ranges === null ? checkpoint : smoothed(spec, checkpoint, ranges);
      const exactProducts = options.calibration?.exactProducts === true;
      const format = {
        precision,
        smoothed: ranges !== null,
        exactProducts,
        ownKernels: isOwn(spec, options),
      };
      const kvFormat = { ...format, kv: 'fp32' } as const;
      const { recipes } = writeDecoder(spec, kvFormat, source);
      const { count = 1, adapters = [] } = options.threads ?? {};
      const task = { path: given.path, adapters, spec: given.spec, format: kvFormat, ranges };
      const isWorth =
        count > 1 && recipes.reduce((sum, recipe) => sum + recipeSize(recipe), 0) >= threadedSize;
      const made = isWorth ? madeByThreads(recipes, task, count) : madeHere(recipes);
      const path = join(directory, weightsFile);
      const weights = await writeWeights(path, recipes, onProgress ?? (() => undefined), made);
      return writeEntry(directory, { spec, source, format }, weights);
    },
  });
  const pathsFor = (kv: KvPrecision) => ({
    modelPath: join(entry.directory, modelFiles[kv]),
    bindingModelPath: isOwn(spec, options) ? null : join(entry.directory, bindingModelFiles[kv]),
  });
  return {
    directory: entry.directory,
    ...pathsFor('fp32'),
    int8Kv: pathsFor('int8'),
    deviceModelPath: multipliesItself(options) ? null : join(entry.directory, deviceFile),
    ownKernels: isOwn(spec, options),
    statesModelPath: join(entry.directory, statesFile),
    precision,
    contentHash,
    topCount: topCount(spec),
    vocabSize: spec.vocabSize,
    spec,
    fates: fatesOf(checkpoint, options),
    fromCache: entry.found,
  };
}

/** Whether buildGraph would find it in the cache. */
export async function isBuilt(checkpoint: Checkpoint, options: BuildOptions): Promise<boolean> {
  const { precision, cacheDirectory } = options;
  const key = `${precision}-${await contentHashOf(paddedHeads(checkpoint), options)}`;
  return hasEntry({ cacheDirectory, key });
}

/** `210 Q4_1 to 8 bit, 1 Q8_0 to 8 bit as it is, 61 F32 to float`. */
function fatesOf(checkpoint: Checkpoint, options: BuildOptions): string {
  const { precision } = options;
  const ownKernels = multipliesItself(options);
  const format = { precision, kv: 'fp32', smoothed: false, ownKernels } as const;
  // Smoothing changes stored values, so nothing is as it was.
  const source = isCalibrated(options) ? { read: checkpoint.read } : checkpoint;
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
async function contentHashOf(checkpoint: Checkpoint, options: BuildOptions): Promise<string> {
  const { precision, cacheDirectory, calibration } = options;
  const { name: _name, bosTokenId: _bos, eosTokenIds: _eos, ...dimensions } = checkpoint.spec;
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([
      ...[builderVersion, precision, dimensions, isCalibrated(options) && calibration?.key],
      hasFineHead(precision) && !multipliesItself(options) && calibration?.exactProducts === true,
      isOwn(checkpoint.spec, options),
    ]),
  );
  if (checkpoint.variant !== undefined) hash.update(checkpoint.variant);
  for (const digest of await hashFiles(checkpoint.weightFiles, cacheDirectory)) hash.update(digest);
  return hash.digest('hex').slice(0, 32);
}

/** Whether our own operators compute some of it. */
function isOwn(spec: ModelSpec, { precision, ownKernels = false }: BuildOptions): boolean {
  return ownKernels && (hasOwnProducts(precision) || hasOwnAttention(spec));
}

/** Whether they compute its products, from weights of their own layout. */
function multipliesItself({ precision, ownKernels = false }: BuildOptions): boolean {
  return ownKernels && hasOwnProducts(precision);
}

/** Whether it errs less with smoothed weights: 16-bit activations have room for their outliers. */
function isCalibrated(options: BuildOptions): boolean {
  return isSmoothable(options.precision) && !multipliesItself(options);
}

/** Null where nothing is to be measured. Ranges that come with the model are taken as they are. `directory` is there only meanwhile. */
async function measuredRanges(
  directory: string,
  checkpoint: Checkpoint,
  options: BuildOptions,
): Promise<ActivationRanges | null> {
  const { calibration, cacheDirectory } = options;
  if (calibration === undefined || !isCalibrated(options)) return null;
  const { spec, weightFiles, variant } = checkpoint;
  const digests = await hashFiles(weightFiles, cacheDirectory);
  const origin = { weightFiles, digests, variant, calibrationKey: calibration.key };
  const shipped = await readShippedRanges(spec, origin);
  if (shipped !== null) return shipped;
  return calibration.measure({ spec, parts: probeParts(directory, checkpoint, builderVersion) });
}

interface Entry {
  readonly spec: ModelSpec;
  readonly source: WeightSource;
  readonly format: Pick<DecoderFormat, 'precision' | 'smoothed' | 'exactProducts' | 'ownKernels'>;
}

async function writeEntry(
  directory: string,
  { spec, source, format }: Entry,
  weights: WrittenWeights,
): Promise<FileDigest[]> {
  const files: FileDigest[] = [{ file: weightsFile, size: weights.size, sha256: weights.sha256 }];
  for (const kv of ['fp32', 'int8'] as const) {
    const writer = writeDecoder(spec, { ...format, kv }, source);
    const graph = graphOf('decoder', writer, weights, decoderInterface(spec, kv));
    files.push(await writeModel(directory, modelFiles[kv], forCpu(graph, format), builderVersion));
    if (format.ownKernels === true) continue;
    const guarded = { ...graph, ...withCopyGuard(writer, graph.outputs) };
    files.push(await writeModel(directory, bindingModelFiles[kv], guarded, builderVersion));
  }
  if (format.ownKernels !== true || !hasOwnProducts(format.precision)) {
    const device = writeDecoder(spec, { ...format, target: 'device', kv: 'fp32' }, source);
    const deviceGraph = graphOf('decoder', device, weights, decoderInterface(spec, 'fp32'));
    files.push(await writeModel(directory, deviceFile, deviceGraph, builderVersion));
  }
  const writer = writeDecoder(spec, { ...format, kv: 'fp32', answers: 'states' }, source);
  const graph = graphOf('states', writer, weights, statesInterface(spec));
  files.push(await writeModel(directory, statesFile, forCpu(graph, format), builderVersion));
  return files;
}

/** The graph that the cpu runs through the C API. */
function forCpu(graph: GraphProto, { ownKernels }: Entry['format']): GraphProto {
  if (ownKernels !== true) return graph;
  const kept = new Set(graph.outputs.map(({ name }) => name));
  return { ...graph, nodes: fusedNodes(graph.nodes, kept) };
}

/** The sequence output that keeps the official binding from copying the KV cache; see kernels/onnx/ort-binding.ts. */
function withCopyGuard(writer: GraphWriter, outputs: readonly ValueInfo[]) {
  const name = 'copy_guard';
  const inputs = ['logsumexp'];
  const node = { operator: 'SequenceConstruct', domain: '', name, inputs, outputs: [name], attributes: {} };
  const guard: ValueInfo = { name, type: 'float', shape: ['rows'], sequence: true };
  return { nodes: [...writer.nodes, node], outputs: [guard, ...outputs] };
}
