// Where a model's tokenizer is written down: tokenizer.json in its directory, or the metadata of its GGUF file.
// Before it: a path from model.ts; after it: tokenizer/tokenizer.ts.
import { join } from 'node:path';
import { findGguf } from '../gguf/find-gguf.ts';
import { openGguf } from '../gguf/gguf-file.ts';
import { ggufTokenizer } from '../gguf/gguf-tokenizer.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readTokenizerFile, type TokenizerFile } from '../tokenizer/tokenizer-file.ts';

/** Throws CheckpointError where it is missing or not supported. */
export function loadTokenizer(path: string): Tokenizer {
  return new Tokenizer(readTokenizer(path));
}

/** Throws CheckpointError. */
export function readTokenizer(path: string): TokenizerFile {
  const gguf = findGguf(path);
  return gguf === null ? readTokenizerFile(join(path, 'tokenizer.json')) : ggufTokenizer(openGguf(gguf));
}
