// Whether two models mean the same by every token id, which is what lets one guess for the other. Pure but for reading
// their tokenizers. Before it: model.ts; used by server/device/draft-device.ts.
import type { ModelSpec } from '../spec.ts';
import type { TokenizerFile } from '../tokenizer/tokenizer-file.ts';
import { readTokenizer } from './tokenizer-source.ts';

interface ModelPlace {
  readonly path: string;
  readonly spec: ModelSpec;
}

/** The first difference in words, or null: same ids, same texts. Throws CheckpointError for a bad file. */
export function vocabularyDifference(a: ModelPlace, b: ModelPlace): string | null {
  if (a.spec.vocabSize !== b.spec.vocabSize) {
    return `it has ${b.spec.vocabSize} tokens instead of ${a.spec.vocabSize}`;
  }
  if (a.path === b.path) return null;
  const ours = textsById(readTokenizer(a.path));
  const theirs = textsById(readTokenizer(b.path));
  for (let id = 0; id < a.spec.vocabSize; id++) {
    const [own, other] = [ours.get(id), theirs.get(id)];
    if (own !== other) return `token ${id} is ${shown(other)} instead of ${shown(own)}`;
  }
  return null;
}

function textsById({ vocab, addedTokens }: TokenizerFile): ReadonlyMap<number, string> {
  const texts = new Map<number, string>();
  for (const [text, id] of vocab) texts.set(id, text);
  for (const { id, text } of addedTokens) texts.set(id, text);
  return texts;
}

function shown(text: string | undefined): string {
  return text === undefined ? 'nothing' : JSON.stringify(text);
}
