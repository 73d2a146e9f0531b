// Our own operators, through ONNX Runtime: what they compute, and that a row has the same bits alone, among others and on any
// number of threads.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openSessionOf } from '../../../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../../../kernels/onnx/own-library.ts';
import { Random } from '../../../../kernels/random.ts';
import { decodeBlocks, openGguf, readBlocks } from '../../../../models/gguf/gguf-file.ts';
import { kernelBlocks, kernelLayout } from '../../../../models/gguf/kernel-blocks.ts';
import { ints } from '../../../../models/graph/arithmetic.ts';
import { bytesOf } from '../../../../models/graph/graph-writer.ts';
import { type OwnLayout, ownBlocks, ownStoredBlocks } from '../../../../models/graph/own-blocks.ts';
import { encodeModel, type NodeProto, ownDomain } from '../../../../models/onnx/onnx-proto.ts';
import type { Bits } from '../../../../models/weights/weights.ts';

const native = join(import.meta.dirname, '../../../../kernels/native');
const types = join(import.meta.dirname, '../../../golden/models/gguf-types/types.gguf');
const isHere = nativeLibraryPath() !== null;
if (!isHere) console.info('skipped: no operators of our own for this machine');

test('the library was built from these sources', () => {
  const hash = createHash('sha256');
  const files = readdirSync(native).filter((file) => /\.[ch]$/.test(file));
  for (const ending of ['.c', '.h']) {
    for (const file of files.filter((each) => each.endsWith(ending)).sort())
      hash.update(readFileSync(join(native, file)));
  }
  hash.update(readFileSync(join(native, 'build.sh')));
  const built = readFileSync(join(native, 'linux-x64/sources.sha256'), 'utf8').trim();
  expect(hash.digest('hex'), 'make native').toBe(built);
});

const epsilon = 1e-5;
const rowCount = 23; // 18 and more are multiplied another way than fewer
const layouts: readonly OwnLayout[] = [
  { rows: 48, columns: 128, bits: 8, blockSize: 64 },
  { rows: 37, columns: 100, bits: 8, blockSize: 32 }, // neither groups nor blocks are whole
  { rows: 48, columns: 128, bits: 4, blockSize: 32 },
  { rows: 19, columns: 72, bits: 4, blockSize: 32 },
  { rows: 700, columns: 576, bits: 8, blockSize: 64 }, // several tasks
  { rows: 700, columns: 576, bits: 4, blockSize: 32 },
];
const nameOf = ({ rows, columns, bits, blockSize }: OwnLayout) =>
  `${rows} × ${columns}, ${bits} bits by ${blockSize}`;

