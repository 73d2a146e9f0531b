// Whether this processor multiplies uint8 by int8 exactly for all weights: x86 without VNNI adds two products in 16 bits and
// saturates. Tried with one product at the extremes, once per process. Before it: activation-probe.ts; after it: ort.ts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesOf } from '../../models/graph/graph-writer.ts';
import { encodeModel, microsoftDomain } from '../../models/onnx/onnx-proto.ts';
import { openSession } from './ort.ts';

const size = 64;
let known: boolean | null = null;

/** False too where it cannot be tried. */
export function hasExactProducts(): boolean {
  known ??= tried();
  return known;
}

function tried(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-products-'));
  try {
    const modelPath = join(directory, 'product.onnx');
    writeFileSync(modelPath, encodeModel(productGraph(), { name: 'sparklane', version: '1' }));
    const session = openSession({ modelPath, intraOpThreads: 1, spinning: false });
    const product = new Float32Array(2 * size);
    const levels = { name: 'levels', data: new Uint8Array(2 * size).fill(255), shape: [2, size] };
    session.bind([levels], [{ name: 'product', data: product, shape: [2, size] }]).run();
    session.release();
    return product.every((value) => value === size * (255 - 128) * 127);
  } catch {
    return false; // no C API here, or no such operator
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function productGraph() {
  const inline = (
    name: string,
    type: 'int8' | 'float' | 'uint8',
    shape: number[],
    values: ArrayBufferView,
  ) => ({
    ...{ name, type, shape },
    content: { kind: 'inline' as const, bytes: bytesOf(values) },
  });
  return {
    name: 'product',
    nodes: [
      {
        ...{ operator: 'MatMulIntegerToFloat', domain: microsoftDomain, name: 'product', attributes: {} },
        ...{ inputs: ['levels', 'weights', 'one', 'scales', 'zero'], outputs: ['product'] },
      },
    ],
    initializers: [
      inline('weights', 'int8', [size, size], new Int8Array(size * size).fill(127)),
      inline('one', 'float', [], Float32Array.of(1)),
      inline('scales', 'float', [size], new Float32Array(size).fill(1)),
      inline('zero', 'uint8', [], Uint8Array.of(128)),
    ],
    inputs: [{ name: 'levels', type: 'uint8' as const, shape: ['rows', size] }],
    outputs: [{ name: 'product', type: 'float' as const, shape: ['rows', size] }],
  };
}
