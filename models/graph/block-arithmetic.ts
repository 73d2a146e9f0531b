// int8 and int4: weights in blocks along the input, each with its scale; MatMulNBits quantises activations by the
// same blocks inside one operator. Fewest operators, so the fastest single row of a small model.
// Before it: precision.ts; after it: graph-writer.ts.
import {
  type Arithmetic,
  type EmbeddingTable,
  embedFloat,
  ints,
  type Matrix,
  prefersFloatTable,
  readStacked,
  type WeightSource,
  writeBias,
} from './arithmetic.ts';
import { type Bits, quantiseBlocks } from './block-quantise.ts';
import { bytesOf, type GraphWriter } from './graph-writer.ts';

const accuracyLevel = 4; // activations are rounded to int8 per row and block; fp32 activations cost twice the time

/**
 * The largest block whose kernel gives a row the same bits alone and among others (AVX-512 without VNNI; larger ones
 * compute rows in pairs, another way than a last odd row): 64 at 8 bits, 32 at 4. Smaller blocks also err less.
 */
function blockSizeFor(inSize: number, bits: Bits): number {
  return bits === 8 && inSize % 64 === 0 ? 64 : 32;
}

export function blockArithmetic(source: WeightSource, bits: Bits): Arithmetic {
  return {
    embed(writer, ids, table) {
      if (prefersFloatTable(table)) return embedFloat(writer, source, ids, table);
      packTable(writer, table);
      return gatherBlocks(writer, ids, table, bits);
    },
    project(writer, input, linears) {
      return linears.map((linear) => {
        pack(writer, linear.name, linear);
        const bias = linear.biases.length > 0 ? ['', '', writeBias(writer, source, linear)] : [];
        return multiply(writer, { output: linear.name, matrix: linear.name, input, bias }, linear);
      });
    },
    unembed(writer, input, head) {
      if (!head.tied || prefersFloatTable(head)) packTable(writer, head);
      const names = { output: 'logits', matrix: head.weight, input, bias: [] };
      return multiply(writer, names, { inSize: head.hiddenSize, outSize: head.vocabSize });
    },
  };

  function packTable(writer: GraphWriter, { weight, vocabSize, hiddenSize }: EmbeddingTable): void {
    pack(writer, weight, { weights: [weight], outSize: vocabSize, inSize: hiddenSize });
  }

  function pack(writer: GraphWriter, name: string, matrix: Matrix): void {
    writeBlocks(writer, source, { name, bits, ...matrix });
  }

  function multiply(
    writer: GraphWriter,
    names: { output: string; matrix: string; input: string; bias: readonly string[] },
    { inSize: K, outSize: N }: Omit<Matrix, 'weights'>,
  ): string {
    const inputs = [names.input, `${names.matrix}.packed`, `${names.matrix}.scales`, ...names.bias];
    const attributes = { K, N, bits, block_size: blockSizeFor(K, bits), accuracy_level: accuracyLevel };
    return writer.contrib('MatMulNBits', [names.output], inputs, ints(attributes))[0]!;
  }
}

/** `<name>.packed` and `<name>.scales`, as MatMulNBits wants them. */
export function writeBlocks(
  writer: GraphWriter,
  source: WeightSource,
  matrix: Matrix & { readonly name: string; readonly bits: Bits },
): void {
  const { name, bits, inSize: columns, outSize, weights } = matrix;
  const blockSize = blockSizeFor(columns, bits);
  const blocks = Math.ceil(columns / blockSize);
  writer.weights({
    tensors: [
      { name: `${name}.packed`, type: 'uint8', shape: [outSize, blocks, (blockSize * bits) / 8] },
      { name: `${name}.scales`, type: 'float', shape: [outSize, blocks] },
    ],
    produce: () => {
      const { data, scales } = quantiseBlocks(readStacked(source, weights), { columns, blockSize, bits });
      return [data, bytesOf(scales)];
    },
  });
}

/** Embeddings out of a table written by writeBlocks; the operator wants the same bytes as a matrix. */
export function gatherBlocks(writer: GraphWriter, ids: string, table: EmbeddingTable, bits: Bits): string {
  const { weight, vocabSize, hiddenSize } = table;
  const blockSize = blockSizeFor(hiddenSize, bits);
  const rowSize = (Math.ceil(hiddenSize / blockSize) * blockSize * bits) / 8;
  const rows = `${weight}.rows`;
  writer.aliases.push({ name: rows, type: 'uint8', shape: [vocabSize, rowSize], of: `${weight}.packed` });
  const attributes = { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 1 };
  const inputs = [rows, ids, `${weight}.scales`];
  return writer.contrib('GatherBlockQuantized', ['embeddings'], inputs, ints(attributes))[0]!;
}
