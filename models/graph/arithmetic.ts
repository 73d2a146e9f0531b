// What a decoder needs of a number format: look up embeddings, multiply by matrices, answer logits. The interface
// and what its implementations share; each format is a file of its own.
// Before it: decoder.ts; after it: float-, block- and integer-arithmetic.ts.
import type { Attribute } from '../onnx/onnx-proto.ts';
import type { StoredLayout, WeightSource } from '../weights/weights.ts';
import { bytesOf, type GraphWriter } from './graph-writer.ts';

/** The layout in which all of these are stored; null when there is none, or none that ONNX Runtime's operators take. */
export function commonLayout(source: WeightSource, names: readonly string[]): StoredLayout | null {
  const layout = commonOwnLayout(source, names);
  const hasOffsets = names.some((name) => source.storedLayout?.(name)?.hasOffsets === true);
  return hasOffsets ? null : layout;
}

/** The same for our own operators. */
export function commonOwnLayout(source: WeightSource, names: readonly string[]): StoredLayout | null {
  const layouts = names.map((name) => source.storedLayout?.(name) ?? null);
  const [first] = layouts;
  const isLikeFirst = (layout: StoredLayout | null) =>
    layout?.bits === first!.bits && layout.blockSize === first!.blockSize;
  return first && layouts.every(isLikeFirst) ? first : null;
}

/** A matrix [outSize, inSize], possibly several of the checkpoint stacked along the output. */
export interface Matrix {
  readonly inSize: number;
  readonly outSize: number;
  readonly weights: readonly string[]; // checkpoint names, stacked in this order
}

/** What a linear reads: the attention's norm, its heads, the feed-forward's norm, its product. */
export type LinearRole = 'attention-in' | 'attention-out' | 'feed-in' | 'feed-out';

/** y = x · Wᵀ + b. */
export interface Linear extends Matrix {
  readonly name: string; // of the result
  readonly role: LinearRole;
  readonly biases: readonly string[]; // one per weight, or none
}

export interface EmbeddingTable {
  readonly weight: string; // checkpoint name
  readonly vocabSize: number;
  readonly hiddenSize: number;
}

/** One way of storing and multiplying; inputs and results are float. */
export interface Arithmetic {
  /** How experts are kept, which have an operator of their own; `stored`: as a file has them, or 8 bits. */
  readonly expertBits: 'float' | 8 | 'stored';
  /** ids [...] → 'embeddings' [..., hiddenSize]. */
  embed(writer: GraphWriter, ids: string, table: EmbeddingTable): string;
  /** One result per linear; all share the input [..., inSize]. */
  project(writer: GraphWriter, input: string, linears: readonly Linear[]): readonly string[];
  /** [rows, hiddenSize] → logits [rows, vocabSize], named `output`. */
  unembed(writer: GraphWriter, input: string, head: LogitsHead): string;
}

export interface LogitsHead extends EmbeddingTable {
  readonly tied: boolean; // the matrix is the embedding table itself
  readonly output: string;
}

/** Several checkpoint tensors one after another. */
export function readStacked(source: WeightSource, names: readonly string[]): Float32Array {
  if (names.length === 1) return source.read(names[0]!);
  const parts = names.map((name) => source.read(name));
  const stacked = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    stacked.set(part, offset);
    offset += part.length;
  }
  return stacked;
}

/** The stacked biases of `linear` as an initializer; answers its name. */
export function writeBias(writer: GraphWriter, source: WeightSource, linear: Linear): string {
  const name = `${linear.name}.bias`;
  writer.weights({
    tensors: [{ name, type: 'float', shape: [linear.outSize] }],
    produce: () => [bytesOf(readStacked(source, linear.biases))],
  });
  return name;
}

/** Embeddings as they are: one Gather. */
export function embedFloat(
  writer: GraphWriter,
  source: WeightSource,
  ids: string,
  table: EmbeddingTable,
): string {
  writer.weights({
    tensors: [{ name: table.weight, type: 'float', shape: [table.vocabSize, table.hiddenSize] }],
    produce: () => [bytesOf(source.read(table.weight))],
  });
  return writer.node('Gather', 'embeddings', [table.weight, ids]);
}

// Gathering from a quantised table takes 12 µs a token on spark-nano, 2 % of a decode step and 5 % of a chunk; a
// small float table is worth its bytes, of which a step touches one row a token.
const floatTableSizeMax = 32 * 2 ** 20; // bytes

/** Whether a quantised graph should keep its embeddings in float. */
export function prefersFloatTable({ vocabSize, hiddenSize }: EmbeddingTable): boolean {
  return 4 * vocabSize * hiddenSize <= floatTableSizeMax;
}

export function ints(values: Readonly<Record<string, number>>): Record<string, Attribute> {
  return Object.fromEntries(Object.entries(values).map(([name, int]) => [name, { int }]));
}
