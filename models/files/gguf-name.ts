// What the names of GGUF files tell: NAME.gguf, or shards NAME-00001-of-0000N.gguf, and beside a language model its image
// encoder, mmproj-….gguf. Looks at no file. Before it: a path; after it: models-directory.ts and gguf/find-gguf.ts choose
// by it, model-name.ts names by it.
import { basename } from 'node:path';

export const shardName = /^(?<stem>.*)-(?<number>\d{5})-of-(?<count>\d{5})\.gguf$/i;

/** The model's name: the file's, without extension and shard number. */
export function ggufName(path: string): string {
  const file = basename(path);
  return shardName.exec(file)?.groups?.['stem'] ?? file.replace(/\.gguf$/i, '');
}

/** Whether a file of this name begins a language model: the only file of it, or the first shard. */
export function beginsGguf(name: string): boolean {
  const number = shardName.exec(name)?.groups?.['number'];
  return /\.gguf$/i.test(name) && !/^mmproj/i.test(name) && (number === undefined || Number(number) === 1);
}
