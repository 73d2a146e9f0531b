// What a request that says nothing about sampling gets: the author's advice (generation_config.json), else ours.
// Pure. Before it: model.ts reads the file; after it: server/text/served-model.ts.
import { z } from 'zod';

export interface SamplingDefaults {
  readonly temperature: number; // ≥ 0; 0 = greedy
  readonly topP: number; // (0, 1]; 1 = off
  readonly topK: number; // ≥ 0; 0 = off
  readonly minP: number; // [0, 1]; 0 = off
  readonly repetitionPenalty: number; // > 0; 1 = off
}

/** Where the author says nothing. A small model that is drawn from untruncated, or warmly, soon talks nonsense. */
export const plainDefaults: SamplingDefaults = {
  temperature: 0.3,
  topP: 0.95,
  topK: 40,
  minP: 0.05,
  repetitionPenalty: 1,
};

const off: SamplingDefaults = { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 };

const adviceFields = {
  temperature: z.number().min(0).max(100),
  top_p: z.number().positive().max(1),
  top_k: z.int().min(0),
  min_p: z.number().min(0).max(1),
  repetition_penalty: z.number().min(0.01).max(100),
};

type Advice = { readonly [Name in keyof typeof adviceFields]?: number };

/**
 * `config` as the author wrote it. Advice out of range is left out and told in `ignored`: it is no reason not to serve.
 * Who advises on anything means the rest to be off, as in transformers; `do_sample: false` means greedy.
 */
export function samplingDefaults(config: Readonly<Record<string, unknown>>): {
  readonly defaults: SamplingDefaults;
  readonly ignored: readonly string[];
} {
  const ignored: string[] = [];
  const advice: { -readonly [Name in keyof Advice]: Advice[Name] } = {};
  for (const [name, type] of Object.entries(adviceFields)) {
    const value = config[name];
    if (value === undefined || value === null) continue;
    const parsed = type.safeParse(value);
    if (parsed.success) advice[name as keyof Advice] = parsed.data;
    else ignored.push(`${name} = ${JSON.stringify(value)}: ${parsed.error.issues[0]!.message}`);
  }
  const greedy = config['do_sample'] === false;
  const base = greedy || Object.keys(advice).length > 0 ? off : plainDefaults;
  return {
    ignored,
    defaults: {
      temperature: greedy ? 0 : (advice.temperature ?? base.temperature),
      topP: advice.top_p ?? base.topP,
      topK: advice.top_k ?? base.topK,
      minP: advice.min_p ?? base.minP,
      repetitionPenalty: advice.repetition_penalty ?? base.repetitionPenalty,
    },
  };
}
