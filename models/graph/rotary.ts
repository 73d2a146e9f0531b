// Rotary position tables: cos and sin of every position and frequency, with the scaling of long-context models
// folded in. Pure. Before it: decoder.ts makes them initializers; GroupQueryAttention reads them.
import type { Llama3RopeScaling, ModelSpec } from '../spec.ts';

export interface RotaryTables {
  readonly cos: Float32Array; // [contextLength, headSize / 2]
  readonly sin: Float32Array; // [contextLength, headSize / 2]
}

/** Angles are computed in double precision; a table takes contextLength · headSize · 2 bytes. */
export function rotaryTables(spec: ModelSpec): RotaryTables {
  const frequencies = rotaryFrequencies(spec); // [headSize / 2] radians per token
  const count = frequencies.length;
  const cos = new Float32Array(spec.contextLength * count);
  const sin = new Float32Array(spec.contextLength * count);
  for (let position = 0; position < spec.contextLength; position++) {
    for (let index = 0; index < count; index++) {
      const angle = position * frequencies[index]!;
      cos[position * count + index] = Math.cos(angle);
      sin[position * count + index] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

function rotaryFrequencies(spec: ModelSpec): Float64Array {
  const frequencies = new Float64Array(spec.headSize / 2);
  for (let index = 0; index < frequencies.length; index++) {
    const frequency = spec.ropeTheta ** ((-2 * index) / spec.headSize);
    frequencies[index] = scaled(frequency, index, spec.ropeScaling);
  }
  return frequencies;
}

function scaled(frequency: number, index: number, scaling: ModelSpec['ropeScaling']): number {
  if (scaling === null) return frequency;
  if (scaling.kind === 'divisors') return frequency / scaling.divisors[index]!;
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  return scaledLlama3(frequency, scaling);
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