describe.skipIf(!isHere)('products', () => {
  test.each(layouts.map((layout) => [nameOf(layout), layout] as const))('of %s', (_, layout) => {
    const random = new Random(17);
    const weights = valuesOf(random, layout.rows * layout.columns);
    const matrix = matrixSession(layout, weights);
    const { rows, columns } = layout;
    const ids = Int32Array.from({ length: rows }, (_, row) => row);
    const rounded = matrix.rows(ids); // what the matrix holds
    const worst = largestDifference(rounded, weights);
    expect(worst).toBeLessThan(layout.bits === 8 ? 0.005 : 0.14); // of values within ±1; at 4 bits extremes may be clipped
    const input = valuesOf(random, 17 * columns);
    const bias = valuesOf(random, rows);
    const [gains, residual] = [valuesOf(random, columns), valuesOf(random, 17 * rows)];
    const { product: products, normed, gated } = matrix.run({ input, bias, gains, residual });
    for (let row = 0; row < 17; row++) {
      const values = input.subarray(row * columns, (row + 1) * columns);
      const square = values.reduce((sum, value) => sum + value * value, 0) / columns;
      const scale = 1 / Math.sqrt(square + epsilon);
      for (let output = 0; output < rows; output++) {
        const at = row * rows + output;
        let [sum, behindNorm] = [bias[output]!, 0];
        for (let k = 0; k < columns; k++) {
          const weight = rounded[output * columns + k]!;
          sum += values[k]! * weight;
          behindNorm += values[k]! * scale * gains[k]! * weight;
        }
        expect(Math.abs(products[at]! - sum)).toBeLessThan(2e-3);
        expect(Math.abs(normed[at]! - residual[at]! - behindNorm)).toBeLessThan(5e-3);
        const gate = behindNorm + bias[output]!;
        const expected = (gate / (1 + Math.exp(-gate))) * behindNorm;
        expect(Math.abs(gated[at]! - expected)).toBeLessThan(5e-3 * Math.max(1, Math.abs(behindNorm)));
      }
    }
    matrix.release();
  });

  test.each(layouts.map((layout) => [nameOf(layout), layout] as const))(
    'of a row, whoever is beside it: %s',
    (_, layout) => {
      const random = new Random(3);
      const weights = valuesOf(random, layout.rows * layout.columns);
      const input = valuesOf(random, rowCount * layout.columns);
      const bias = valuesOf(random, layout.rows);
      const [one, two] = [matrixSession(layout, weights, 1), matrixSession(layout, weights, 2)];
      const [gains, residual] = [valuesOf(random, layout.columns), valuesOf(random, rowCount * layout.rows)];
      const all = one.run({ input, bias, gains, residual });
      for (const count of [1, 2, 3, 4, 5, 6, 7, 13, 17, 18, rowCount]) {
        for (const start of [0, rowCount - count]) {
          const cut = (of: Float32Array, size: number) => of.slice(start * size, (start + count) * size);
          const given = { input: cut(input, layout.columns), residual: cut(residual, layout.rows) };
          for (const matrix of [one, two]) {
            const { product, normed, gated } = matrix.run({ ...given, bias, gains });
            expect(product).toEqual(cut(all.product, layout.rows));
            expect(normed).toEqual(cut(all.normed, layout.rows));
            expect(gated).toEqual(cut(all.gated, layout.rows));
          }
        }
      }
      one.release();
      two.release();
    },
  );

  test.each(['Q4_0', 'Q4_1', 'Q4_K', 'Q8_0'])('blocks of a file are worth what they were: %s', (type) => {
    const tensor = openGguf(types).tensors.get(type)!;
    const bytes = readBlocks(tensor);
    const { bits, blockSize } = kernelLayout(type)!;
    const stored = decodeBlocks(type, tensor, bytes);
    const layout: OwnLayout = { rows: stored.length / 512, columns: 512, bits, blockSize };
    const parts = [kernelBlocks(bytes, kernelLayout(type)!, 512)];
    const matrix = matrixSession(layout, stored, 1, ownStoredBlocks(parts, layout));
    const rows = matrix.rows(Int32Array.from({ length: layout.rows }, (_, row) => row));
    if (kernelLayout(type)!.roundsScales !== true) expect(rows).toEqual(stored.map((value) => value + 0)); // no −0
    const largest = largestDifference(stored, new Float32Array(stored.length));
    expect(largestDifference(rows, stored)).toBeLessThan(largest / 1000);
    matrix.release();
  });

  test('what a run needs besides its results is given back', () => {
    const layout: OwnLayout = { rows: 16, columns: 2048, bits: 8, blockSize: 64 };
    const matrix = matrixSession(layout, new Float32Array(16 * 2048).fill(1));
    const runs = matrix.repeatable(new Float32Array(32 * 2048).fill(1));
    for (let run = 0; run < 50; run++) runs();
    const before = process.memoryUsage.rss();
    for (let run = 0; run < 500; run++) runs(); // each rounds 32 rows three times: 200 MB in all
    expect(process.memoryUsage.rss() - before).toBeLessThan(50e6);
    matrix.release();
  });

  test('large activations beside small ones keep the small ones', () => {
    const layout: OwnLayout = { rows: 16, columns: 128, bits: 8, blockSize: 64 };
    const weights = new Float32Array(16 * 128).fill(1);
    const input = new Float32Array(128).fill(1e-3);
    input[127] = 30_000; // in the second block
    const matrix = matrixSession(layout, weights);
    const [weight] = matrix.rows(Int32Array.of(0));
    const [small] = matrix.multiply(
      input.map((value) => (value > 1 ? 0 : value)),
      new Float32Array(16),
    );
    expect(small! / weight!).toBeCloseTo(0.127, 5);
    const [sum] = matrix.multiply(input, new Float32Array(16));
    expect(sum! / weight! - 30_000).toBeCloseTo(0.064, 1); // beside it in its block 63 are lost
    matrix.release();
  });

  test('no number stays none', () => {
    const layout: OwnLayout = { rows: 16, columns: 64, bits: 8, blockSize: 64 };
    const matrix = matrixSession(layout, new Float32Array(16 * 64).fill(1));
    const input = new Float32Array(64).fill(1);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      input[5] = value;
      expect(matrix.multiply(input, new Float32Array(16)).some(Number.isFinite)).toBe(false);
    }
    matrix.release();
  });

  test('what does not fit is refused', () => {
    const layout: OwnLayout = { rows: 16, columns: 64, bits: 8, blockSize: 64 };
    const weights = new Float32Array(16 * 64).fill(1);
    const matrix = matrixSession(layout, weights);
    expect(() => matrix.rows(Int32Array.of(16))).toThrow('an index is beyond the matrix');
    expect(() => matrix.rows(Int32Array.of(-1))).toThrow('an index is beyond the matrix');
    matrix.release();
    const wrong = matrixSession({ ...layout, rows: 17 }, weights, 1, ownBlocks(weights, layout));
    expect(() => wrong.rows(Int32Array.of(0))).toThrow('a matrix has another size');
    wrong.release();
    const bits = 5 as Bits;
    expect(() => matrixSession({ ...layout, bits }, weights, 1, new Uint8Array(9))).toThrow('no such matrix');
  });
});

