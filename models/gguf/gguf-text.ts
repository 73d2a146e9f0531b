// What a GGUF file says about text beyond its tokenizer: chat template, sampling advice, fill-in-the-middle tokens.
// Before it: gguf-metadata.ts; after it: model.ts.

import { samplingDefaults } from '../config/sampling-defaults.ts';
import { ChatTemplate, type TemplateTokens } from '../template/chat-template.ts';
import type { GgufMetadata } from './gguf-metadata.ts';

/** Sampling defaults, and what of them was not usable. */
export interface Advice extends ReturnType<typeof samplingDefaults> {
  readonly source: string; // where it is written, for messages
}

/** By the names of generation_config.json. */
const advised = [
  ['temperature', 'temp'],
  ['top_p', 'top_p'],
  ['top_k', 'top_k'],
  ['min_p', 'min_p'],
  ['repetition_penalty', 'penalty_repeat'],
] as const;

/** Newer files carry their author's advice under general.sampling; null for the others. */
export function ggufAdvice(metadata: GgufMetadata): Advice | null {
  const advice = advised.map(([name, key]) => [name, metadata.number(`general.sampling.${key}`)] as const);
  if (advice.every(([, value]) => value === null)) return null;
  return { source: 'general.sampling', ...samplingDefaults(Object.fromEntries(advice)) };
}

// As templates name them.
const tokenNames = [
  ['bos_token', 'bos'],
  ['eos_token', 'eos'],
  ['pad_token', 'padding'],
  ['unk_token', 'unknown'],
] as const;

/** `tokenizer.chat_template`, and the one for tools if the file has its own; null without. Throws CheckpointError. */
export function ggufTemplate(
  metadata: GgufMetadata,
  added: TemplateTokens,
  now: (() => Date) | null,
): ChatTemplate | null {
  const key = 'tokenizer.chat_template';
  const plain = metadata.text(key);
  if (plain === null) return null;
  const spellings = metadata.strings('tokenizer.ggml.tokens') ?? [];
  const tokens: Record<string, string> = {};
  for (const [name, kind] of tokenNames) {
    const id = metadata.count(`tokenizer.ggml.${kind}_token_id`);
    const spelling = id === null ? undefined : spellings[id];
    if (spelling !== undefined) tokens[name] = spelling;
  }
  const withTools = metadata.text(`${key}.tool_use`) ?? plain;
  return ChatTemplate.of({ plain, withTools, tokens, added, now, file: metadata.path, field: key });
}

/** What the file says; null where it does not, or names only a part. */
export function ggufFimTokens(
  metadata: GgufMetadata,
): { readonly prefixId: number; readonly middleId: number; readonly suffixId: number } | null {
  const [prefixId, middleId, suffixId] = ['pre', 'mid', 'suf'].map((part) =>
    metadata.count(`tokenizer.ggml.fim_${part}_token_id`),
  );
  if (prefixId == null || middleId == null || suffixId == null) return null;
  return { prefixId, middleId, suffixId };
}
