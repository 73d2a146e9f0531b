// What a model is called: by its place. Before it: a path; after it: checkpoint/checkpoint-config.ts and encoder/encoder-config.ts.
import { basename, resolve } from 'node:path';
import { ggufName } from './gguf-name.ts';
import { hubIdOfPath } from './hub-cache.ts';

/**
 * OWNER/NAME in Hugging Face's cache; else what its directory is called, or its GGUF file without extension and shard
 * number.
 */
export function modelName(path: string): string {
  return hubIdOfPath(path) ?? ggufName(basename(resolve(path)));
}
