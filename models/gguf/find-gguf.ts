// Which GGUF file a path means: a file, or a directory that holds one GGUF model and no other weights. Looks at names, and
// at the first bytes of a file whose name says nothing. Before it: a path from model.ts; after it: gguf-file.ts opens what was found.
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beginsGguf } from '../files/gguf-name.ts';
import { CheckpointError } from '../files/model-file.ts';
import { indexName, singleName } from '../weights/weight-files.ts';

/** The file (the first shard), or null where the path is no GGUF model's. Throws CheckpointError where it is several's. */
export function findGguf(path: string): string | null {
  if (/\.gguf$/i.test(path)) return path;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile()) return beginsAsGguf(path) ? path : null; // caches name files by their sums
  if (!found?.isDirectory()) return null;
  if ([singleName, indexName].some((name) => existsSync(join(path, name)))) return null;
  const names = readdirSync(path).filter(beginsGguf);
  if (names.length <= 1) return names.length === 0 ? null : join(path, names[0]!);
  const listed = names.sort().join(', ');
  throw new CheckpointError(`holds several GGUF models: name one of ${listed}`, { file: path });
}

function beginsAsGguf(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(4);
    return readSync(fd, head) === head.length && head.toString('latin1') === 'GGUF';
  } finally {
    closeSync(fd);
  }
}
