// Rotary settings of a Hugging Face config.json → the fields of ModelSpec. transformers ≥ 5 writes `rope_parameters`, one
// set or one per kind of layer; older files have `rope_theta` beside an optional `rope_scaling`. Refuses, with the
// field's name, what is incomplete or of another kind. Before it: config-fields.ts; after it: checkpoint/checkpoint-config.ts.

import { CheckpointError } from '../files/model-file.ts';
import type { ModelSpec, RopeScaling } from '../spec.ts';
import { type ConfigFields, type RotarySettings, rotarySchema } from './config-fields.ts';

const ropeThetaDefault = 10_000; // base of the frequencies; source: transformers 4 Llama and Qwen2 configs

type Rotary = Pick<
  ModelSpec,
  'ropeTheta' | 'localRopeTheta' | 'ropeScaling' | 'rotarySize' | 'contextLength' | 'scoreGrowth'
>;

/** What a model's rotary embedding is, and how long a context it is made for. Throws CheckpointError. */
export function rotaryOf(
  config: ConfigFields,
  { file, headSize, isPartial }: { file: string; headSize: number; isPartial: boolean },
): Rotary {
  const { section, settings, localTheta } = settingsOf(config, file);
  const refuse: Refuse = (field, problem) => new CheckpointError(problem, { file, field });
  const share = settings.partial_rotary_factor ?? config.partial_rotary_factor ?? 1;
  if (share !== 1 && !isPartial) {
    const field = settings.partial_rotary_factor === undefined ? '' : `${section}.`;
    throw refuse(`${field}partial_rotary_factor`, `${share} is not supported (only 1)`);
  }
  const rotarySize = Math.floor(headSize * share);
  if (rotarySize === 0 || rotarySize % 2 !== 0 || rotarySize > headSize) {
    const problem = `${share} turns ${rotarySize} of ${headSize} elements of a head (only even numbers of them are supported)`;
    throw refuse('partial_rotary_factor', problem);
  }
  const within = (field: string, problem: string) => refuse(`${section}.${field}`, problem);
  const ropeScaling = scalingOf(settings, { config, rotarySize, refuse: within });
  return {
    ropeTheta: settings.rope_theta ?? config.rope_theta ?? ropeThetaDefault,
    localRopeTheta: localTheta ?? config.rope_local_base_freq ?? null,
    ropeScaling,
    rotarySize,
    contextLength: stretched(config.max_position_embeddings, ropeScaling),
    scoreGrowth: growthOf(settings, config),
  };
}

type Refuse = (field: string, problem: string) => CheckpointError;

/** One set of settings, or those of the layers that see everything and the base of those that see a window. */
function settingsOf(config: ConfigFields, file: string) {
  const section = config.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const settings = config.rope_parameters ?? config.rope_scaling ?? ({} as RotarySettings);
  if (!('full_attention' in settings)) return { section, settings, localTheta: null };
  const refuse = (field: string, problem: string) =>
    new CheckpointError(problem, { file, field: `${section}.${field}` });
  if (config.rope_local_base_freq === undefined) {
    throw refuse('full_attention', 'settings per kind of layer are not supported for this architecture');
  }
  const parsed = (kind: string): RotarySettings => {
    const result = rotarySchema.safeParse(settings[kind] ?? {});
    if (result.success) return result.data;
    throw refuse(kind, result.error.issues[0]!.message);
  };
  const local = parsed('sliding_attention');
  const localType = local.rope_type ?? 'default';
  if (localType !== 'default') {
    throw refuse('sliding_attention', `rope_type ${localType} is not supported there (only default)`);
  }
  return {
    section: `${section}.full_attention`,
    settings: parsed('full_attention'),
    localTheta: local.rope_theta ?? null,
  };
}

function growthOf(settings: RotarySettings, config: ConfigFields): ModelSpec['scoreGrowth'] {
  const { llama_4_scaling_beta: beta, original_max_position_embeddings: original } = settings;
  if (!beta) return null;
  return { beta, length: original ?? config.max_position_embeddings };
}

