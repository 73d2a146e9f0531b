// An ONNX model that others wrote, as far as it must be understood to be put into another graph: its nodes by operator and
// names, its inputs and outputs; everything else stays the bytes it was. Owns field numbers of onnx.proto3 for reading. Before
// it: onnx-export.ts; after it: graph/adopted-graph.ts writes the new file.
import { readFileSync, statSync } from 'node:fs';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { CheckpointError } from '../files/model-file.ts';
import { dataTypes } from './onnx-proto.ts';

const fileSizeMax = 2 ** 31; // bytes; protobuf's own bound
const broken = 'its protobuf is broken';

/** A field with its bytes, tag included. */
interface Field {
  readonly number: number;
  readonly raw: Uint8Array;
  readonly bytes: Uint8Array; // of a length-delimited one, else empty
  readonly value: number; // of a varint, else 0
}

export interface ExportNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly rest: readonly Uint8Array[]; // its other fields, raw
}

export interface ExportValue {
  readonly name: string;
  readonly type: number; // TensorProto.DataType
  readonly shape: readonly (number | string)[];
}

export interface OnnxFile {
  readonly path: string;
  readonly head: readonly Uint8Array[]; // fields of the model beside its graph, raw
  readonly opset: number; // of ONNX's own operators
  readonly nodes: readonly ExportNode[];
  readonly rest: readonly Uint8Array[]; // fields of the graph beside nodes, inputs and outputs, raw
  readonly inputs: readonly ExportValue[];
  readonly outputs: readonly ExportValue[];
  readonly dataFiles: readonly string[]; // of external weights, beside the file
}

/** Throws CheckpointError. */
export function readOnnx(path: string): OnnxFile {
  const { size } = statSync(path);
  if (size >= fileSizeMax)
    throw new CheckpointError(`${size} bytes are more than protobuf holds`, { file: path });
  try {
    return parsed(path, readFileSync(path));
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(`${broken}: ${(error as Error).message}`, { file: path, cause: error });
  }
}

function parsed(path: string, bytes: Uint8Array): OnnxFile {
  const head: Uint8Array[] = [];
  let graph: Uint8Array | null = null;
  let opset = 0;
  for (const field of fieldsOf(bytes)) {
    if (field.number === 7) graph = field.bytes;
    else head.push(field.raw);
    if (field.number !== 8) continue;
    const entry = [...fieldsOf(field.bytes)];
    const domain = textOf(entry.find(({ number }) => number === 1));
    if (domain === '' || domain === 'ai.onnx') opset = entry.find(({ number }) => number === 2)?.value ?? 0;
  }
  if (graph === null) throw new CheckpointError('has no graph', { file: path });
  const nodes: ExportNode[] = [];
  const rest: Uint8Array[] = [];
  const inputs: ExportValue[] = [];
  const outputs: ExportValue[] = [];
  const dataFiles = new Set<string>();
  const initialised = new Set<string>();
  for (const field of fieldsOf(graph)) {
    if (field.number === 1) nodes.push(nodeOf(field.bytes));
    else if (field.number === 11) inputs.push(valueInfoOf(field.bytes));
    else if (field.number === 12) outputs.push(valueInfoOf(field.bytes));
    else rest.push(field.raw);
    if (field.number !== 5) continue;
    const tensor = [...fieldsOf(field.bytes)];
    initialised.add(textOf(tensor.find(({ number }) => number === 8)));
    for (const file of locationsOf(tensor)) dataFiles.add(file);
  }
  // Older files list their weights as inputs, too.
  const given = inputs.filter(({ name }) => !initialised.has(name));
  return { path, head, opset, nodes, rest, inputs: given, outputs, dataFiles: [...dataFiles] };
}

function* fieldsOf(bytes: Uint8Array): Iterable<Field> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wire] = reader.tag();
    let content: Uint8Array = new Uint8Array();
    let value = 0;
    if (wire === WireType.LengthDelimited) content = reader.bytes();
    else if (wire === WireType.Varint) value = Number(reader.int64());
    else reader.skip(wire, number);
    yield { number, raw: bytes.subarray(start, reader.pos), bytes: content, value };
  }
}

function nodeOf(bytes: Uint8Array): ExportNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const rest: Uint8Array[] = [];
  let operator = '';
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) inputs.push(textOf(field));
    else if (field.number === 2) outputs.push(textOf(field));
    else if (field.number !== 3) rest.push(field.raw); // a node's own name might be one of ours
    if (field.number === 4) operator = textOf(field);
  }
  return { operator, inputs, outputs, rest };
}

function valueInfoOf(bytes: Uint8Array): ExportValue {
  const fields = [...fieldsOf(bytes)];
  const type = inner(fields, 2);
  const tensor = inner(type, 1);
  const dims = inner(tensor, 2).filter(({ number }) => number === 1);
  return {
    name: textOf(fields.find(({ number }) => number === 1)),
    type: tensor.find(({ number }) => number === 1)?.value ?? 0,
    shape: dims.map((dim) => {
      const [size] = [...fieldsOf(dim.bytes)];
      return size?.number === 1 ? size.value : textOf(size);
    }),
  };
}

function inner(fields: readonly Field[], wanted: number): readonly Field[] {
  const found = fields.find(({ number }) => number === wanted);
  return found === undefined ? [] : [...fieldsOf(found.bytes)];
}

function locationsOf(tensor: readonly Field[]): readonly string[] {
  return tensor
    .filter(({ number }) => number === 13)
    .map(({ bytes }) => [...fieldsOf(bytes)])
    .filter(([key]) => textOf(key) === 'location')
    .map(([, value]) => textOf(value));
}

function textOf(field: Field | undefined): string {
  return field === undefined ? '' : new TextDecoder().decode(field.bytes);
}

/** What a file of these parts is: nodes in order, `graphFields` and `head` raw. */
export function joinOnnx(
  { head }: Pick<OnnxFile, 'head'>,
  graphFields: readonly (readonly [number: number, bytes: Uint8Array] | Uint8Array)[],
): Uint8Array {
  const writer = new BinaryWriter();
  for (const raw of head) writer.raw(raw);
  writer.tag(7, WireType.LengthDelimited).fork();
  for (const field of graphFields) {
    if (field instanceof Uint8Array) writer.raw(field);
    else writer.tag(field[0], WireType.LengthDelimited).bytes(field[1]);
  }
  writer.join();
  return writer.finish();
}

/** A node with other names of what it reads and writes. */
export function renamedNode(
  { inputs, outputs, rest }: ExportNode,
  nameOf: (name: string) => string,
): Uint8Array {
  const writer = new BinaryWriter();
  for (const input of inputs) writer.tag(1, WireType.LengthDelimited).string(nameOf(input));
  for (const output of outputs) writer.tag(2, WireType.LengthDelimited).string(nameOf(output));
  for (const raw of rest) writer.raw(raw);
  return writer.finish();
}

/** float, int64 …, or its number. */
export function onnxTypeName(type: number): string {
  return (
    Object.entries(dataTypes).find(([, number]) => number === type)?.[0] ??
    (type === 10 ? 'float16' : `type ${type}`)
  );
}
