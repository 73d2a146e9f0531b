// What the cache holds, for `sparklane models`. Owns the reading of its folders; changes nothing.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hubIdOf, insideHubFolder } from '../../models/files/hub-cache.ts';
import { INCOMPLETE } from './blob.ts';
import { snapshotFiles } from './cached-model.ts';

export interface ListedModel {
  readonly id: string; // OWNER/NAME
  readonly files: readonly string[]; // weights in the snapshot that the name means: GGUF files, or 'safetensors'
  readonly size: number; // bytes of whole blobs
  readonly unfinishedSize: number; // bytes of cut pulls
}

/** Sorted by name. */
export function listCache(cacheDirectory: string): readonly ListedModel[] {
  if (!existsSync(cacheDirectory)) return [];
  return readdirSync(cacheDirectory)
    .filter((name) => hubIdOf(name) !== null)
    .sort()
    .map((name) => listedModel(join(cacheDirectory, name), hubIdOf(name)!));
}

function listedModel(folder: string, id: string): ListedModel {
  const snapshot = insideHubFolder(folder);
  const paths = snapshot === folder ? [] : snapshotFiles(snapshot);
  const gguf = paths.filter((path) => path.toLowerCase().endsWith('.gguf')).sort();
  const hasSafetensors = paths.some((path) => path.endsWith('.safetensors'));
  const blobs = blobSizes(join(folder, 'blobs'));
  const sum = (unfinished: boolean) =>
    blobs.filter((blob) => blob.unfinished === unfinished).reduce((total, { size }) => total + size, 0);
  return {
    id,
    files: [...(hasSafetensors ? ['safetensors'] : []), ...gguf],
    size: sum(false),
    unfinishedSize: sum(true),
  };
}

function blobSizes(directory: string): readonly { readonly size: number; readonly unfinished: boolean }[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((name) => ({
    size: statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0,
    unfinished: name.endsWith(INCOMPLETE),
  }));
}
