// Decoders of random weights, to measure a machine with: real graphs on real kernels, of sizes that tell a layer's own time from
// its weights'. Held in no file: a Checkpoint that makes its values when it is read. Before it: probe-run.ts.
import { mix32 } from '../../../kernels/random.ts';
import { type ModelSpec, plainDecoder } from '../../../models/spec.ts';
import { requiredTensors } from '../../../models/weights/required-tensors.ts';
import type { Checkpoint } from '../../../models/weights/weights.ts';

export interface ProbeSizes {
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly ffnSize: number;
}

const headSize = 64;
const queriesPerKv = 3; // heads that share keys and values
const vocabSize = 512; // small: the output projection is a product like others
const spread = 0.02; // of weights, as of a fresh model

/** Llama's kind, without biases. */
export function probeCheckpoint({ layerCount, hiddenSize, ffnSize }: ProbeSizes): Checkpoint {
  const headCount = hiddenSize / headSize;
  const spec: ModelSpec = {
    ...{ name: `probe-${layerCount}x${hiddenSize}`, architecture: 'llama', ...plainDecoder },
    ...{ vocabSize, hiddenSize, layerCount, headCount, headSize, ffnSize, experts: null },
    ...{ kvHeadCount: headCount / queriesPerKv, contextLength: 4096, rmsNormEps: 1e-5, activation: 'silu' },
    layers: Array.from({ length: layerCount }, () => ({ window: null, rotary: 'main' })),
    ...{ rotarySize: headSize, ropeTheta: 10_000, localRopeTheta: null, ropeScaling: null },
    ...{ embeddingMultiplier: 1, residualMultiplier: 1, attentionMultiplier: 1 / Math.sqrt(headSize) },
    ...{
      logitMultiplier: 1,
      attentionSoftCap: null,
      logitSoftCap: null,
      tiedEmbeddings: true,
      scoreGrowth: null,
    },
    ...{ qkvBias: false, attentionOutputBias: false, mlpBias: false, bosTokenId: null, eosTokenIds: [] },
  };
  const shapes = requiredTensors(spec);
  return {
    ...{ spec, path: spec.name, weightFiles: [], variant: spec.name },
    has: (name) => shapes.has(name),
    typeOf: () => 'F32',
    shape: (name) => shapes.get(name)!,
    read: (name) => valuesOf(shapes.get(name)!),
  };
}

/** Weights of one layer's products. */
export function probeLayerWeights({ hiddenSize, ffnSize }: Omit<ProbeSizes, 'layerCount'>): number {
  return hiddenSize * (2 * hiddenSize + (2 * hiddenSize) / queriesPerKv + 3 * ffnSize);
}

// Norms are ones; matrices repeat a strip of noise, which is as quick to multiply with as any other values.
function valuesOf(shape: readonly number[]): Float32Array {
  const size = shape.reduce((product, length) => product * length, 1);
  const values = new Float32Array(size);
  if (shape.length === 1) return values.fill(1);
  const strip = Math.min(size, stripLength);
  for (let index = 0; index < strip; index++) values[index] = (mix32(index) / 2 ** 32 - 0.5) * 2 * spread;
  for (let at = strip; at < size; at += strip) values.copyWithin(at, 0, Math.min(strip, size - at));
  return values;
}

const stripLength = 65_521; // prime: rows differ
