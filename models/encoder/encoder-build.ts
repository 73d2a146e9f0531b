// An encoder's checkpoint becomes a graph on disk, in the cache folder of all graphs. Owns the entry's content and its key.
// Before it: encoder-checkpoint.ts; after it: kernels/onnx/embedder.ts opens the file.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { hashFiles, openEntry } from '../files/cache.ts';
import { type BuildProgress, graphOf, weightsFile, writeModel, writeWeights } from '../graph/graph-files.ts';
import { tensorSize } from '../graph/graph-writer.ts';
import type { Precision } from '../graph/precision.ts';
import type { EncoderCheckpoint } from './encoder-checkpoint.ts';
import { encoderInterface, writeEncoder } from './encoder-graph.ts';
import { type EncoderSpec, encoderWeightCount } from './encoder-spec.ts';

// Part of every entry's key: raise it whenever the same checkpoint would give other files.
const builderVersion = '1';
const modelFile = 'encoder.onnx';

export interface BuiltEncoder {
  readonly modelPath: string;
  readonly spec: EncoderSpec;
  readonly precision: Precision;
  readonly contentHash: string; // hex; equal hashes have equal files
}

export interface EncoderBuildOptions {
  readonly precision: Precision;
  readonly cacheDirectory: string; // created if missing
  readonly onProgress?: (progress: BuildProgress) => void;
}

/** Built unless a sound entry is there. Rejects with CheckpointError or the file system's errors, and leaves no half entry. */
export async function buildEncoder(
  checkpoint: EncoderCheckpoint,
  { precision, cacheDirectory, onProgress = () => undefined }: EncoderBuildOptions,
): Promise<BuiltEncoder> {
  const { spec, weightFiles } = checkpoint;
  const { name: _name, ...dimensions } = spec;
  const hash = createHash('sha256').update(
    JSON.stringify(['encoder', builderVersion, precision, dimensions]),
  );
  for (const digest of await hashFiles(weightFiles, cacheDirectory)) hash.update(digest);
  const contentHash = hash.digest('hex').slice(0, 32);
  const entry = await openEntry({
    cacheDirectory,
    key: `encoder-${precision}-${contentHash}`,
    async build(directory) {
      const writer = writeEncoder(spec, precision, checkpoint);
      const weights = await writeWeights(join(directory, weightsFile), writer.recipes, onProgress);
      const graph = graphOf('encoder', writer, weights, encoderInterface(spec));
      const model = await writeModel(directory, modelFile, graph, builderVersion);
      return [{ file: weightsFile, size: weights.size, sha256: weights.sha256 }, model];
    },
  });
  return { modelPath: join(entry.directory, modelFile), spec, precision, contentHash };
}

/** Bytes of the weights, from the dimensions alone. */
export function encoderSize(checkpoint: EncoderCheckpoint, precision: Precision): number {
  const { recipes } = writeEncoder(checkpoint.spec, precision, checkpoint);
  return recipes.flatMap(({ tensors }) => tensors).reduce((sum, tensor) => sum + tensorSize(tensor), 0);
}

// Up to this many weights fp32 takes no more memory than anybody has, and a text few milliseconds; larger ones gain more by
// 8 bits than they lose (a cosine of 0.999 with themselves).
const floatWeightsMax = 50e6;

export function defaultEncoderPrecision(spec: EncoderSpec): Precision {
  return encoderWeightCount(spec) <= floatWeightsMax ? 'fp32' : 'int8';
}
