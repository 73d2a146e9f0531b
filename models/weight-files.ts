// The weights of a model directory: one model.safetensors, or the shards that model.safetensors.index.json lists.
// Owns which file holds which tensor; the bytes are safetensors.ts's. After it: checkpoint.ts.
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { contents } from './directory-contents.ts';
import { CheckpointError, readJson } from './model-file.ts';
import { openSafetensors, type SafetensorsFile } from './safetensors.ts';

export const singleName = 'model.safetensors';
export const indexName = 'model.safetensors.index.json';
const shardCountMax = 4096; // files; the largest published checkpoints have a few hundred
const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

export interface WeightFiles {
  readonly paths: readonly string[]; // sorted by name
  readonly byTensor: ReadonlyMap<string, SafetensorsFile>;
}

/** Opens every weight file and checks its header. Throws CheckpointError or SafetensorsError. */
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
