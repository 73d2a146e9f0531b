// An export becomes a graph with the inputs and outputs of our own decoders (decoder.ts): mask and positions are made of
// lengths, wanted rows are picked out of all logits and ranked; keys and values keep their place. Its nodes and weights stay
// as they are. Owns the file in the cache. Before it: onnx/onnx-export.ts; after it: kernels/onnx opens the file.
import { createHash } from 'node:crypto';
import { copyFile, link, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type FileDigest, hashFiles, openEntry } from '../files/cache.ts';
import {
  dataPath,
  exportFiles,
  exportLabel,
  layerName,
  type OnnxExport,
  openExport,
} from '../onnx/onnx-export.ts';
import { joinOnnx, renamedNode } from '../onnx/onnx-file.ts';
import { encodeNode, encodeTensor, encodeValueInfo } from '../onnx/onnx-proto.ts';
import type { ModelSpec } from '../spec.ts';
import type { BuiltGraph } from './build.ts';
import { decoderInterface, rankTokens, topCount } from './decoder.ts';
import { GraphWriter } from './graph-writer.ts';

// Part of every entry's key: raise it whenever the same export would give another file.
const adopterVersion = '1';
const modelFile = 'model.onnx';
const float16 = 10; // TensorProto.DataType

/** In the cache folder unless it is there. Rejects with CheckpointError where the export does not fit. */
export async function adoptExport(
  directory: string,
  spec: ModelSpec,
  cacheDirectory: string,
): Promise<BuiltGraph> {
  const found = openExport(directory, spec);
  const files = exportFiles(found);
  const hash = createHash('sha256').update(
    JSON.stringify(['export', adopterVersion, spec.layerCount, spec.vocabSize]),
  );
  for (const digest of await hashFiles(files, cacheDirectory)) hash.update(digest);
  const contentHash = hash.digest('hex').slice(0, 32);
  const entry = await openEntry({
    cacheDirectory,
    key: `export-${contentHash}`,
    build: (target) => writeAdopted(target, found, spec),
  });
  const modelPath = join(entry.directory, modelFile);
  return {
    ...{
      directory: entry.directory,
      modelPath,
      bindingModelPath: modelPath,
      deviceModelPath: null,
      ownKernels: false,
      statesModelPath: null,
    },
    int8Kv: null,
    ...{ precision: 'stored', contentHash, topCount: topCount(spec), vocabSize: spec.vocabSize, spec },
    fates: `${exportLabel(directory, found)} as it is`,
    fromCache: entry.found,
  };
}

