// A GGUF model on disk: one file, or shards named …-00001-of-0000N.gguf. Owns which file holds which tensor and reads
// rows of them by position, so that no more than what is asked for is in memory; holds no file open between reads.
// Before it: a path from model.ts; after it: gguf-checkpoint.ts and gguf-tokenizer.ts give it meaning.
import { fstatSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { shardName } from '../files/gguf-name.ts';
import { CheckpointError } from '../files/model-file.ts';
import { withFile } from '../files/regular-file.ts';
import { readableTypeNames } from './block-types.ts';
import { type GgufTensor, type GgufValue, readHeader } from './gguf-header.ts';
import { HeaderCursor, readFully } from './header-cursor.ts';

export interface GgufFile {
  readonly path: string; // the first shard's
  readonly paths: readonly string[];
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const shardCountMax = 4096; // files; the largest published models have a few dozen

/** Reads and checks the heads of all shards. Throws CheckpointError; touches no tensor. */
export function openGguf(path: string): GgufFile {
  const paths = shardPaths(path);
  const headers = paths.map(readHead);
  const { metadata } = headers[0]!;
  if (paths.length > 1) checkShards(paths, headers);
  else if (Number(metadata.get('split.count') ?? 1) > 1) {
    throw new CheckpointError('is a shard, but its name does not end in -00001-of-0000N.gguf', {
      file: path,
      field: 'split.count',
    });
  }
  const tensors = new Map<string, GgufTensor>();
  for (const header of headers) {
    for (const [name, tensor] of header.tensors) {
      if (tensors.has(name)) {
        throw new CheckpointError('is in another shard too', { file: tensor.path, field: name });
      }
      tensors.set(name, tensor);
    }
  }
  checkCount(path, metadata, tensors.size);
  return { path: paths[0]!, paths, metadata, tensors };
}

/** Whichever shard is named, all are meant. */
function shardPaths(path: string): readonly string[] {
  const match = shardName.exec(basename(path));
  if (match === null) return [path];
  const { stem, count } = match.groups as { stem: string; count: string };
  const shardCount = Number(count);
  if (shardCount < 1 || shardCount > shardCountMax) {
    throw new CheckpointError(`${shardCount} shards are not 1 to ${shardCountMax}`, { file: path });
  }
  return Array.from({ length: shardCount }, (_, index) => {
    const number = String(index + 1).padStart(5, '0');
    return join(dirname(path), `${stem}-${number}-of-${count}.gguf`);
  });
}

function checkShards(paths: readonly string[], headers: readonly { metadata: GgufFile['metadata'] }[]): void {
  for (const [index, { metadata }] of headers.entries()) {
    const [number, count] = [metadata.get('split.no'), metadata.get('split.count')];
    if (number === index && count === paths.length) continue;
    throw new CheckpointError(
      `says it is shard ${String(number)} of ${String(count)} (from 0), its name says ${index} of ${paths.length}`,
      { file: paths[index]!, field: 'split.no' },
    );
  }
}

function checkCount(path: string, metadata: GgufFile['metadata'], count: number): void {
  const expected = metadata.get('split.tensors.count');
  if (expected === undefined || expected === count) return;
  throw new CheckpointError(`${String(expected)} tensors are announced, ${count} are there`, {
    file: path,
    field: 'split.tensors.count',
  });
}

function readHead(path: string) {
  return withFile(path, (fd) => {
    const { size } = fstatSync(fd);
    return readHeader(new HeaderCursor({ path, fd, size }), { path, fileSize: size });
  });
}

/** All of a tensor as it lies in the file: its rows, one after another, each of whole blocks. */
export function readBlocks(
  tensor: GgufTensor,
  rows: { readonly start: number; readonly count: number; readonly of: number } | null = null, // null: all
): Uint8Array {
  const { start, count, of } = rows ?? { start: 0, count: 1, of: 1 };
  const rowSize = tensor.size / of; // whole blocks, whatever the type
  return withFile(tensor.path, (fd) => {
    const bytes = new Uint8Array(count * rowSize);
    readFully(fd, bytes, { path: tensor.path, offset: tensor.offset + start * rowSize });
    return bytes;
  });
}

/** Blocks widened to float32. Throws CheckpointError with the type's name when we do not read it. */
export function decodeBlocks(name: string, tensor: GgufTensor, bytes: Uint8Array): Float32Array {
  const { type, path } = tensor;
  if (type.decode === null) {
    const problem = `type ${type.name} is not supported (only ${readableTypeNames()})`;
    throw new CheckpointError(problem, { file: path, field: name });
  }
  const values = new Float32Array((bytes.length / type.size) * type.length);
  type.decode(bytes, values);
  return values;
}
