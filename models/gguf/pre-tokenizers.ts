// The pre-tokenizers that GGUF files name instead of writing them out: each name's steps as tokenizer.json has them.
// Before it: gguf-tokenizer.ts; after it: text-splitter.ts.
import type { Step } from '../tokenizer-step.ts';
import type { GgufMetadata } from './gguf-metadata.ts';

// Source: tokenizer.json of Qwen2.
const qwen2Pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const gpt2: Step = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
const bytes: Step = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
const splitAt = (pattern: string): Step => ({
  ...{ type: 'Split', pattern: { Regex: pattern } },
  ...{ behavior: 'Isolated', invert: false },
});

const steps: ReadonlyMap<string, readonly Step[]> = new Map([
  ['smollm', [{ type: 'Digits', individual_digits: true }, gpt2]],
  ['qwen2', [splitAt(qwen2Pattern), bytes]],
  ['gpt-2', [gpt2]],
]);

/** Throws CheckpointError for a name that is not known. */
export function preTokenizer(metadata: GgufMetadata, key: string): Step {
  const name = metadata.text(key) ?? 'gpt-2';
  const found = steps.get(name);
  if (found !== undefined) return { type: 'Sequence', pretokenizers: found };
  throw metadata.refuse(key, `${name} is not supported (only ${[...steps.keys()].join(', ')})`);
}