async function writeAdopted(target: string, found: OnnxExport, spec: ModelSpec): Promise<FileDigest[]> {
  const bytes = adopted(found, spec);
  await writeFile(join(target, modelFile), bytes, { flush: true });
  const written: FileDigest[] = [
    { file: modelFile, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
  ];
  for (const name of found.file.dataFiles) {
    const from = dataPath(found.file.path, name);
    const to = join(target, name);
    // ONNX Runtime reads weights beside their graph only: the same bytes under a second name, where that can be.
    await link(from, to).catch(() => copyFile(from, to));
    const [sha256] = await hashFiles([to], dirname(target));
    written.push({ file: name, size: (await stat(to)).size, sha256: sha256! });
  }
  return written;
}

function adopted({ file, names }: OnnxExport, spec: ModelSpec): Uint8Array {
  const own = new Map([
    [names.inputIds, 'export.input_ids'],
    [names.attentionMask, 'export.attention_mask'],
    [names.positionIds, 'export.position_ids'],
    [names.logits, 'export.logits'],
  ]);
  for (let layer = 0; layer < spec.layerCount; layer++) {
    own.set(layerName(names.pastKey, layer), `past_key.${layer}`);
    own.set(layerName(names.pastValue, layer), `past_value.${layer}`);
    own.set(layerName(names.presentKey, layer), `present_key.${layer}`);
    own.set(layerName(names.presentValue, layer), `present_value.${layer}`);
  }
  const before = new GraphWriter();
  writeInputs(before, { file, names });
  const after = new GraphWriter();
  const logits = file.outputs.find(({ name }) => name === names.logits)!;
  writeOutputs(after, spec, logits.type === float16);
  const { inputs, outputs } = decoderInterface(spec, 'fp32');
  // Of what its nodes make, whatever has a name of ours gets another.
  const reserved = new Set([
    ...[...inputs, ...outputs].map(({ name }) => name),
    ...[...before.nodes, ...after.nodes].flatMap((node) => node.outputs),
  ]);
  const nameOf = (name: string) => own.get(name) ?? (reserved.has(name) ? `export.${name}` : name);
  return joinOnnx(file, [
    ...before.nodes.map((node) => [1, encodeNode(node)] as const),
    ...file.nodes.map((node) => [1, renamedNode(node, nameOf)] as const),
    ...after.nodes.map((node) => [1, encodeNode(node)] as const),
    ...file.rest,
    ...[...before.constants, ...after.constants].map((tensor) => [5, encodeTensor(tensor)] as const),
    ...inputs.map((value) => [11, encodeValueInfo(value)] as const),
    ...outputs.map((value) => [12, encodeValueInfo(value)] as const),
  ]);
}

/** Ids, mask and positions as the export wants them, of ids [B, n], lengths less 1 [B] and the longest length. */
function writeInputs(writer: GraphWriter, { file, names }: OnnxExport): void {
  const typeOf = (name: string) => file.inputs.find((value) => value.name === name)?.type;
  const scalar = (name: string, value: number) => writer.constant(name, 'int32', [], Int32Array.of(value));
  const axes = (name: string, axis: bigint) => writer.constant(name, 'int64', [1], BigInt64Array.of(axis));
  const cast = (output: string, input: string, name: string) =>
    writer.node('Cast', output, [input], { to: { int: typeOf(name)! } });
  const [zero, one] = [scalar('adopt.zero', 0), scalar('adopt.one', 1)];
  cast('export.input_ids', 'input_ids', names.inputIds);
  const last = writer.node('Unsqueeze', 'adopt.last', ['seqlens_k', axes('adopt.axis_1', 1n)]); // [B, 1]
  const places = writer.node('Range', 'adopt.places', [zero, 'total_sequence_length', one]);
  const row = writer.node('Unsqueeze', 'adopt.row', [places, axes('adopt.axis_0', 0n)]); // [1, total]
  const isIn = writer.node('LessOrEqual', 'adopt.within', [row, last]);
  cast('export.attention_mask', isIn, names.attentionMask);
  if (typeOf(names.positionIds) !== undefined) {
    const shape = writer.node('Shape', 'adopt.shape', ['input_ids']);
    const second = writer.constant('adopt.second', 'int64', [], BigInt64Array.of(1n));
    const count64 = writer.node('Gather', 'adopt.count64', [shape, second]);
    const size = writer.node('Cast', 'adopt.count', [count64], { to: { int: 6 } });
    const steps = writer.node('Range', 'adopt.steps', [zero, size, one]);
    const first = writer.node('Add', 'adopt.first', [writer.node('Sub', 'adopt.before', [last, size]), one]);
    cast('export.position_ids', writer.node('Add', 'adopt.positions', [first, steps]), names.positionIds);
  }
  const kept = file.inputs.find(({ name }) => name === 'num_logits_to_keep');
  // 0: those of all tokens.
  if (kept !== undefined)
    writer.constant(
      kept.name,
      'int64',
      kept.shape.map(() => 1),
      BigInt64Array.of(0n),
    );
}

function writeOutputs(writer: GraphWriter, spec: ModelSpec, isHalf: boolean): void {
  const { vocabSize } = spec;
  const all = isHalf
    ? writer.node('Cast', 'adopt.logits', ['export.logits'], { to: { int: 1 } })
    : 'export.logits';
  const shape = writer.constant('adopt.flat', 'int64', [2], BigInt64Array.of(-1n, BigInt(vocabSize)));
  const flat = writer.node('Reshape', 'adopt.all_logits', [all, shape]);
  writer.node('Gather', 'logits', [flat, 'logit_rows'], { axis: { int: 0 } });
  rankTokens(writer, topCount(spec));
}
