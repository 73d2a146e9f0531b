// Fields that peers have and that are not served here: known, so that a value that asks for something is refused by name instead
// of being dropped without a word. Owns which values ask for nothing. Pure. Before it: the dialects; after it: fields.ts.
import { z } from 'zod';

/** Only a value that asks for nothing is taken: absent, null, or one of these. */
export function unserved(...idle: readonly (boolean | number)[]) {
  return z
    .unknown()
    .refine((value) => value == null || idle.some((one) => one === value) || isEmpty(value), {
      message: 'is not served here',
    })
    .meta({ enum: [null, ...idle] })
    .optional();
}

/** Ways of drawing that vLLM, llama-server and others have; each would change what the answer is. */
export const unservedSampling = {
  use_beam_search: unserved(false),
  length_penalty: unserved(1, 0),
  mirostat: unserved(0),
  dynatemp_range: unserved(0),
  typical_p: unserved(1, 0),
  tfs_z: unserved(1, 0),
  top_a: unserved(0),
  top_n_sigma: unserved(-1, 0),
  xtc_probability: unserved(0),
  dry_multiplier: unserved(0),
};

/** What vLLM could tell besides, or be told: of tokens, of media, of how long to reason. */
export const unservedOfVllm = {
  logprob_token_ids: unserved(),
  thinking_token_budget: unserved(),
  repetition_detection: unserved(),
  watermarking: unserved(),
  prompt_embeds: unserved(),
  mm_payload: unserved(),
  mm_processor_kwargs: unserved(),
  media_io_kwargs: unserved(),
  return_mm_kwargs: unserved(false),
  return_prompt_text: unserved(false),
  return_token_offsets: unserved(false),
  return_weight_versions: unserved(false),
  routed_experts_prompt_start: unserved(),
};

/** What else a chat could be told. */
export const unservedOfChats = {
  chat_template: unserved(), // the model's own is used
  documents: unserved(),
  echo: unserved(false),
  include_reasoning: unserved(true),
  add_special_tokens: unserved(false), // the template writes them
  web_search_options: z.null('is not served here').optional(), // {} asks for a search, too
};

function isEmpty(value: unknown): boolean {
  return value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}
