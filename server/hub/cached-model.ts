// A model that is in the cache already, whole: found without the network. Owns what "whole" means. Used by pull.ts and
// by the command line.
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { hubFolder, MAIN, snapshotOf, snapshotsOf } from '../../models/files/hub-cache.ts';
import { jsonFile } from '../base/json-text.ts';
import { chooseFiles, type FileChoice } from './file-choice.ts';
import { HubError } from './hub-error.ts';
import type { HubReference } from './reference.ts';

export interface CachedModel {
  readonly directory: string; // of the snapshot
  readonly path: string; // what is opened: the directory, or a GGUF file in it
}

/**
 * Null when it is not there, or not all of it. Where the name means main, a file that only an older snapshot has is as
 * good: what was once pulled can be served.
 */
export function findCached(reference: HubReference, cacheDirectory: string): CachedModel | null {
  const folder = hubFolder(cacheDirectory, reference.id);
  const meant = snapshotOf(folder, reference.revision);
  const older = reference.revision === MAIN ? snapshotsOf(folder) : [];
  for (const directory of meant === null ? older : [meant, ...older]) {
    const found = findIn(directory, reference);
    if (found !== null) return found;
  }
  return null;
}

function findIn(directory: string, reference: HubReference): CachedModel | null {
  const paths = snapshotFiles(directory);
  const choice = choiceOrNull(paths, reference);
  if (choice === null) return null;
  if (choice.kind === 'gguf') return { directory, path: openedPath(directory, choice) };
  const shards = choice.isIndex ? shardsOf(join(directory, choice.weights[0]!)) : [];
  const isWhole =
    shards.every((name) => paths.includes(name)) &&
    choice.settings.some((name) => name.startsWith('tokenizer.'));
  return isWhole ? { directory, path: directory } : null;
}

/** What is given to the loader of models. */
export function openedPath(directory: string, choice: FileChoice): string {
  return choice.kind === 'gguf' ? join(directory, ...choice.parts[0]!.split('/')) : directory;
}

/** Names of the shards that an index lists, sorted. Throws HubError. */
export function shardsOf(indexPath: string): readonly string[] {
  const refuse = (problem: string) => new HubError('answer', `${indexPath}: ${problem}`);
  const index = jsonFile(indexPath, refuse);
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw refuse('has no weight_map');
  const names = [...new Set(Object.values(map))];
  if (!names.every((name) => typeof name === 'string' && /^[\w-][\w.-]*\.safetensors$/.test(name))) {
    throw refuse('weight_map: names something other than safetensors files beside it');
  }
  return (names as string[]).sort();
}

/** Paths of the files in a snapshot, with forward slashes; links whose blob is gone are left out. */
export function snapshotFiles(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => existsSync(file))
    .map((file) => relative(directory, file).split(sep).join('/'));
}

function choiceOrNull(paths: readonly string[], reference: HubReference): FileChoice | null {
  try {
    return chooseFiles(paths, reference);
  } catch (error) {
    if (error instanceof HubError) return null;
    throw error;
  }
}
