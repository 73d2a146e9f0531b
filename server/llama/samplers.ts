// llama-server's `samplers`: which ways of narrowing the choice are on. Owns their names and which of ours each one is;
// our order is fixed (kernels/sampling.ts), so of a list only the members count. Pure. Before it: infill.ts; after it: chat/fields.ts.

import type { CommonFields } from '../chat/fields.ts';
import type { GenerationRequest } from '../generation/generation.ts';

/** In the order in which they are applied here. */
const NAMES = ['penalties', 'temperature', 'min_p', 'top_k', 'top_p'] as const;

type SamplerName = (typeof NAMES)[number];

// temperature is no filter: without it the model's own stays. An editor that lists only its filters, `infill` among them
// (which leaves little but the likeliest token), means no warmer answers than one that lists nothing.
const off: Readonly<Record<SamplerName, Partial<CommonFields>>> = {
  penalties: { repetition_penalty: 1, frequency_penalty: 0, presence_penalty: 0 },
  temperature: {},
  min_p: { min_p: 0 },
  top_k: { top_k: 0 },
  top_p: { top_p: 1 },
};

/** The fields with everything switched off that a list does not name; null: nothing was said. */
export function withSamplers<F extends CommonFields>(fields: F, listed: readonly string[] | null): F {
  if (listed === null) return fields;
  const left = NAMES.filter((name) => !listed.includes(name));
  return Object.assign({ ...fields }, ...left.map((name) => off[name])) as F;
}

/** What narrows the choice of a generation's tokens, in order. */
export function samplersOf(generation: GenerationRequest): readonly SamplerName[] {
  const { repetitionPenalty, frequencyPenalty, presencePenalty, temperature, minP, topK, topP } = generation;
  const isOn: Readonly<Record<SamplerName, boolean>> = {
    penalties: repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0,
    temperature: temperature !== 1,
    min_p: minP > 0,
    top_k: topK > 0,
    top_p: topP < 1,
  };
  return NAMES.filter((name) => isOn[name]);
}
