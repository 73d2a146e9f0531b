// Checkpoint: a model's weights, as whoever builds a graph of them reads them: as numbers, or as the blocks they are stored in.
// Types only. Made by checkpoint/checkpoint.ts and gguf/gguf-checkpoint.ts.
import type { ModelSpec } from '../spec.ts';

/** Bits of a weight that is stored in blocks. */
export type Bits = 4 | 8;

export interface BlockQuantised {
  readonly data: Uint8Array; // [rows, blocks, blockSize · bits / 8]; low nibble first
  readonly scales: Float32Array; // [rows, blocks]
  readonly zeroPoints: Uint8Array | null; // 4 bits: [rows, ⌈blocks / 2⌉], low nibble first; 8 bits: all are 128
  readonly offsets?: Float32Array; // [rows, blocks], instead of zero points: values are scale · level + offset
}

/** Blocks that a kernel takes as they were stored. */
export interface StoredLayout {
  readonly bits: Bits;
  readonly blockSize: number;
  readonly hasOffsets?: boolean; // which our own operators take alone
  readonly roundsScales?: boolean; // they are products of two numbers, which the operators take as halves
}

/** `count` rows from `start` on, of all `of`. */
export interface TableRows {
  readonly start: number;
  readonly count: number;
  readonly of: number;
}

/** Where weights come from; `Checkpoint` is one. */
export interface WeightSource {
  read(name: string): Float32Array; // row-major [outSize, inSize] for matrices
  /** The same of some rows of a table (embeddings, head), so that the largest tensors are never whole in float. */
  readRows?(name: string, rows: TableRows): Float32Array;
  /** Null, or no such function: the values are not stored in blocks that a kernel takes. */
  storedLayout?(name: string): StoredLayout | null;
  /** The blocks themselves, of a tensor that has a stored layout. */
  readBlocks?(name: string): BlockQuantised;
}

export interface Checkpoint extends WeightSource {
  readonly spec: ModelSpec;
  readonly path: string; // a directory, or a GGUF file (the first shard)
  readonly weightFiles: readonly string[]; // paths
  readonly variant?: string; // tells apart what is made of equal files, as adapters of another strength do
  has(name: string): boolean;
  /** As the file calls it: F32, BF16, Q4_K. Throws CheckpointError when there is no such tensor. */
  typeOf(name: string): string;
  /** Row-major. Throws CheckpointError when there is no such tensor. */
  shape(name: string): readonly number[];
  /**
   * A fresh array of the tensor's values, widened to float32. `name` is Llama's, such as
   * `model.layers.0.self_attn.q_proj.weight`, whatever the family (requiredTensors). With tied embeddings there need not be an `lm_head.weight`: the
   * caller takes `model.embed_tokens.weight`. Throws CheckpointError, also when a value is no finite number.
   */
  read(name: string): Float32Array;
}
