// The files of a built graph: model.onnx and the weights beside it, streamed tensor by tensor, so that no model is ever
// whole in memory. Owns layout and alignment; knows no architecture. Before it: build.ts and encoder/encoder-build.ts;
// after it: kernels/onnx opens the files.
import { createHash } from 'node:crypto';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileDigest } from '../files/cache.ts';
import { encodeModel, type GraphProto, type TensorProto } from '../onnx/onnx-proto.ts';
import { type GraphWriter, type TensorRecipe, tensorSize } from './graph-writer.ts';
import { madeHere } from './recipe-threads.ts';

export const weightsFile = 'weights.bin';
const alignment = 64; // bytes, a cache line and the widest vector

export interface BuildProgress {
  readonly doneSize: number; // bytes of weights written
  readonly totalSize: number; // bytes
}

export function graphOf(
  name: string,
  writer: GraphWriter,
  weights: WrittenWeights,
  { inputs, outputs }: Pick<GraphProto, 'inputs' | 'outputs'>,
): GraphProto {
  const initializers = [...writer.constants, ...weights.tensors, ...aliased(writer, weights.tensors)];
  return { name, nodes: writer.nodes, initializers, inputs, outputs };
}

function aliased(writer: GraphWriter, tensors: readonly TensorProto[]): TensorProto[] {
  return writer.aliases.map(({ name, type, shape, of }) => {
    const { content } = tensors.find((tensor) => tensor.name === of)!;
    return { name, type, shape, content };
  });
}

/** `version`: of the builder. */
export async function writeModel(
  directory: string,
  file: string,
  graph: GraphProto,
  version: string,
): Promise<FileDigest> {
  const bytes = encodeModel(graph, { name: 'sparklane', version });
  await writeFile(join(directory, file), bytes, { flush: true });
  return { file, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

export interface WrittenWeights {
  readonly tensors: readonly TensorProto[];
  readonly size: number;
  readonly sha256: string;
}

/** `made`: the recipes' bytes in their order. */
export async function writeWeights(
  path: string,
  recipes: readonly TensorRecipe[],
  onProgress: (progress: BuildProgress) => void,
  made: AsyncIterable<readonly Uint8Array[]> = madeHere(recipes),
): Promise<WrittenWeights> {
  const totalSize = recipes
    .flatMap((recipe) => recipe.tensors)
    .reduce((sum, t) => alignUp(sum) + tensorSize(t), 0);
  const hash = createHash('sha256');
  const tensors: TensorProto[] = [];
  const file = await open(path, 'wx');
  let size = 0;
  try {
    let at = 0;
    for await (const contents of made) {
      for (const [index, tensor] of recipes[at++]!.tensors.entries()) {
        const bytes = contents[index]!;
        if (bytes.length !== tensorSize(tensor))
          throw new Error(`tensor ${tensor.name} has ${bytes.length} bytes`);
        const padding = new Uint8Array(alignUp(size) - size);
        await writeAll(file, padding);
        await writeAll(file, bytes);
        hash.update(padding).update(bytes);
        const offset = size + padding.length;
        tensors.push({
          ...tensor,
          content: { kind: 'external', file: weightsFile, offset, size: bytes.length },
        });
        size = offset + bytes.length;
      }
      onProgress({ doneSize: size, totalSize });
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { tensors, size, sha256: hash.digest('hex') };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    offset += (await file.write(bytes, offset, bytes.length - offset)).bytesWritten;
  }
}

function alignUp(offset: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
