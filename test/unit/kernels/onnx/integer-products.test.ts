// The kernel under w8a8: uint8 activations times int8 weights must give the exact integer at the worst levels that
// the quantiser allows, on whatever this machine is. x86 without VNNI adds neighbours in 16 bits and saturates beyond.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSession } from '../../../../kernels/onnx/ort.ts';
import { bytesOf } from '../../../../models/graph/graph-writer.ts';
import { encodeModel, microsoftDomain } from '../../../../models/onnx/onnx-proto.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
const columns = 64; // K
const outputs = 8; // N

/** levels [rows, K] · weights [K, N], zero point 128, through ONNX Runtime. */
function multiply(levels: Uint8Array, weights: Int8Array): Float32Array {
  const rows = levels.length / columns;
  const inline = (
    name: string,
    type: 'int8' | 'float' | 'uint8',
    shape: number[],
    values: ArrayBufferView,
  ) => ({
    ...{ name, type, shape },
    content: { kind: 'inline' as const, bytes: bytesOf(values) },
  });
  const node = {
    operator: 'MatMulIntegerToFloat',
    domain: microsoftDomain,
    name: 'product',
    inputs: ['levels', 'weights', 'one', 'scales', 'zero'],
    outputs: ['product'],
    attributes: {},
  };
  const graph = {
    name: 'product',
    nodes: [node],
    initializers: [
      inline('weights', 'int8', [columns, outputs], weights),
      inline('one', 'float', [], Float32Array.of(1)),
      inline('scales', 'float', [outputs], new Float32Array(outputs).fill(1)),
      inline('zero', 'uint8', [], Uint8Array.of(128)),
    ],
    inputs: [{ name: 'levels', type: 'uint8' as const, shape: ['rows', columns] }],
    outputs: [{ name: 'product', type: 'float' as const, shape: ['rows', outputs] }],
  };
  const modelPath = join(directory, 'product.onnx');
  writeFileSync(modelPath, encodeModel(graph, { name: 'sparklane', version: '1' }));
  const session = openSession({ modelPath, intraOpThreads: 1, spinning: false });
  const product = new Float32Array(rows * outputs);
  const input = { name: 'levels', data: levels, shape: [rows, columns] };
  session.bind([input], [{ name: 'product', data: product, shape: [rows, outputs] }]).run();
  session.release();
  return product;
}

function exact(levels: Uint8Array, weights: Int8Array): number[] {
  return Array.from({ length: (levels.length / columns) * outputs }, (_, index) => {
    const row = Math.floor(index / outputs);
    let sum = 0;
    for (let k = 0; k < columns; k++) {
      sum += (levels[row * columns + k]! - 128) * weights[k * outputs + (index % outputs)]!;
    }
    return sum;
  });
}

/** Column n of the weights repeats pair n; all are at the limit of 128, or of opposite signs. */
const pairs = [
  [64, 64],
  [-64, -64],
  [127, 1],
  [-127, -1],
  [1, 127],
  [100, 28],
  [127, -127],
  [-127, 127],
] as const;
const weights = Int8Array.from({ length: columns * outputs }, (_, index) => {
  const k = Math.floor(index / outputs);
  return pairs[index % outputs]![k % 2]!;
});

test.each([1, 2, 5, 16])('products of %i rows are exact at the largest levels', (rows) => {
  const extremes = [255, 1, 128, 254];
  for (const level of extremes) {
    const levels = new Uint8Array(rows * columns).fill(level);
    expect([...multiply(levels, weights)]).toEqual(exact(levels, weights));
  }
  const mixed = Uint8Array.from(
    { length: rows * columns },
    (_, index) => extremes[(index * 7 + (index >> 3)) % 4]!,
  );
  expect([...multiply(mixed, weights)]).toEqual(exact(mixed, weights));
});

test('prints whether this machine would saturate without the limit on pairs', () => {
  const unlimited = new Int8Array(columns * outputs).fill(127);
  const levels = new Uint8Array(columns).fill(255);
  const saturates = multiply(levels, unlimited)[0] !== exact(levels, unlimited)[0];
  console.info(`u8 × s8 products ${saturates ? 'saturate' : 'are exact'} on this machine for any weights`);
});
