// The models in a directory: those that lie in it, and those of owners' folders in it, as the hub names them. Looks at names
// and at what a folder holds, reads no file. Before it: --models-dir; after it: model.ts and encoder/encoder-config.ts.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beginsGguf, ggufName } from './gguf-name.ts';
import { CheckpointError } from './model-file.ts';

export interface FoundModel {
  readonly name: string; // NAME, or OWNER/NAME
  readonly path: string;
}

const MODELS_MAX = 1024;

/** Sorted by name. Throws CheckpointError when there is no such directory, or more than can be listed. */
export function modelsIn(directory: string): readonly FoundModel[] {
  const found = [...placesIn(directory, '')];
  if (found.length > MODELS_MAX)
    throw new CheckpointError(`${found.length} models are more than ${MODELS_MAX}`, { file: directory });
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function* placesIn(directory: string, owner: string): Iterable<FoundModel> {
  for (const name of namesIn(directory)) {
    if (name.startsWith('.')) continue;
    const path = join(directory, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() && beginsGguf(name)) yield { name: owner + ggufName(name), path };
    if (!stat?.isDirectory()) continue;
    if (holdsModel(path)) yield { name: owner + name, path };
    else if (owner === '') yield* placesIn(path, `${name}/`);
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    throw new CheckpointError(`cannot be read: ${(error as Error).message}`, {
      file: directory,
      cause: error,
    });
  }
}

function holdsModel(directory: string): boolean {
  if (['config.json', 'genai_config.json'].some((name) => existsSync(join(directory, name)))) return true;
  const files = readdirSync(directory).filter(beginsGguf);
  return files.length === 1; // several are models of their own, below their owner's name
}
