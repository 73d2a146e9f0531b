// What becomes of a character that has no token of its own: its bytes' tokens, the unknown token, or nothing. Owns the
// rules of Hugging Face tokenizers, fusing included. Used by byte-pair-encoder.ts and unigram-encoder.ts.
import type { Fallback } from './tokenizer-file.ts';

const utf8 = new TextEncoder();

/** One id for each character of `text`, or what stands in for it. */
export function characterIds(
  text: string,
  vocab: ReadonlyMap<string, number>,
  fallback: Fallback,
): Int32Array {
  const ids: number[] = [];
  let isUnknown = false; // an unknown token that waits for what it fuses with
  const flush = () => {
    if (isUnknown) ids.push(fallback.unknownId!);
    isUnknown = false;
  };
  for (const character of text) {
    const id = vocab.get(character);
    if (id !== undefined) {
      flush();
      ids.push(id);
      continue;
    }
    const bytes = fallback.toBytes ? byteTokens(character, vocab) : null;
    if (bytes) {
      ids.push(...bytes); // before an unknown token that waits: so does Hugging Face tokenizers
    } else if (fallback.unknownId !== null) {
      if (!fallback.fuses) flush();
      isUnknown = true;
    }
  }
  flush();
  return Int32Array.from(ids);
}

/** The tokens <0x..> of the bytes of `text`; null when one of them is not in the vocabulary. */
export function byteTokens(text: string, vocab: ReadonlyMap<string, number>): readonly number[] | null {
  const ids: number[] = [];
  for (const byte of utf8.encode(text)) {
    const id = vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return null;
    ids.push(id);
  }
  return ids;
}
