// The byte ⇄ character table of byte-level BPE: every byte has a printable stand-in, so that tokens can be stored
// as text in tokenizer.json. Pure data; used by tokenizer.ts.
// Source: bytes_to_unicode() of GPT-2, kept by Hugging Face tokenizers as ByteLevel.

const byteCount = 256;

/** [256] the character that stands for each byte: itself if printable in Latin-1, else U+0100 onwards in order. */
export function byteCharacters(): readonly string[] {
  let moved = 0;
  return Array.from({ length: byteCount }, (_, byte) =>
    String.fromCodePoint(isPrintable(byte) ? byte : byteCount + moved++),
  );
}

/** The inverse table. */
export function characterBytes(): ReadonlyMap<string, number> {
  return new Map(byteCharacters().map((character, byte) => [character, byte]));
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}
