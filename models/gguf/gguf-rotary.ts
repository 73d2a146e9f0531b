// Rotary settings of GGUF metadata, and the tensors of divisors beside them, → the fields of ModelSpec. Before it:
// gguf-file.ts; after it: gguf-spec.ts.
import { CheckpointError } from '../files/model-file.ts';
import type { ModelSpec, RopeScaling } from '../spec.ts';
import type { GgufArchitecture } from './gguf-architectures.ts';
import { decodeBlocks, type GgufFile, readBlocks } from './gguf-file.ts';
import type { GgufMetadata } from './gguf-metadata.ts';

/** Tensors that are part of the rotary embedding, not of a layer. */
export const rotaryTensors = ['rope_freqs.weight', 'rope_factors_long.weight', 'rope_factors_short.weight'];

const ropeThetaDefault = 10_000; // source: llama.cpp, where rope.freq_base is absent

interface RotaryContext {
  readonly prefix: string; // of the architecture's keys
  readonly headSize: number;
  readonly contextLength: number; // as the metadata say
  readonly localRopeTheta: GgufArchitecture['localRopeTheta'];
  readonly isYarnTruncated: boolean;
}

/** Throws CheckpointError with the key or the tensor. */
export function ggufRotary(
  gguf: GgufFile,
  metadata: GgufMetadata,
  { prefix, headSize, contextLength, localRopeTheta, isYarnTruncated }: RotaryContext,
): Pick<
  ModelSpec,
  'ropeTheta' | 'localRopeTheta' | 'ropeScaling' | 'rotarySize' | 'contextLength' | 'scoreGrowth'
> {
  const sizeKey = `${prefix}.rope.dimension_count`;
  const rotarySize = metadata.count(sizeKey) ?? headSize;
  if (rotarySize === 0 || rotarySize > headSize || rotarySize % 2 !== 0) {
    const bound = `only the head's size, ${headSize}, or a smaller even one`;
    throw metadata.refuse(sizeKey, `${rotarySize} is not supported (${bound})`);
  }
  const key = (name: string) => `${prefix}.rope.scaling.${name}`;
  const ropeScaling = scalingOf(gguf, metadata, { key, rotarySize, contextLength, isYarnTruncated });
  const stretched =
    ropeScaling?.kind === 'yarn' ? Math.floor(ropeScaling.originalContextLength * ropeScaling.factor) : 0;
  const ropeTheta = metadata.number(`${prefix}.rope.freq_base`) ?? ropeThetaDefault;
  const hasWindow = (metadata.count(`${prefix}.attention.sliding_window`) ?? 0) > 0;
  const unscaled = hasWindow ? ropeTheta : null;
  const localDefault = localRopeTheta === 'main' ? unscaled : localRopeTheta;
  return {
    ropeTheta,
    localRopeTheta:
      localDefault === null ? null : (metadata.number(`${prefix}.rope.freq_base_swa`) ?? localDefault),
    scoreGrowth: growthOf(metadata, { prefix, contextLength }),
    ropeScaling,
    rotarySize,
    contextLength: Math.max(contextLength, stretched),
  };
}

interface ScalingContext {
  readonly key: (name: string) => string;
  readonly rotarySize: number;
  readonly contextLength: number;
  readonly isYarnTruncated: boolean;
}

function scalingOf(gguf: GgufFile, metadata: GgufMetadata, context: ScalingContext): RopeScaling | null {
  const { key, rotarySize, contextLength, isYarnTruncated } = context;
  const [single, long, short] = rotaryTensors.map((name) => divisorsOf(gguf, name, rotarySize / 2));
  if (single) return { kind: 'divisors', divisors: single };
  const original = metadata.count(key('original_context_length')) ?? contextLength;
  if (long && short) {
    return {
      kind: 'longrope',
      shortDivisors: short,
      longDivisors: long,
      magnitude: metadata.number(key('attn_factor')) ?? 1,
      originalContextLength: original,
    };
  }
  const type = metadata.text(key('type')) ?? 'none';
  const factor = metadata.number(key('factor')) ?? 0; // 0: none, source: llama.cpp
  if (type !== 'none' && type !== 'linear' && type !== 'yarn')
    throw metadata.refuse(key('type'), `${type} is not supported (only none, linear, yarn)`);
  if (type === 'none' || factor === 0 || factor === 1) return null;
  if (factor < 0) throw metadata.refuse(key('factor'), `${factor} is not positive`);
  if (type === 'linear') return { kind: 'linear', factor };
  const extended = metadata.number(key('yarn_ext_factor')) ?? 0;
  if (extended !== 0 && extended !== 1)
    throw metadata.refuse(key('yarn_ext_factor'), `${extended} is not supported`);
  // As attention_factor and mscale_all_dim of transformers, the latter beside an mscale of 1. Source: llama.cpp's converter.
  const everywhere = metadata.number(key('yarn_log_multiplier')) ?? 0;
  const grown = (weight: number) => 1 + 0.1 * weight * Math.log(Math.max(factor, 1));
  return {
    kind: 'yarn',
    factor,
    betaFast: metadata.number(key('yarn_beta_fast')) ?? 32,
    betaSlow: metadata.number(key('yarn_beta_slow')) ?? 1,
    truncate: isYarnTruncated,
    magnitude: metadata.number(key('yarn_attn_factor')) ?? grown(1) / grown(everywhere),
    originalContextLength: original,
  };
}

/** The length is the original context, which no key of its own says. Source: llama.cpp. */
function growthOf(
  metadata: GgufMetadata,
  { prefix, contextLength }: Pick<RotaryContext, 'prefix' | 'contextLength'>,
): ModelSpec['scoreGrowth'] {
  const beta = metadata.number(`${prefix}.attention.temperature_scale`) ?? 0;
  if (beta === 0) return null;
  const original = metadata.count(`${prefix}.rope.scaling.original_context_length`);
  return { beta, length: original || contextLength };
}

/** Null where the file has no such tensor. */
function divisorsOf({ tensors }: GgufFile, name: string, count: number): readonly number[] | null {
  const tensor = tensors.get(name);
  if (tensor === undefined) return null;
  const values = decodeBlocks(name, tensor, readBlocks(tensor));
  if (values.length === count && values.every((value) => Number.isFinite(value) && value > 0))
    return [...values];
  throw new CheckpointError(`expected ${count} positive numbers`, { file: tensor.path, field: name });
}
