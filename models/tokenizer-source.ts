// Where a model's tokenizer is written down: tokenizer.json in its directory, or the metadata of its GGUF file.
// Before it: a path from model.ts; after it: tokenizer.ts.
import { join } from 'node:path';
import { findGguf } from './gguf/find-gguf.ts';
import { openGguf } from './gguf/gguf-file.ts';
import { ggufTokenizer } from './gguf/gguf-tokenizer.ts';
import { readTokenizerFile, type TokenizerFile } from './tokenizer-file.ts';

/** Throws CheckpointError. */
export function readTokenizer(path: string): TokenizerFile {
  const gguf = findGguf(path);
  return gguf === null ? readTokenizerFile(join(path, 'tokenizer.json')) : ggufTokenizer(openGguf(gguf));
}
