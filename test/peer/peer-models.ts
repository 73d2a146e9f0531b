// The models of the contest, prepared: a directory for us, GGUF files of the same weights for llama.cpp, in a cache
// directory beside the server's own. Written once.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { resolveModel } from '../../models/model.ts';
import type { Checkpoint } from '../../models/weights/weights.ts';
import { loadConfig } from '../../server/config/config.ts';
import { type GgufFormat, writeGgufModel } from './gguf-model.ts';
import { ensureRandomModel } from './random-model.ts';

export type PeerModelName = 'nano' | 'half-b';

export interface PeerModel {
  readonly directory: string;
  gguf(format: GgufFormat): string; // path; written when first asked for
}

const writerVersion = 1; // part of the names: raise it whenever the same weights would give another file

export const cacheDirectory: string = join(
  loadConfig({ flags: {}, env: process.env }).cacheDirectory,
  'peer',
);

export function prepareModel(name: PeerModelName): PeerModel {
  mkdirSync(cacheDirectory, { recursive: true });
  const directory = name === 'nano' ? resolveModel('spark-nano') : ensureRandomModel(cacheDirectory);
  let checkpoint: Checkpoint | null = null;
  return {
    directory,
    gguf(format) {
      const path = join(cacheDirectory, `${name}-${format}-${writerVersion}.gguf`);
      if (existsSync(path)) return path;
      checkpoint ??= loadCheckpoint(directory);
      console.log(`writing ${path}`);
      writeGgufModel(path, checkpoint, format);
      return path;
    },
  };
}
