// Rotary position tables: cos and sin of every position and frequency, with the scaling of long-context models
// folded in. Pure. Before it: decoder.ts makes them initializers; GroupQueryAttention reads them.
import type {
  DynamicRopeScaling,
  Llama3RopeScaling,
  LongRopeScaling,
  ModelSpec,
  YarnRopeScaling,
} from '../spec.ts';

/** `main` as the model's scaling makes it; `local`: of windowed layers with a base of their own, unscaled. */
export type RotaryKind = 'main' | 'local';

export interface RotaryTables {
  readonly cos: Float32Array; // [contextLength, rotarySize / 2]
  readonly sin: Float32Array; // [contextLength, rotarySize / 2]
}

/** Angles are computed in double precision; a table takes contextLength · rotarySize · 2 bytes. */
export function rotaryTables(spec: ModelSpec, kind: RotaryKind = 'main'): RotaryTables {
  const scaling = kind === 'main' ? spec.ropeScaling : null;
  const magnitude = rotaryMagnitude(spec, kind);
  const count = spec.rotarySize / 2;
  const cos = new Float32Array(spec.contextLength * count).fill(1); // padding does not turn
  const sin = new Float32Array(spec.contextLength * count);
  let frequencies = rotaryFrequencies(spec, kind);
  for (let position = 0; position < spec.contextLength; position++) {
    if (scaling?.kind === 'dynamic' && position >= scaling.originalContextLength)
      frequencies = rotaryFrequencies(spec, kind, position);
    for (let index = 0; index < frequencies.length; index++) {
      const angle = position * frequencies[index]!;
      cos[position * count + index] = magnitude * Math.cos(angle);
      sin[position * count + index] = magnitude * Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** What cosines and sines are multiplied by. */
export function rotaryMagnitude({ ropeScaling: scaling }: ModelSpec, kind: RotaryKind): number {
  return kind === 'main' && (scaling?.kind === 'yarn' || scaling?.kind === 'longrope')
    ? scaling.magnitude
    : 1;
}

/** [rotarySize / 2] radians per token, at this position; of heads that were padded, without the padding. */
export function rotaryFrequencies(spec: ModelSpec, kind: RotaryKind = 'main', position = 0): Float64Array {
  const { contextLength } = spec;
  const size = spec.unpadded?.rotarySize ?? spec.rotarySize;
  const scaling = kind === 'main' ? spec.ropeScaling : null;
  let theta = kind === 'main' ? spec.ropeTheta : spec.localRopeTheta!;
  if (scaling?.kind === 'dynamic') theta *= dynamicGrowth(scaling, position + 1) ** (size / (size - 2));
  const frequencies = Float64Array.from({ length: size / 2 }, (_, index) => theta ** ((-2 * index) / size));
  if (scaling === null || scaling.kind === 'dynamic') return frequencies;
  if (scaling.kind === 'yarn') return scaledYarn(frequencies, theta, scaling);
  if (scaling.kind === 'linear') return frequencies.map((frequency) => frequency / scaling.factor);
  if (scaling.kind === 'llama3') return frequencies.map((frequency) => scaledLlama3(frequency, scaling));
  const divisors = scaling.kind === 'divisors' ? scaling.divisors : longropeDivisors(scaling, contextLength);
  return frequencies.map((frequency, index) => frequency / divisors[index]!);
}

function longropeDivisors(scaling: LongRopeScaling, contextLength: number): readonly number[] {
  return contextLength > scaling.originalContextLength ? scaling.longDivisors : scaling.shortDivisors;
}

/** Source: transformers `rope_type: "dynamic"`. */
function dynamicGrowth({ factor, originalContextLength }: DynamicRopeScaling, length: number): number {
  if (length <= originalContextLength) return 1;
  return (factor * length) / originalContextLength - (factor - 1);
}

/** Source: transformers `rope_type: "yarn"`. */
function scaledYarn(frequencies: Float64Array, theta: number, scaling: YarnRopeScaling): Float64Array {
  const { factor, betaFast, betaSlow, truncate, originalContextLength } = scaling;
  const size = 2 * frequencies.length;
  // The frequency, as a position in the table, that turns this often within the original context.
  const place = (turns: number) =>
    (size * Math.log(originalContextLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [low, high] = [place(betaFast), place(betaSlow)];
  const from = Math.max(truncate ? Math.floor(low) : low, 0);
  const to = Math.min(truncate ? Math.ceil(high) : high, size - 1);
  const width = from === to ? 0.001 : to - from;
  return frequencies.map((frequency, index) => {
    const stretched = Math.min(1, Math.max(0, (index - from) / width)); // share
    return (stretched * frequency) / factor + (1 - stretched) * frequency;
  });
}

/** Short waves stay, long ones are stretched by `factor`, those between are blended. Source: Llama 3.1's model code. */
function scaledLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalContextLength } = scaling;
  const turns = (originalContextLength * frequency) / (2 * Math.PI); // full turns within the original context
  if (turns < lowFreqFactor) return frequency / factor;
  if (turns > highFreqFactor) return frequency;
  const blend = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - blend) * frequency) / factor + blend * frequency;
}
