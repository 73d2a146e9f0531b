// How matrices are stored and multiplied: fp32, int8 and int4 in blocks (MatMulNBits), or w8a8 (integer products of
// weights and per-row activations). Owns the layout of weights; knows nothing of attention or layers.
// Before it: decoder.ts says which matrices; after it: graph-writer.ts collects nodes and recipes.
import { quantiseBlocks } from './block-quantise.ts';
import { bytesOf, type GraphWriter } from './graph-writer.ts';
import type { Attribute } from './onnx-proto.ts';

export const precisions = ['fp32', 'int8', 'int4', 'w8a8'] as const;
export type Precision = (typeof precisions)[number];

/** Where weights come from; `Checkpoint` is one. */
export interface WeightSource {
  read(name: string): Float32Array; // row-major [outSize, inSize] for matrices
}

/** y = x · Wᵀ + b, several checkpoint matrices stacked along the output. */
export interface Linear {
  readonly name: string; // of the result
  readonly inSize: number;
  readonly outSize: number;
  readonly weights: readonly string[]; // checkpoint names, stacked in this order
  readonly biases: readonly string[]; // same length, or none
}

export interface EmbeddingTable {
  readonly weight: string; // checkpoint name
  readonly vocabSize: number;
  readonly hiddenSize: number;
}

/** One way of storing and multiplying; all results are float. */
export interface Arithmetic {
  /** ids [...] → vectors [..., hiddenSize], named 'embeddings'. */
  embed(writer: GraphWriter, ids: string, table: EmbeddingTable): string;
  /** One result per linear; all share the input [..., inSize]. */
  project(writer: GraphWriter, input: string, linears: readonly Linear[]): readonly string[];
  /** [rows, hiddenSize] → 'logits' [rows, vocabSize]. `tied`: the matrix is the embedding table itself. */
  unembed(writer: GraphWriter, input: string, head: EmbeddingTable & { readonly tied: boolean }): string;
}

export function arithmeticOf(precision: Precision, source: WeightSource): Arithmetic {
  switch (precision) {
    case 'fp32':
      return floatArithmetic(source);
    case 'int8':
      return blockArithmetic(source, 8);
    case 'int4':
      return blockArithmetic(source, 4);
    case 'w8a8':
      throw new Error('w8a8');
  }
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

/** [rows, columns] → [columns, rows], in tiles that stay in the cache. */
function transposed(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  const result = new Float32Array(values.length);
  const tile = 64;
  for (let top = 0; top < rows; top += tile) {
    for (let left = 0; left < columns; left += tile) {
      const bottom = Math.min(rows, top + tile);
      const right = Math.min(columns, left + tile);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) {
          result[column * rows + row] = values[row * columns + column]!;
        }
      }
    }
  }
  return result;
}

function addBias(writer: GraphWriter, source: WeightSource, linear: Linear): string {
  const name = `${linear.name}.bias`;
  writer.weights({
    tensors: [{ name, type: 'float', shape: [linear.outSize] }],
    produce: () => [bytesOf(readStacked(source, linear.biases))],
  });
  return name;
}

function ints(values: Readonly<Record<string, number>>): Record<string, Attribute> {
  return Object.fromEntries(Object.entries(values).map(([name, int]) => [name, { int }]));
}