/** YaRN and dynamic scaling are for texts longer than what `max_position_embeddings` may still say. */
function stretched(tokens: number, scaling: RopeScaling | null): number {
  if (scaling?.kind !== 'yarn' && scaling?.kind !== 'dynamic') return tokens;
  return Math.max(tokens, Math.floor(scaling.originalContextLength * scaling.factor));
}

interface ScalingContext {
  readonly config: ConfigFields;
  readonly rotarySize: number;
  readonly refuse: Refuse;
}

function scalingOf(
  settings: RotarySettings,
  { config, rotarySize, refuse }: ScalingContext,
): RopeScaling | null {
  const type = settings.rope_type ?? settings.type ?? 'default';
  const need = (field: 'factor' | 'low_freq_factor' | 'high_freq_factor'): number => {
    const value = settings[field];
    if (value == null) throw refuse(field, `is required for rope_type ${type}`);
    return value;
  };
  const original = settings.original_max_position_embeddings;
  switch (type) {
    case 'default':
      return null;
    case 'linear':
      return { kind: 'linear', factor: need('factor') };
    case 'dynamic':
      return {
        kind: 'dynamic',
        factor: need('factor'),
        originalContextLength: config.max_position_embeddings, // so transformers means it
      };
    case 'yarn':
      return yarnOf(settings, original ?? config.max_position_embeddings, config.max_position_embeddings);
    case 'longrope':
    case 'su': // its first name
      return longropeOf(settings, { config, rotarySize, refuse });
    case 'llama3':
      break;
    default: {
      const known = 'default, linear, dynamic, yarn, longrope, llama3';
      throw refuse('rope_type', `${type} is not supported (only ${known})`);
    }
  }
  if (original === undefined)
    throw refuse('original_max_position_embeddings', `is required for rope_type ${type}`);
  const [lowFreqFactor, highFreqFactor] = [need('low_freq_factor'), need('high_freq_factor')];
  if (lowFreqFactor >= highFreqFactor)
    throw refuse('high_freq_factor', `${highFreqFactor} must exceed low_freq_factor`);
  const factor = need('factor');
  return { kind: 'llama3', factor, lowFreqFactor, highFreqFactor, originalContextLength: original };
}

function yarnOf(settings: RotarySettings, originalContextLength: number, contextLength: number): RopeScaling {
  const factor = settings.factor ?? contextLength / originalContextLength;
  const scale = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const { mscale, mscale_all_dim: everywhere } = settings;
  const magnitude = mscale && everywhere ? scale(mscale) / scale(everywhere) : scale(1);
  return {
    kind: 'yarn',
    factor,
    betaFast: settings.beta_fast ?? 32,
    betaSlow: settings.beta_slow ?? 1,
    truncate: settings.truncate ?? true,
    magnitude: settings.attention_factor ?? magnitude,
    originalContextLength,
  };
}

function longropeOf(settings: RotarySettings, { config, rotarySize, refuse }: ScalingContext): RopeScaling {
  const divisors = (field: 'short_factor' | 'long_factor'): readonly number[] => {
    const values = settings[field];
    if (values?.length === rotarySize / 2) return values;
    throw refuse(field, `expected ${rotarySize / 2} numbers, found ${values?.length ?? 'none'}`);
  };
  const original = settings.original_max_position_embeddings ?? config.original_max_position_embeddings;
  const originalContextLength = original ?? config.max_position_embeddings;
  const factor = settings.factor ?? config.max_position_embeddings / originalContextLength;
  const magnitude = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContextLength));
  return {
    kind: 'longrope',
    shortDivisors: divisors('short_factor'),
    longDivisors: divisors('long_factor'),
    magnitude: settings.attention_factor ?? magnitude,
    originalContextLength,
  };
}
