// What to do instead of serving an architecture that is not computed here. Before it: nothing; after it:
// checkpoint/checkpoint-config.ts and gguf/gguf-spec.ts, which refuse before anything is converted.

const advice: readonly (readonly [RegExp, string])[] = [
  [
    /ForConditionalGeneration|^(?:qwen2vl|qwen3vl|llama4|mllama)/,
    'it also takes images or sound; take a text-only model of its family',
  ],
  [
    /Bert|^bert|nomic|Encoder|ForSequenceClassification|^t5/i,
    'it writes no text; if it embeds, serve it beside a model that does (--models-dir)',
  ],
  [
    /mamba|rwkv|jamba|hybrid|qwen3_?next|qwen35|lfm2/i,
    'it has layers without attention; take a model whose layers all attend, such as Qwen3',
  ],
  [
    /moe|mixtral|gpt_?-?oss|deepseek_?[v2]|llama4|dbrx|phimoe|glm4/i,
    'of mixtures of experts only Qwen2- and Qwen3-MoE, Mixtral, Granite-MoE and gpt-oss are computed; take one of them or a dense model',
  ],
];

/** `: why, and what to take`, or nothing where neither is known. */
export function insteadOf(architecture: string): string {
  const found = advice.find(([pattern]) => pattern.test(architecture));
  return found === undefined ? '' : `: ${found[1]}`;
}
