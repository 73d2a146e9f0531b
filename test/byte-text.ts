// The smallest tokenizer there is: token id = byte, 256 and above are special. For tests that must cut text at
// any byte, inside a character too.
import type { IncrementalText } from '../server/generation/generation.ts';

export const BYTE_EOS = 256;
export const BYTE_VOCAB_SIZE = 260;

export function encodeBytes(text: string): Int32Array {
  return Int32Array.from(Buffer.from(text, 'utf8'));
}

/** Whole characters only, as they become complete. */
export class ByteText implements IncrementalText {
  readonly #decoder = new TextDecoder();

  push(id: number): string {
    return id < 256 ? this.#decoder.decode(Uint8Array.of(id), { stream: true }) : '';
  }

  flush(): string {
    return this.#decoder.decode();
  }
}
