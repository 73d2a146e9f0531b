// The weights of a model directory: one model.safetensors, or the shards that model.safetensors.index.json lists.
// Owns which file holds which tensor; the bytes are safetensors.ts's. After it: checkpoint/checkpoint.ts.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { contents } from '../files/directory-contents.ts';
import { CheckpointError, readJson } from '../files/model-file.ts';
import { openSafetensors, type SafetensorsFile } from './safetensors.ts';

export const singleName = 'model.safetensors';
export const indexName = 'model.safetensors.index.json';
const shardCountMax = 4096; // files; the largest published checkpoints have a few hundred
const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

export interface WeightFiles {
  readonly paths: readonly string[]; // sorted by name
  readonly byTensor: ReadonlyMap<string, SafetensorsFile>;
}

/** Opens every weight file and checks its header. Throws CheckpointError. */
export function openWeightFiles(directory: string): WeightFiles {
  const single = join(directory, singleName);
  if (existsSync(single)) {
    const file = openSafetensors(single);
    return { paths: [single], byTensor: new Map([...file.tensors.keys()].map((name) => [name, file])) };
  }
  const indexPath = join(directory, indexName);
  if (existsSync(indexPath)) return openShards(directory, indexPath);
  throw new CheckpointError(`has neither ${singleName} nor ${indexName}${contents(directory)}`, {
    file: directory,
  });
}

/** Bytes of a GGUF file with the others of its split, or of a directory's weights; 0 where there are none. */
export function weightSize(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 0;
  const split = /^(.*)-\d{5}-of-(\d{5}\.gguf)$/i.exec(basename(path));
  if (found.isFile() && split === null) return found.size;
  const folder = found.isFile() ? dirname(path) : path;
  const isPart = (name: string): boolean =>
    split === null ? name.endsWith('.safetensors') : name.startsWith(split[1]!) && name.endsWith(split[2]!);
  const parts = readdirSync(folder).filter(isPart);
  return parts.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

function openShards(directory: string, indexPath: string): WeightFiles {
  const { weight_map: weightMap } = readJson(indexPath, indexSchema);
  const names = [...new Set(Object.values(weightMap))].sort();
  if (names.length > shardCountMax) {
    throw new CheckpointError(`${names.length} shards are more than ${shardCountMax}`, {
      file: indexPath,
      field: 'weight_map',
    });
  }
  const shards = new Map<string, SafetensorsFile>();
  for (const name of names) {
    // A shard lies beside its index: a path elsewhere is refused, not followed.
    if (basename(name) !== name || name.includes('\\') || !name.endsWith('.safetensors')) {
      throw new CheckpointError(`${JSON.stringify(name)} is not the name of a safetensors file`, {
        file: indexPath,
        field: 'weight_map',
      });
    }
    shards.set(name, openSafetensors(join(directory, name)));
  }
  const byTensor = new Map<string, SafetensorsFile>();
  for (const [tensor, name] of Object.entries(weightMap)) {
    const shard = shards.get(name)!;
    if (!shard.tensors.has(tensor)) {
      throw new CheckpointError(`is not in ${name}`, { file: indexPath, field: tensor });
    }
    byTensor.set(tensor, shard);
  }
  return { paths: names.map((name) => join(directory, name)), byTensor };
}
