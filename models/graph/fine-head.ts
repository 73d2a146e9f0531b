// Logits by integer products of 16-bit activations: a row is rounded to 8 bits, what is left of it to 8 more, and both are
// multiplied as two rows. The head of a large vocabulary is bound by memory, so the second row costs little; integer products
// read half as much again a second as blocks do. Columns are made more equal first, which sixteen bits can bear. Each row is by
// itself. Only where products are exact for all weights.
// Before it: block- and integer-arithmetic.ts; after it: channel-quantise.ts.
import type { WeightSource } from '../weights/weights.ts';
import { type LogitsHead, prefersFloatTable } from './arithmetic.ts';
import { quantiseChannels } from './channel-quantise.ts';
import { bytesOf, type GraphWriter } from './graph-writer.ts';

const levelMax = 127;
const restMax = 2 * levelMax; // what rounding leaves is half a step at most: times this it spans all levels
const tiny = 1e-5; // a column or gain of zeros tells nothing
const partSize = 2 ** 25; // bytes of the matrix in float at a time

/**
 * Not a small one, which would feel the operators; nor one of its own: devices other than the CPU multiply blocks, and a tied
 * head's are there as embeddings.
 */
export function isFineHead(head: LogitsHead): boolean {
  return head.tied && !prefersFloatTable(head);
}

/** [R, hiddenSize] → logits [R, vocabSize], named `head.output`. */
export function unembedFinely(
  writer: GraphWriter,
  source: WeightSource,
  input: string,
  head: LogitsHead,
): string {
  const { weight, output } = head;
  const node = (operator: string, name: string, inputs: readonly string[], attributes = {}) =>
    writer.node(operator, `${output}.${name}`, inputs, attributes);
  const number = (name: string, value: number) => writer.constant(name, 'float', [], Float32Array.of(value));
  writeMatrix(writer, source, head);
  const axes = writer.constant('last_axis', 'int64', [1], BigInt64Array.of(-1n));
  const zero = writer.constant('activation_zero', 'uint8', [], Uint8Array.of(128));
  const [step, finer] = [number('head_step', 1 / levelMax), number('rest_step', 1 / (levelMax * restMax))];
  const even = node('Mul', 'even', [input, `${weight}.head.sizes`]);
  const magnitudes = node('Abs', 'magnitudes', [even]);
  const peaks = node('ReduceMax', 'peaks', [magnitudes, axes], { keepdims: { int: 1 } });
  const shares = node('Div', 'shares', [even, peaks]); // an all-zero row's are no numbers; its levels count 0 times
  const coarse = node('QuantizeLinear', 'coarse', [shares, step, zero]);
  const rounded = node('DequantizeLinear', 'rounded', [coarse, step, zero]);
  const fine = node('QuantizeLinear', 'fine', [node('Sub', 'rest', [shares, rounded]), finer, zero]);
  const levels = node('Concat', 'levels', [coarse, fine], { axis: { int: 0 } });
  const restPeaks = node('Div', 'rest_peaks', [peaks, number('rest_max', restMax)]);
  const worth = node('Concat', 'worth', [peaks, restPeaks], { axis: { int: 0 } });
  const matrix = [`${weight}.head.levels`, number('one', 1), `${weight}.head.scales`];
  const [products] = writer.contrib(
    'MatMulIntegerToFloat',
    [`${output}.products`],
    [levels, ...matrix, zero],
    {},
  );
  const valued = node('Mul', 'valued', [products!, worth]);
  const parts = [`${output}.coarse_part`, `${output}.fine_part`];
  const attributes = { axis: { int: 0 }, num_outputs: { int: 2 } };
  writer.append({ operator: 'Split', domain: '', outputs: parts, inputs: [valued], attributes });
  return writer.node('Add', output, parts); // summing over an axis takes five times as long
}

/** `<weight>.head.levels` int8 [hiddenSize, vocabSize], `.scales` of outputs with the activations' 1 / 127, `.sizes` [hiddenSize] that columns were divided by. */
function writeMatrix(writer: GraphWriter, source: WeightSource, head: LogitsHead): void {
  const { weight, vocabSize: outSize, hiddenSize: inSize } = head;
  writer.fates.push({ weights: [weight], fate: '8 bit' });
  writer.weights({
    tensors: [
      { name: `${weight}.head.levels`, type: 'int8', shape: [inSize, outSize] },
      { name: `${weight}.head.scales`, type: 'float', shape: [outSize] },
      { name: `${weight}.head.sizes`, type: 'float', shape: [inSize] },
    ],
    produce() {
      const squares = new Float64Array(inSize);
      for (const { values } of partsOf(source, head)) {
        for (let at = 0; at < values.length; ) {
          for (let column = 0; column < inSize; column++, at++) squares[column]! += values[at]! * values[at]!;
        }
      }
      // Between columns and what they are multiplied by, of which the last norm's gains tell most without measuring.
      const gains = source.read('model.norm.weight');
      const balance = (sum: number, column: number) =>
        Math.sqrt(Math.max(Math.sqrt(sum / outSize), tiny) / Math.max(Math.abs(gains[column]!), tiny));
      const sizes = Float32Array.from(squares, balance);
      const levels = new Int8Array(inSize * outSize);
      const scales = new Float32Array(outSize);
      for (const { values, start } of partsOf(source, head)) {
        for (let at = 0; at < values.length; ) {
          for (let column = 0; column < inSize; column++, at++) values[at]! /= sizes[column]!;
        }
        const part = quantiseChannels(values, inSize, 'none');
        const count = part.scales.length;
        scales.set(part.scales, start);
        for (let column = 0; column < inSize; column++)
          levels.set(part.data.subarray(column * count, (column + 1) * count), column * outSize + start);
      }
      return [bytesOf(levels), bytesOf(scales.map((scale) => scale / levelMax)), bytesOf(sizes)];
    },
  });
}

/** Rows of the matrix, a part at a time; a fresh array each. */
function* partsOf(source: WeightSource, { weight, vocabSize, hiddenSize }: LogitsHead) {
  const count = Math.max(1, Math.floor(partSize / (4 * hiddenSize)));
  if (source.readRows === undefined || count >= vocabSize) {
    yield { start: 0, values: source.read(weight) };
    return;
  }
  for (let start = 0; start < vocabSize; start += count) {
    const rows = { start, count: Math.min(count, vocabSize - start), of: vocabSize };
    yield { start, values: source.readRows(weight, rows) };
  }
}
