// Presets: models by names of their own in the config file, each with the settings in which it differs. Owns which settings
// those are; their types and bounds are the options'. Before it: config.ts; after it: catalogue/.
import { OPTIONS, type OptionName, type OptionValues } from './options.ts';

const PRESET_OPTIONS = [
  ...(['model', 'aliases', 'lora', 'temperature', 'topP', 'topK', 'minP', 'repetitionPenalty'] as const),
  ...(['precision', 'kvPrecision', 'slots', 'contextTokens', 'kvCacheSizeMax', 'idleUnloadMs'] as const),
];
const known: ReadonlySet<string> = new Set(PRESET_OPTIONS);
const PRESET_COUNT_MAX = 256;
const NAME = /^[^\s/]{1,128}(\/[^\s/]{1,128})?$/; // NAME or OWNER/NAME

export interface ModelPreset {
  readonly name: string; // as requests call it
  readonly values: Pick<OptionValues, 'model'> & Partial<Pick<OptionValues, (typeof PRESET_OPTIONS)[number]>>;
}

/** `refuse` says where, what was given and what would be accepted. */
export function readPresets(
  given: unknown,
  refuse: (option: string, value: unknown, bound: string) => Error,
): readonly ModelPreset[] {
  if (given === undefined) return [];
  if (!isObject(given)) throw refuse('models', given, 'an object: settings of a model by its name');
  const entries = Object.entries(given);
  if (entries.length > PRESET_COUNT_MAX)
    throw refuse('models', entries.length, `at most ${PRESET_COUNT_MAX} models`);
  return entries.map(([name, settings]) => {
    const where = `models.${name}`;
    if (!NAME.test(name)) throw refuse(where, name, 'a name without spaces, NAME or OWNER/NAME');
    if (!isObject(settings)) throw refuse(where, settings, 'an object of settings');
    const values: Record<string, unknown> = {};
    for (const [option, value] of Object.entries(settings)) {
      if (!known.has(option))
        throw refuse(`${where}.${option}`, value, `one of ${PRESET_OPTIONS.join(', ')}`);
      const { type, bound } = OPTIONS[option as OptionName];
      const parsed = type.safeParse(value);
      if (!parsed.success) throw refuse(`${where}.${option}`, value, bound);
      values[option] = parsed.data;
    }
    if (values['model'] === undefined) throw refuse(`${where}.model`, null, OPTIONS.model.bound);
    return { name, values: values as unknown as ModelPreset['values'] };
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