function valuesOf(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => 2 * random.next() - 1);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, at) => Math.max(largest, Math.abs(value - b[at]!)), 0);
}

/** One matrix behind the operators. */
function matrixSession(
  layout: OwnLayout,
  weights: Float32Array,
  threads = 1,
  bytes = ownBlocks(weights, layout),
) {
  const { rows: outSize, columns: inSize, bits, blockSize } = layout;
  const sizes = ints({ inSize, outSize, bits, blockSize });
  const node = (operator: string, output: string, inputs: readonly string[]): NodeProto => {
    const attributes = operator === 'Rows' ? sizes : { ...sizes, epsilon: { float: epsilon } };
    return { operator, domain: ownDomain, name: output, outputs: [output], inputs, attributes };
  };
  const content = { kind: 'inline' as const, bytes: bytesOf(bytes) };
  const products = ['product', 'normed', 'gated'] as const;
  const model = encodeModel(
    {
      name: 'products',
      nodes: [
        node('Product', 'product', ['input', 'matrix', 'bias']),
        node('Product', 'normed', ['input', 'matrix', '', 'gains', 'residual']),
        node('GatedProduct', 'gated', ['input', 'matrix', 'matrix', 'gains', 'bias']),
        node('Rows', 'rows', ['matrix', 'ids']),
      ],
      initializers: [{ name: 'matrix', type: 'uint8', shape: [bytes.length], content }],
      inputs: [
        { name: 'input', type: 'float', shape: ['count', inSize] },
        { name: 'bias', type: 'float', shape: [outSize] },
        { name: 'gains', type: 'float', shape: [inSize] },
        { name: 'residual', type: 'float', shape: ['count', outSize] },
        { name: 'ids', type: 'int32', shape: ['ids'] },
      ],
      outputs: [
        ...products.map((name) => ({ name, type: 'float' as const, shape: ['count', outSize] })),
        { name: 'rows', type: 'float', shape: ['ids', inSize] },
      ],
    },
    { name: 'sparklane', version: '1' },
  );
  const session = openSessionOf(model, { intraOpThreads: threads, spinning: false });
  const bound = (given: Partial<Given>) => {
    const { input = new Float32Array(inSize), ids = Int32Array.of(0) } = given;
    const { bias = new Float32Array(outSize), gains = new Float32Array(inSize) } = given;
    const shape = [input.length / inSize, outSize];
    const fresh = () => new Float32Array(shape[0]! * outSize);
    const made = {
      product: fresh(),
      normed: fresh(),
      gated: fresh(),
      rows: new Float32Array(ids.length * inSize),
    };
    const binding = session.bind(
      [
        { name: 'input', data: input, shape: [shape[0]!, inSize] },
        { name: 'bias', data: bias, shape: [outSize] },
        { name: 'gains', data: gains, shape: [inSize] },
        { name: 'residual', data: given.residual ?? fresh(), shape },
        { name: 'ids', data: ids, shape: [ids.length] },
      ],
      [
        ...products.map((name) => ({ name, data: made[name], shape })),
        { name: 'rows', data: made.rows, shape: [ids.length, inSize] },
      ],
    );
    return { binding, made };
  };
  const run = (given: Partial<Given>) => {
    const { binding, made } = bound(given);
    binding.run();
    return made;
  };
  return {
    run,
    repeatable: (input: Float32Array) => {
      const { binding } = bound({ input });
      return () => binding.run();
    },
    multiply: (input: Float32Array, bias: Float32Array) => run({ input, bias }).product,
    rows: (ids: Int32Array) => run({ ids }).rows,
    release: () => session.release(),
  };
}

interface Given {
  readonly input: Float32Array;
  readonly bias: Float32Array;
  readonly gains: Float32Array;
  readonly residual: Float32Array;
  readonly ids: Int32Array;
}
