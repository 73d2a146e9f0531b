// ONNX's protobuf messages, written (onnx-file.ts reads those of others): just the fields a decoder graph needs. Owns field numbers and
// enum values of onnx.proto3, knows no model. Before it: graph/decoder.ts; after it: bytes on disk (graph/build.ts).
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** TensorProto.DataType; source: onnx.proto3. */
export const dataTypes = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 } as const;
export type DataType = keyof typeof dataTypes;

/** Bytes of one element. */
export const elementSizes: Readonly<Record<DataType, number>> = {
  float: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
};

/** An initializer: its bytes stand in the model file, or in an external one at [offset, offset + size). */
export interface TensorProto {
  readonly name: string;
  readonly type: DataType;
  readonly shape: readonly number[];
  readonly content:
    | { readonly kind: 'inline'; readonly bytes: Uint8Array } // little endian
    | { readonly kind: 'external'; readonly file: string; readonly offset: number; readonly size: number };
}

/** A graph input or output. A string is a symbolic dimension; `sequence` wraps the tensor in a sequence type. */
export interface ValueInfo {
  readonly name: string;
  readonly type: DataType;
  readonly shape: readonly (number | string)[];
  readonly sequence?: boolean;
}

export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] }
  | { readonly graph: GraphProto }; // a branch or a loop's body; it sees the names around it

export interface NodeProto {
  readonly operator: string;
  readonly domain: string; // '' = ai.onnx
  readonly name: string;
  readonly inputs: readonly string[]; // '' = an optional input left out
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface GraphProto {
  readonly name: string;
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/** Our own operators: kernels/native. */
export const ownDomain = 'sparklane';

/** ONNX Runtime's own operators (MatMulNBits, GroupQueryAttention, …). */
export const microsoftDomain = 'com.microsoft';

const irVersion = 12; // ONNX 1.19
const operatorSets = [
  { domain: '', version: 24 }, // ONNX 1.19, the first that has TensorScatter
  { domain: microsoftDomain, version: 1 },
  { domain: ownDomain, version: 1 },
];
const externalLocation = 1; // TensorProto.DataLocation.EXTERNAL
const attributeTypes = { float: 1, int: 2, text: 3, graph: 5, ints: 7 } as const; // AttributeProto.AttributeType

/** The bytes of a ModelProto. */
export function encodeModel(
  graph: GraphProto,
  producer: { readonly name: string; readonly version: string },
): Uint8Array {
  const writer = new BinaryWriter();
  int64(writer, 1, irVersion);
  text(writer, 2, producer.name);
  text(writer, 3, producer.version);
  message(writer, 7, () => writeGraph(writer, graph));
  for (const { domain, version } of operatorSets) {
    message(writer, 8, () => {
      text(writer, 1, domain);
      int64(writer, 2, version);
    });
  }
  return writer.finish();
}

/** Messages by themselves, for a model that others wrote: the bytes of a node, an initializer, an input or output. */
export function encodeNode(node: NodeProto): Uint8Array {
  return encoded((writer) => writeNode(writer, node));
}

export function encodeTensor(tensor: TensorProto): Uint8Array {
  return encoded((writer) => writeTensor(writer, tensor));
}

export function encodeValueInfo(value: ValueInfo): Uint8Array {
  return encoded((writer) => writeValueInfo(writer, value));
}

function encoded(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

function writeGraph(writer: BinaryWriter, graph: GraphProto): void {
  for (const node of graph.nodes) message(writer, 1, () => writeNode(writer, node));
  text(writer, 2, graph.name);
  for (const tensor of graph.initializers) message(writer, 5, () => writeTensor(writer, tensor));
  for (const value of graph.inputs) message(writer, 11, () => writeValueInfo(writer, value));
  for (const value of graph.outputs) message(writer, 12, () => writeValueInfo(writer, value));
}

function writeNode(writer: BinaryWriter, node: NodeProto): void {
  for (const input of node.inputs) text(writer, 1, input);
  for (const output of node.outputs) text(writer, 2, output);
  text(writer, 3, node.name);
  text(writer, 4, node.operator);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    message(writer, 5, () => writeAttribute(writer, name, attribute));
  }
  text(writer, 7, node.domain);
}

function writeAttribute(writer: BinaryWriter, name: string, attribute: Attribute): void {
  text(writer, 1, name);
  if ('float' in attribute) {
    writer.tag(2, WireType.Bit32).float(attribute.float);
    int32(writer, 20, attributeTypes.float);
  } else if ('int' in attribute) {
    int64(writer, 3, attribute.int);
    int32(writer, 20, attributeTypes.int);
  } else if ('text' in attribute) {
    text(writer, 4, attribute.text);
    int32(writer, 20, attributeTypes.text);
  } else if ('graph' in attribute) {
    message(writer, 6, () => writeGraph(writer, attribute.graph));
    int32(writer, 20, attributeTypes.graph);
  } else {
    packedInt64(writer, 8, attribute.ints);
    int32(writer, 20, attributeTypes.ints);
  }
}

function writeTensor(writer: BinaryWriter, tensor: TensorProto): void {
  const { content } = tensor;
  packedInt64(writer, 1, tensor.shape);
  int32(writer, 2, dataTypes[tensor.type]);
  text(writer, 8, tensor.name);
  if (content.kind === 'inline') {
    writer.tag(9, WireType.LengthDelimited).bytes(content.bytes);
    return;
  }
  const entries = { location: content.file, offset: String(content.offset), length: String(content.size) };
  for (const [key, value] of Object.entries(entries)) {
    message(writer, 13, () => {
      text(writer, 1, key);
      text(writer, 2, value);
    });
  }
  int32(writer, 14, externalLocation);
}

function writeValueInfo(writer: BinaryWriter, value: ValueInfo): void {
  text(writer, 1, value.name);
  message(writer, 2, () => {
    if (value.sequence !== true) {
      writeTensorType(writer, value);
      return;
    }
    message(writer, 4, () => {
      message(writer, 1, () => writeTensorType(writer, value)); // TypeProto.Sequence.elem_type
    });
  });
}

/** TypeProto.tensor_type. */
function writeTensorType(writer: BinaryWriter, value: ValueInfo): void {
  message(writer, 1, () => {
    int32(writer, 1, dataTypes[value.type]);
    message(writer, 2, () => {
      for (const dim of value.shape) {
        message(writer, 1, () => {
          if (typeof dim === 'number') int64(writer, 1, dim);
          else text(writer, 2, dim);
        });
      }
    });
  });
}

function message(writer: BinaryWriter, field: number, body: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  body();
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function int32(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int32(value);
}

function int64(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function packedInt64(writer: BinaryWriter, field: number, values: readonly number[]): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  for (const value of values) writer.int64(value);
  writer.join();
}