function floatArithmetic(source: WeightSource): Arithmetic {
  return {
    embed(writer, ids, table) {
      writer.weights({
        tensors: [{ name: table.weight, type: 'float', shape: [table.vocabSize, table.hiddenSize] }],
        produce: () => [bytesOf(source.read(table.weight))],
      });
      return writer.node('Gather', 'embeddings', [table.weight, ids]);
    },
    project(writer, input, linears) {
      return linears.map((linear) => {
        const weight = `${linear.name}.weight`;
        writer.weights({
          tensors: [{ name: weight, type: 'float', shape: [linear.inSize, linear.outSize] }],
          produce: () => [bytesOf(transposed(readStacked(source, linear.weights), linear.inSize))],
        });
        if (linear.biases.length === 0) return writer.node('MatMul', linear.name, [input, weight]);
        const product = writer.node('MatMul', `${linear.name}.product`, [input, weight]);
        return writer.node('Add', linear.name, [product, addBias(writer, source, linear)]);
      });
    },
    unembed(writer, input, head) {
      if (!head.tied) {
        writer.weights({
          tensors: [{ name: head.weight, type: 'float', shape: [head.vocabSize, head.hiddenSize] }],
          produce: () => [bytesOf(source.read(head.weight))],
        });
      }
      return writer.node('Gemm', 'logits', [input, head.weight], { transB: { int: 1 } });
    },
  };
}

const accuracyLevel = 4; // MatMulNBits quantises activations to int8, per row and block

/** 128 where it divides the row, else the largest that wastes nothing, at least 32; see PERFORMANCE.md. */
function blockSizeFor(inSize: number): number {
  for (const size of [128, 64]) if (inSize % size === 0) return size;
  return 32;
}

function blockArithmetic(source: WeightSource, bits: 4 | 8): Arithmetic {
  /** Packed weights and scales of a matrix [outSize, inSize]. */
  function pack(
    writer: GraphWriter,
    name: string,
    matrix: { weights: readonly string[]; outSize: number; inSize: number },
  ) {
    const { inSize, outSize, weights } = matrix;
    const blockSize = blockSizeFor(inSize);
    const blocks = Math.ceil(inSize / blockSize);
    writer.weights({
      tensors: [
        { name: `${name}.packed`, type: 'uint8', shape: [outSize, blocks, (blockSize * bits) / 8] },
        { name: `${name}.scales`, type: 'float', shape: [outSize, blocks] },
      ],
      produce: () => {
        const { data, scales } = quantiseBlocks(readStacked(source, weights), {
          columns: inSize,
          blockSize,
          bits,
        });
        return [data, bytesOf(scales)];
      },
    });
    return blockSize;
  }
  function multiply(
    writer: GraphWriter,
    output: string,
    inputs: readonly string[],
    size: { readonly inSize: number; readonly outSize: number },
  ): string {
    const { inSize: K, outSize: N } = size;
    const attributes = { K, N, bits, block_size: blockSizeFor(K), accuracy_level: accuracyLevel };
    return writer.contrib('MatMulNBits', [output], inputs, ints(attributes))[0]!;
  }
  return {
    embed(writer, ids, table) {
      const { weight: name, vocabSize, hiddenSize } = table;
      const blockSize = pack(writer, name, { weights: [name], outSize: vocabSize, inSize: hiddenSize });
      const rows = `${name}.rows`; // the operator wants the same bytes as a matrix
      const shape = [vocabSize, (Math.ceil(hiddenSize / blockSize) * blockSize * bits) / 8];
      writer.aliases.push({ name: rows, type: 'uint8', shape, of: `${name}.packed` });
      const attributes = { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 1 };
      const inputs = [rows, ids, `${name}.scales`];
      return writer.contrib('GatherBlockQuantized', ['embeddings'], inputs, ints(attributes))[0]!;
    },
    project(writer, input, linears) {
      return linears.map((linear) => {
        pack(writer, linear.name, linear);
        const inputs = [input, `${linear.name}.packed`, `${linear.name}.scales`];
        if (linear.biases.length > 0) inputs.push('', '', addBias(writer, source, linear));
        return multiply(writer, linear.name, inputs, linear);
      });
    },
    unembed(writer, input, head) {
      const { weight: name, vocabSize, hiddenSize } = head;
      if (!head.tied) pack(writer, name, { weights: [name], outSize: vocabSize, inSize: hiddenSize });
      const inputs = [input, `${name}.packed`, `${name}.scales`];
      return multiply(writer, 'logits', inputs, { inSize: hiddenSize, outSize: vocabSize });
    },
  };
}
