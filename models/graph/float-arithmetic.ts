// fp32: the weights as they are. The graph that golden tests hold to 1e-3 of the checkpoint's own logits.
// Before it: precision.ts; after it: graph-writer.ts.
import type { WeightSource } from '../weights/weights.ts';
import { type Arithmetic, embedFloat, readStacked, writeBias } from './arithmetic.ts';
import { bytesOf } from './graph-writer.ts';

export function floatArithmetic(source: WeightSource): Arithmetic {
  return {
    expertBits: 'float',
    embed: (writer, ids, table) => embedFloat(writer, source, ids, table),
    project(writer, input, linears) {
      return linears.map((linear) => {
        const weight = `${linear.name}.weight`;
        writer.weights({
          tensors: [{ name: weight, type: 'float', shape: [linear.inSize, linear.outSize] }],
          produce: () => [bytesOf(transposed(readStacked(source, linear.weights), linear.inSize))],
        });
        if (linear.biases.length === 0) return writer.node('MatMul', linear.name, [input, weight]);
        const product = writer.node('MatMul', `${linear.name}.product`, [input, weight]);
        return writer.node('Add', linear.name, [product, writeBias(writer, source, linear)]);
      });
    },
    // Gemm multiplies by the transpose, so a tied head reads the embedding table's own bytes.
    unembed(writer, input, head) {
      if (!head.tied) {
        writer.weights({
          tensors: [{ name: head.weight, type: 'float', shape: [head.vocabSize, head.hiddenSize] }],
          produce: () => [bytesOf(source.read(head.weight))],
        });
      }
      return writer.node('Gemm', head.output, [input, head.weight], { transB: { int: 1 } });
    },
  };
}

const tile = 64; // elements; two 64 × 64 float tiles are 32 KiB, a first-level cache

/** [rows, columns] → [columns, rows]. */
function transposed(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  const result = new Float32Array(values.length);
  for (let top = 0; top < rows; top += tile) {
    const bottom = Math.min(rows, top + tile);
    for (let left = 0; left < columns; left += tile) {
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
