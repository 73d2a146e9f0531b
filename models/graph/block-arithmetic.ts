// int8 and int4: weights in blocks along the input, each with its scale; MatMulNBits quantises activations by the
// same blocks inside one operator. Fewest operators, so the fastest single row of a small model.
// Before it: precision.ts; after it: graph-writer.ts.
import type { Bits, BlockQuantised, WeightSource } from '../weights/weights.ts';
import {
  type Arithmetic,
  commonLayout,
  type EmbeddingTable,
  embedFloat,
  ints,
  type Linear,
  type LinearRole,
  type LogitsHead,
  type Matrix,
  prefersFloatTable,
  readStacked,
  writeBias,
} from './arithmetic.ts';
import { quantiseBlocks } from './block-quantise.ts';
import { isFineHead, unembedFinely } from './fine-head.ts';
import { bytesOf, type GraphWriter } from './graph-writer.ts';

const MIB = 2 ** 20;
const accuracyLevel = 4; // activations are rounded to int8 per row and block; fp32 activations cost twice the time

/**
 * Rounding the activations is three quarters of what 8 bits lose, and an outlier among them spoils its own block: small
 * ones err least (docs/lab/precision.md, "Accuracy"). With VNNI, where products are exact, they cost a sixth of a chunk's time, and
 * 64 do where outliers have been smoothed away; without it a token is no slower with 32. Larger ones never: their
 * kernel for AVX-512 without VNNI computes rows in pairs, and a last odd row another way than among others.
 */
const fineBlockSize = 32;
const coarseBlockSize = 64;

interface Blocks {
  readonly bits: Bits;
  readonly blockSize: number;
}

// Of the embeddings and the head, in every format but what is stored otherwise: each error there is a logit's.
const tableBlocks = { bits: 8, blockSize: fineBlockSize } as const;

// 4 bits lose most where the attention's norm is read, and that is the smallest part of a layer.
const fourBitPlan: Readonly<Record<LinearRole, Bits>> = {
  'attention-in': 8,
  'attention-out': 4,
  'feed-in': 4,
  'feed-out': 4,
};

/**
 * `bits` of every matrix; `stored`: those it is stored in where a kernel takes them as they are, else 8. `coarse`:
 * matrices have larger blocks; `fineHead`: the head of a large vocabulary is the finer one.
 */
export function blockArithmetic(
  source: WeightSource,
  bits: Bits | 'stored',
  { coarse, fineHead }: Readonly<Record<'coarse' | 'fineHead', boolean>>,
): Arithmetic {
  const bitsOf = ({ role, weights }: Linear): Bits => {
    if (bits === 'stored') return commonLayout(source, weights)?.bits ?? 8;
    return bits === 8 ? 8 : fourBitPlan[role];
  };
  const tableOf = ({ weight }: EmbeddingTable): Blocks => {
    const isNarrow = bits === 'stored' && commonLayout(source, [weight])?.bits === 4;
    return isNarrow ? { ...tableBlocks, bits: 4 } : tableBlocks;
  };
  const layoutOf = (linear: Linear): Blocks => ({
    bits: bitsOf(linear),
    blockSize: coarse && linear.inSize % coarseBlockSize === 0 ? coarseBlockSize : fineBlockSize,
  });
  return {
    // At 4 bits of our own the operator would lose the zero points that make them bearable.
    expertBits: bits === 'stored' ? 'stored' : 8,
    embed(writer, ids, table) {
      return prefersFloatTable(table)
        ? embedFloat(writer, source, ids, table)
        : embedBlocks(writer, source, ids, { ...table, blocks: tableOf(table) });
    },
    project(writer, input, linears) {
      return linears.map((linear) => {
        const { name, inSize, outSize } = linear;
        const layout = layoutOf(linear);
        writeBlocks(writer, source, { ...linear, ...layout });
        const bias = linear.biases.length > 0 ? [writeBias(writer, source, linear)] : [];
        const sizes = { inSize, outSize, ...layout };
        return multiplyBlocks(writer, { output: name, matrix: name, input, bias }, sizes);
      });
    },
    unembed: (writer, input, head) =>
      fineHead && isFineHead(head)
        ? unembedFinely(writer, source, input, head)
        : unembedBlocks(writer, source, input, { ...head, blocks: tableOf(head) }),
  };
}

/** Stored in 8 bits unless told otherwise. */
type BlockTable = EmbeddingTable & { readonly blocks?: Blocks };

/** Logits from the table of embedBlocks where the two are tied, else from a matrix of the head's own. */
export function unembedBlocks(
  writer: GraphWriter,
  source: WeightSource,
  input: string,
  head: BlockTable & LogitsHead,
): string {
  const { weight: matrix, vocabSize: outSize, hiddenSize: inSize } = head;
  if (!head.tied || prefersFloatTable(head)) writeTable(writer, source, head);
  const names = { output: head.output, matrix, input, bias: [] };
  return multiplyBlocks(writer, names, { inSize, outSize, ...(head.blocks ?? tableBlocks) });
}

