// A head of 16-bit activations: its logits are the products up to the rounding of weights, each row by itself.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hasExactProducts } from '../../../../kernels/onnx/exact-products.ts';
import { openSession } from '../../../../kernels/onnx/ort.ts';
import { Random } from '../../../../kernels/random.ts';
import { unembedFinely } from '../../../../models/graph/fine-head.ts';
import { bytesOf, GraphWriter } from '../../../../models/graph/graph-writer.ts';
import { encodeModel } from '../../../../models/onnx/onnx-proto.ts';
import type { WeightSource } from '../../../../models/weights/weights.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
const [vocabSize, hiddenSize] = [600, 96];
const random = new Random(11);
const between = () => random.next() - 0.5;
// Some columns are ten times as large, and what they meet is not.
const weights = Float32Array.from(
  { length: vocabSize * hiddenSize },
  (_, at) => between() * (at % 17 === 0 ? 10 : 1),
);
const gains = Float32Array.from({ length: hiddenSize }, () => 1 + random.next());
const source: WeightSource = { read: (name) => (name === 'head' ? weights.slice() : gains) };

function headOf(from: WeightSource) {
  const writer = new GraphWriter();
  const head = { weight: 'head', vocabSize, hiddenSize, tied: false, output: 'logits' };
  unembedFinely(writer, from, 'input', head);
  const made = writer.recipes.flatMap(({ tensors, produce }) => {
    const contents = produce();
    return tensors.map((tensor, at) => ({
      ...tensor,
      content: { kind: 'inline' as const, bytes: contents[at]! },
    }));
  });
  return { writer, made };
}

test.skipIf(!hasExactProducts())('logits are the products, whoever else is in the step', () => {
  if (!hasExactProducts()) console.info('skipped: this processor saturates');
  const { writer, made } = headOf(source);
  const modelPath = join(directory, 'head.onnx');
  const graph = {
    ...{ name: 'head', nodes: writer.nodes, initializers: [...writer.constants, ...made] },
    inputs: [{ name: 'input', type: 'float' as const, shape: ['rows', hiddenSize] }],
    outputs: [{ name: 'logits', type: 'float' as const, shape: ['rows', vocabSize] }],
  };
  writeFileSync(modelPath, encodeModel(graph, { name: 'sparklane', version: '1' }));
  const session = openSession({ modelPath, intraOpThreads: 1, spinning: false });
  const logitsOf = (rows: Float32Array): Float32Array => {
    const count = rows.length / hiddenSize;
    const data = new Float32Array(count * vocabSize);
    const input = { name: 'input', data: rows, shape: [count, hiddenSize] };
    session.bind([input], [{ name: 'logits', data, shape: [count, vocabSize] }]).run();
    return data;
  };
  const rowCount = 5;
  const rows = Float32Array.from({ length: rowCount * hiddenSize }, between);
  rows.fill(0, 2 * hiddenSize, 3 * hiddenSize);
  const together = logitsOf(rows);
  let [error, norm] = [0, 0];
  for (let row = 0; row < rowCount; row++) {
    const input = rows.slice(row * hiddenSize, (row + 1) * hiddenSize);
    const own = together.slice(row * vocabSize, (row + 1) * vocabSize);
    expect(Buffer.compare(bytesOf(logitsOf(input)), bytesOf(own))).toBe(0);
    for (let id = 0; id < vocabSize; id++) {
      let exact = 0;
      for (let at = 0; at < hiddenSize; at++) exact += weights[id * hiddenSize + at]! * input[at]!;
      error += (exact - own[id]!) ** 2;
      norm += exact ** 2;
    }
  }
  session.release();
  expect(Math.sqrt(error / norm)).toBeLessThan(0.02); // 8 bits of weights whose columns differ
  expect(together.slice(2 * vocabSize, 3 * vocabSize).every((value) => value === 0)).toBe(true);
});

test('a matrix that is read part by part gives the bytes of the whole', () => {
  const [rowCount, width] = [65_537, 160]; // 40 MiB in float: more than a part
  const values = Float32Array.from({ length: rowCount * width }, between);
  const norm = new Float32Array(width).fill(1);
  const contents = (from: WeightSource) => {
    const writer = new GraphWriter();
    const head = { weight: 'head', vocabSize: rowCount, hiddenSize: width, tied: false, output: 'logits' };
    unembedFinely(writer, from, 'input', head);
    return writer.recipes.flatMap(({ produce }) => produce());
  };
  const whole: WeightSource = { read: (name) => (name === 'head' ? values.slice() : norm) };
  let partCount = 0;
  const parts: WeightSource = {
    read: (name) => (name === 'head' ? expect.unreachable('the matrix is whole in memory') : norm),
    readRows(_, { start, count }) {
      partCount++;
      return values.slice(start * width, (start + count) * width);
    },
  };
  const [found, expected] = [contents(parts), contents(whole)];
  for (const [index, bytes] of expected.entries()) expect(Buffer.compare(found[index]!, bytes)).toBe(0);
  expect(partCount).toBe(4); // two parts, once for the columns and once for the levels
});
