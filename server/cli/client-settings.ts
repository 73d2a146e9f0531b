// What `sparklane claude` and `sparklane codex` have in common: what a client has to know of the server, and files that a person
// may have written. Before it: claude.ts and codex.ts; after it: the model's config and the file system.
import { readFile } from 'node:fs/promises';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { resolveModel } from '../../models/model.ts';
import { boundsForModel, type Config } from '../config/config.ts';

/** Where settings go, and over what. */
export interface WritingOptions {
  readonly write: boolean; // else they are printed
  readonly directory: string | null; // null: where the client looks by itself
  readonly force: boolean; // over what a person has written there
}

export type ServedFacts = ReturnType<typeof servedFacts>;

/** Throws ConfigError or CheckpointError. */
export function servedFacts(config: Config) {
  const spec = readModelSpec(resolveModel(config.model));
  return {
    url: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${config.port}`,
    model: spec.name,
    contextTokens: boundsForModel(config, spec).contextTokens,
    needsKey: config.apiKeys.length > 0,
  };
}

/** Null where there is no such file. */
export async function readOptional(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