/** Embeddings out of a table of blocks; the operator wants the same bytes as a matrix. */
export function embedBlocks(
  writer: GraphWriter,
  source: WeightSource,
  ids: string,
  table: BlockTable,
): string {
  writeTable(writer, source, table);
  const { weight, vocabSize, hiddenSize } = table;
  const { bits, blockSize } = table.blocks ?? tableBlocks;
  const rowSize = (Math.ceil(hiddenSize / blockSize) * blockSize * bits) / 8;
  const rows = `${weight}.rows`;
  writer.aliases.push({ name: rows, type: 'uint8', shape: [vocabSize, rowSize], of: `${weight}.packed` });
  const attributes = { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 1 };
  const inputs = [rows, ids, `${weight}.scales`];
  return writer.contrib('GatherBlockQuantized', ['embeddings'], inputs, ints(attributes))[0]!;
}

function writeTable(writer: GraphWriter, source: WeightSource, table: BlockTable): void {
  const { weight: name, vocabSize: outSize, hiddenSize: inSize, blocks = tableBlocks } = table;
  writeBlocks(writer, source, { name, ...blocks, weights: [name], outSize, inSize });
}

/** `<name>.packed`, `<name>.scales` and, at 4 bits, `<name>.zeros`, as MatMulNBits wants them. */
function writeBlocks(
  writer: GraphWriter,
  source: WeightSource,
  matrix: Matrix & Blocks & { readonly name: string },
): void {
  const { name, bits, blockSize, inSize: columns, outSize, weights } = matrix;
  const blocks = Math.ceil(columns / blockSize);
  const stored = commonLayout(source, weights);
  const isStored = stored?.bits === bits && stored.blockSize === blockSize;
  writer.fates.push({ weights, fate: `${bits} bit${isStored ? ' as it is' : ''}` });
  writer.weights({
    tensors: [
      { name: `${name}.packed`, type: 'uint8', shape: [outSize, blocks, (blockSize * bits) / 8] },
      { name: `${name}.scales`, type: 'float', shape: [outSize, blocks] },
      ...(bits === 4
        ? [{ name: `${name}.zeros`, type: 'uint8' as const, shape: [outSize, Math.ceil(blocks / 2)] }]
        : []),
    ],
    produce: () =>
      isStored
        ? storedBlocks(source, weights)
        : blockTensors(quantised(source, weights, { columns, blockSize, bits, rows: outSize })),
  });
}

const partSize = 32 * MIB; // of a table in float at a time

/** A table part by part, into the arrays of the whole; any other matrix at once. */
function quantised(
  source: WeightSource,
  names: readonly string[],
  layout: Blocks & { readonly columns: number; readonly rows: number },
): BlockQuantised {
  const { columns, rows, bits, blockSize } = layout;
  const [name] = names;
  const isTable = names.length === 1 && !name!.startsWith('model.layers.') && source.readRows !== undefined;
  if (!isTable || 4 * rows * columns <= partSize) return quantiseBlocks(readStacked(source, names), layout);
  const blocks = Math.ceil(columns / blockSize);
  const whole: BlockQuantised = {
    data: new Uint8Array((rows * blocks * blockSize * bits) / 8),
    scales: new Float32Array(rows * blocks),
    zeroPoints: bits === 4 ? new Uint8Array(rows * Math.ceil(blocks / 2)) : null,
  };
  const step = Math.max(1, Math.floor(partSize / (4 * columns)));
  for (let start = 0; start < rows; start += step) {
    const count = Math.min(step, rows - start);
    const part = quantiseBlocks(source.readRows!(name!, { start, count, of: rows }), layout);
    whole.data.set(part.data, (start * whole.data.length) / rows);
    whole.scales.set(part.scales, start * blocks);
    whole.zeroPoints?.set(part.zeroPoints!, (start * whole.zeroPoints.length) / rows);
  }
  return whole;
}

function blockTensors({ data, scales, zeroPoints }: BlockQuantised): readonly Uint8Array[] {
  return [data, bytesOf(scales), ...(zeroPoints === null ? [] : [zeroPoints])];
}

/** One after another; each tensor is whole rows. */
function storedBlocks(source: WeightSource, names: readonly string[]): readonly Uint8Array[] {
  const parts = names.map((name) => blockTensors(source.readBlocks!(name)));
  return parts[0]!.map((_, index) => Buffer.concat(parts.map((tensors) => tensors[index]!)));
}

function multiplyBlocks(
  writer: GraphWriter,
  names: { output: string; matrix: string; input: string; bias: readonly string[] },
  { inSize: K, outSize: N, bits, blockSize }: Blocks & { readonly inSize: number; readonly outSize: number },
): string {
  const { output, matrix, input, bias } = names;
  const zeros = bits === 4 ? `${matrix}.zeros` : '';
  const inputs = [input, `${matrix}.packed`, `${matrix}.scales`, zeros, '', ...bias];
  while (inputs.at(-1) === '') inputs.pop();
  const attributes = { K, N, bits, block_size: blockSize, accuracy_level: accuracyLevel };
  return writer.contrib('MatMulNBits', [output], inputs, ints(attributes))[0]!;
}
