// Text of our own on which ranges of activations, keys and values are measured: what a coding model usually reads, and
// the vocabulary's width. It must stay apart from the texts that quality is measured on (test/quality/text).
// Read where devices measure a model.
import type { ModelSpec } from '../spec.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

export const calibrationVersion = 2; // raise it with anything that changes the tokens or what is made of them

/** Code, prose and the whole vocabulary, so that every channel shows what it can do. */
export function calibrationTokens({
  tokenizer,
  spec,
}: {
  readonly tokenizer: Tokenizer;
  readonly spec: ModelSpec;
}): Int32Array {
  const text = tokenizer.encode(calibrationText);
  const stride = Math.max(1, Math.floor(tokenizer.vocabSize / 256));
  const spread = Array.from({ length: 256 }, (_, index) => (index * stride) % tokenizer.vocabSize);
  return Int32Array.from([...tokenizer.startIds, ...text, ...spread]).subarray(0, spec.contextLength);
}

const calibrationText = `import { readFile } from 'node:fs/promises';

/** Counts the words of a file; throws if it cannot be read. */
export async function countWords(path: string, { min = 1 } = {}): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const word of (await readFile(path, 'utf8')).split(/\\s+/)) {
    if (word.length >= min) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

class Point:
    def __init__(self, x: float = 0.0, y: float = -1.5e3) -> None:
        self.x, self.y = x, y

# The quick brown fox asks: "Why is 7 * 6 == 42, and not 0x2B?" — because it is.
SELECT name, COUNT(*) FROM users WHERE age > 30 GROUP BY name ORDER BY 2 DESC;
<div class="row"><a href="https://example.org/?q=1&r=2">Über größe</a></div>
{"type": "function", "function": {"name": "apply_patch", "arguments": "{}"}}
`;
