// int8, int4 and stored with our own operators (kernels/native): weights in blocks, activations in 16 bits, so that only the
// weights are rounded to speak of. Half again as fast as ONNX Runtime's blocks and exact in integers: a row has the same bits whoever
// else is in the step. On the cpu through the C API alone. Before it: precision.ts; after it: own-blocks.ts, graph-writer.ts.
import { ownDomain } from '../onnx/onnx-proto.ts';
import type { Bits, WeightSource } from '../weights/weights.ts';
import {
  type Arithmetic,
  commonOwnLayout,
  type EmbeddingTable,
  embedFloat,
  ints,
  type Linear,
  type LogitsHead,
  prefersFloatTable,
  readStacked,
  writeBias,
} from './arithmetic.ts';
import type { GraphWriter } from './graph-writer.ts';
import { type OwnLayout, ownBlocks, ownSize, ownStoredBlocks } from './own-blocks.ts';

const group = 16; // outputs that lie together
const blockSizes: Readonly<Record<Bits, number>> = { 8: 64, 4: 32 };
const tableBlockSize = 32; // each error there is a logit's, and Q8_0 keeps its values
const partSize = 2 ** 25; // bytes of a table in float at a time

/** `bits` of every matrix; `stored`: those it is stored in where it is stored in blocks that the operators take, else 8. */
export function ownArithmetic(source: WeightSource, bits: Bits | 'stored'): Arithmetic {
  const layoutOf = ({ weights, role, inSize: columns, outSize: rows }: Linear): OwnLayout => {
    const stored = commonOwnLayout(source, weights);
    if (stored !== null && (bits === 'stored' || (bits === 4 && stored.bits === 4)))
      return { rows, columns, bits: stored.bits, blockSize: stored.blockSize };
    // 4 bits lose most where the attention's norm is read, and that is the smallest part of a layer.
    const own = bits === 4 && role !== 'attention-in' ? 4 : 8;
    return { rows, columns, bits: own, blockSize: blockSizes[own] };
  };
  const tableLayout = ({ weight, vocabSize: rows, hiddenSize: columns }: EmbeddingTable): OwnLayout => {
    const stored = bits === 'stored' ? commonOwnLayout(source, [weight]) : null;
    const { bits: width, blockSize } = stored ?? ({ bits: 8, blockSize: tableBlockSize } as const);
    return { rows, columns, bits: width, blockSize };
  };
  const writeTable = (writer: GraphWriter, table: EmbeddingTable) =>
    writeMatrix(writer, source, { name: table.weight, weights: [table.weight], layout: tableLayout(table) });
  return {
    // At 4 bits of our own the operator would lose the zero points that make them bearable.
    expertBits: bits === 'stored' ? 'stored' : 8,
    embed(writer, ids, table) {
      if (prefersFloatTable(table)) return embedFloat(writer, source, ids, table);
      writeTable(writer, table);
      const inputs = [packed(table.weight), ids];
      return own(writer, 'Rows', 'embeddings', inputs, tableLayout(table));
    },
    project(writer, input, linears) {
      return linears.map((linear: Linear) => {
        const layout = layoutOf(linear);
        writeMatrix(writer, source, { ...linear, layout });
        const bias = linear.biases.length > 0 ? [writeBias(writer, source, linear)] : [];
        return own(writer, 'Product', linear.name, [input, packed(linear.name), ...bias], layout);
      });
    },
    unembed(writer, input, head: LogitsHead) {
      if (!head.tied || prefersFloatTable(head)) writeTable(writer, head);
      return own(writer, 'Product', head.output, [input, packed(head.weight)], tableLayout(head));
    },
  };
}

function packed(name: string): string {
  return `${name}.own`;
}

function own(
  writer: GraphWriter,
  operator: string,
  output: string,
  inputs: readonly string[],
  { rows: outSize, columns: inSize, bits, blockSize }: OwnLayout,
): string {
  const sizes = ints({ inSize, outSize, bits, blockSize });
  const attributes = operator === 'Product' ? { ...sizes, epsilon: { float: 0 } } : sizes;
  writer.append({ operator, domain: ownDomain, outputs: [output], inputs, attributes });
  return output;
}

/** `<name>.own` uint8 [bytes]. */
function writeMatrix(
  writer: GraphWriter,
  source: WeightSource,
  { name, weights, layout }: { name: string; weights: readonly string[]; layout: OwnLayout },
): void {
  const { bits, blockSize } = layout;
  const stored = commonOwnLayout(source, weights);
  const isStored = stored?.bits === bits && stored.blockSize === blockSize;
  writer.fates.push({ weights, fate: `${bits} bit${isStored ? kept(source, weights) : ''}` });
  writer.weights({
    tensors: [{ name: packed(name), type: 'uint8', shape: [ownSize(layout)] }],
    produce: () => [
      isStored
        ? ownStoredBlocks(
            weights.map((weight) => source.readBlocks!(weight)),
            layout,
          )
        : roundedBlocks(source, weights, layout),
    ],
  });
}

/** How a file's own blocks are kept, in words. */
function kept(source: WeightSource, weights: readonly string[]): string {
  const isRounded = weights.some((weight) => source.storedLayout?.(weight)?.roundsScales === true);
  return isRounded ? ' as it is, its scales as halves' : ' as it is';
}

/** A table part by part, whole groups at a time; any other matrix at once. */
function roundedBlocks(source: WeightSource, names: readonly string[], layout: OwnLayout): Uint8Array {
  const { rows, columns } = layout;
  const [name] = names;
  const isTable = names.length === 1 && !name!.startsWith('model.layers.') && source.readRows !== undefined;
  if (!isTable || 4 * rows * columns <= partSize) return ownBlocks(readStacked(source, names), layout);
  const bytes = new Uint8Array(ownSize(layout));
  const step = Math.max(1, Math.floor(partSize / (4 * columns * group))) * group;
  for (let start = 0; start < rows; start += step) {
    const count = Math.min(step, rows - start);
    const part = source.readRows!(name!, { start, count, of: rows });
    bytes.set(ownBlocks(part, { ...layout, rows: count }), ownSize({ ...layout, rows: start }));
  }
  return bytes;
}
