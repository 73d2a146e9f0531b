// w8a8: weights int8 with a scale per output, activations uint8 with a scale per row, made in the graph:
// x → x / max|x| → round(127 · …) + 128. Rows never see each other and integer sums do not depend on their order,
// so a row's product is the same whatever else is in the step. Before it: precision.ts; after it: graph-writer.ts.
import type { WeightSource } from '../weights/weights.ts';
import {
  type Arithmetic,
  embedFloat,
  type Matrix,
  prefersFloatTable,
  readStacked,
  writeBias,
} from './arithmetic.ts';
import { embedBlocks, unembedBlocks } from './block-arithmetic.ts';
import { quantiseChannels } from './channel-quantise.ts';
import { isFineHead, unembedFinely } from './fine-head.ts';
import { bytesOf, type GraphWriter } from './graph-writer.ts';

const activationMax = 127; // level of a row's largest value; 0 is level 128, so levels are 1 … 255

/** A row-wise quantised input, shared by every matrix that it meets. */
interface Quantised {
  readonly levels: string; // uint8 [..., inSize]
  readonly peaks: string; // float [..., 1], the row's largest magnitude
}

/** `fineHead`: the head of a large vocabulary is the finer one. */
export function integerArithmetic(source: WeightSource, fineHead: boolean): Arithmetic {
  return {
    expertBits: 8,
    embed(writer, ids, table) {
      return prefersFloatTable(table)
        ? embedFloat(writer, source, ids, table)
        : embedBlocks(writer, source, ids, table);
    },
    project(writer, input, linears) {
      const quantised = quantise(writer, input);
      return linears.map((linear) => {
        writeChannels(writer, source, linear.name, linear);
        const hasBias = linear.biases.length > 0;
        const output = hasBias ? `${linear.name}.product` : linear.name;
        const product = multiply(writer, { output, matrix: linear.name }, quantised);
        if (!hasBias) return product;
        return writer.node('Add', linear.name, [product, writeBias(writer, source, linear)]);
      });
    },
    // In blocks, which err least. A small head has a matrix of its own anyway, and several rows are faster in integers.
    unembed(writer, input, head) {
      if (!prefersFloatTable(head))
        return (fineHead && isFineHead(head) ? unembedFinely : unembedBlocks)(writer, source, input, head);
      const { weight, vocabSize: outSize, hiddenSize: inSize } = head;
      const matrix = `${weight}.head`;
      writeChannels(writer, source, matrix, { inSize, outSize, weights: [weight] });
      return multiply(writer, { output: head.output, matrix }, quantise(writer, input));
    },
  };
}

/** `<name>.levels` and `<name>.scales`; the scales take in the activations' 1 / 127. */
function writeChannels(writer: GraphWriter, source: WeightSource, name: string, matrix: Matrix): void {
  const { inSize, outSize, weights } = matrix;
  writer.fates.push({ weights, fate: '8 bit' });
  writer.weights({
    tensors: [
      { name: `${name}.levels`, type: 'int8', shape: [inSize, outSize] },
      { name: `${name}.scales`, type: 'float', shape: [outSize] },
    ],
    produce: () => {
      const { data, scales } = quantiseChannels(readStacked(source, weights), inSize);
      return [bytesOf(data), bytesOf(scales.map((scale) => scale / activationMax))];
    },
  });
}

function quantise(writer: GraphWriter, input: string): Quantised {
  const axes = writer.constant('last_axis', 'int64', [1], BigInt64Array.of(-1n));
  const step = writer.constant('activation_step', 'float', [], Float32Array.of(1 / activationMax));
  const zero = writer.constant('activation_zero', 'uint8', [], Uint8Array.of(128));
  const magnitudes = writer.node('Abs', `${input}.magnitudes`, [input]);
  const peaks = writer.node('ReduceMax', `${input}.peaks`, [magnitudes, axes], { keepdims: { int: 1 } });
  // An all-zero row divides 0 by 0; whatever level that becomes is multiplied by its peak, 0, in the end.
  const shares = writer.node('Div', `${input}.shares`, [input, peaks]);
  return { levels: writer.node('QuantizeLinear', `${input}.levels`, [shares, step, zero]), peaks };
}

function multiply(
  writer: GraphWriter,
  { output, matrix }: { readonly output: string; readonly matrix: string },
  { levels, peaks }: Quantised,
): string {
  const one = writer.constant('one', 'float', [], Float32Array.of(1));
  const inputs = [levels, `${matrix}.levels`, one, `${matrix}.scales`, 'activation_zero'];
  const [product] = writer.contrib('MatMulIntegerToFloat', [`${output}.shares`], inputs, {});
  return writer.node('Mul', output, [product!, peaks]);
}
