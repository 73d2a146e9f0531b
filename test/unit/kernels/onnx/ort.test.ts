// Both ways of calling ONNX Runtime over a graph small enough to check by hand: sum = a + b, product = a · weight.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadFloatMode } from '../../../../kernels/onnx/float-mode.ts';
import { attachSession, OrtError, openBindingSession, openSession } from '../../../../kernels/onnx/ort.ts';
import type { GraphSession, SessionOptions } from '../../../../kernels/onnx/runtime.ts';
import { encodeModel, type GraphProto, type NodeProto } from '../../../../models/onnx/onnx-proto.ts';

const node = (operator: string, inputs: string[], outputs: string[]): NodeProto => ({
  operator,
  domain: '',
  name: operator,
  inputs,
  outputs,
  attributes: {},
});

const graph: GraphProto = {
  name: 'tiny',
  nodes: [
    node('Add', ['a', 'b'], ['sum']),
    node('Mul', ['a', 'weight'], ['product']),
    node('SequenceConstruct', ['b'], ['guard']),
  ],
  initializers: [
    {
      name: 'weight',
      type: 'float',
      shape: [3],
      content: { kind: 'external', file: 'weights.bin', offset: 4, size: 12 },
    },
  ],
  inputs: [
    { name: 'a', type: 'float', shape: ['n', 3] },
    { name: 'b', type: 'float', shape: ['n', 3] },
  ],
  outputs: [
    { name: 'guard', type: 'float', shape: ['n', 3], sequence: true },
    { name: 'sum', type: 'float', shape: ['n', 3] },
    { name: 'product', type: 'float', shape: ['n', 3] },
  ],
};

let directory: string;
let options: SessionOptions;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparklane-ort-'));
  const modelPath = join(directory, 'tiny.onnx');
  writeFileSync(modelPath, encodeModel(graph, { name: 'sparklane', version: '1' }));
  writeFileSync(join(directory, 'weights.bin'), new Uint8Array(new Float32Array([-1, 2, 3, 4]).buffer));
  options = { modelPath, intraOpThreads: 1, spinning: false };
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const runtimes: readonly { name: string; open: () => Promise<GraphSession> }[] = [
  { name: 'C API', open: async () => openSession(options) },
  { name: 'official binding', open: () => openBindingSession(options) },
];

describe.each(runtimes)('a session of the $name', ({ open }) => {
  test('computes into bound memory, and again when the inputs change', async () => {
    const session = await open();
    const a = Float32Array.of(1, 2, 3);
    const b = Float32Array.of(10, 20, 30);
    const sum = new Float32Array(3);
    const product = new Float32Array(3);
    const binding = session.bind(
      [
        { name: 'a', data: a, shape: [1, 3] },
        { name: 'b', data: b, shape: [1, 3] },
      ],
      [
        { name: 'sum', data: sum, shape: [1, 3] },
        { name: 'product', data: product, shape: [1, 3] },
      ],
    );
    binding.run();
    expect([...sum]).toEqual([11, 22, 33]);
    expect([...product]).toEqual([2, 6, 12]);
    a.fill(1);
    binding.run();
    expect([...sum]).toEqual([11, 21, 31]);
    session.release();
  });

  test('works on a view in the middle of a buffer and in place, leaving the neighbours alone', async () => {
    const session = await open();
    const memory = Float32Array.from({ length: 12 }, (_, index) => index);
    const a = memory.subarray(3, 9);
    const b = new Float32Array(6).fill(0.5);
    const product = new Float32Array(6);
    const binding = session.bind(
      [
        { name: 'a', data: a, shape: [2, 3] },
        { name: 'b', data: b, shape: [2, 3] },
      ],
      [
        { name: 'sum', data: a, shape: [2, 3] },
        { name: 'product', data: product, shape: [2, 3] },
      ],
    );
    binding.run();
    expect([...memory]).toEqual([0, 1, 2, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9, 10, 11]);
    session.release();
  });

  test('refuses a missing input, a wrong shape and use after release with a typed error, and lives on', async () => {
    const session = await open();
    const a = { name: 'a', data: new Float32Array(3), shape: [1, 3] };
    const b = { name: 'b', data: new Float32Array(3), shape: [1, 3] };
    const sum = { name: 'sum', data: new Float32Array(3), shape: [1, 3] };
    const outputs = [sum, { name: 'product', data: new Float32Array(3), shape: [1, 3] }];
    expect(() => session.bind([a], outputs).run()).toThrow(OrtError);
    expect(() => session.bind([a, b], [{ ...sum, shape: [2, 3] }])).toThrow(/tensor sum: shape \[2, 3\]/);
    expect(() => session.bind([{ ...a, data: new Float32Array(0), shape: [0, 3] }, b], outputs)).toThrow(
      /≥ 1/,
    );
    const binding = session.bind([a, b], outputs);
    binding.run();
    binding.release();
    binding.release();
    expect(() => binding.run()).toThrow(/released/);
    session.release();
    session.release();
    expect(() => session.bind([a, b], outputs)).toThrow(/released/);
  });

  test('reports its version', async () => {
    const session = await open();
    expect(session.version).toMatch(/^1\.\d+\.\d+/);
    session.release();
  });
});

describe('the C API', () => {
  test('refuses a model that is not there with the code and words of ONNX Runtime', () => {
    expect(() => openSession({ ...options, modelPath: join(directory, 'none.onnx') })).toThrow(
      expect.objectContaining({ name: 'OrtError', code: 'no-such-file' }),
    );
  });

  test('refuses a session of another library version', () => {
    expect(() => attachSession({ sessionAddress: 1n, version: '0.0.1' })).toThrow(/0\.0\.1/);
  });

  test('binds shared memory', () => {
    const session = openSession(options);
    const shared = new Float32Array(new SharedArrayBuffer(64), 16, 3);
    shared.set([1, 2, 3]);
    const tensor = (name: string, data: Float32Array) => ({ name, data, shape: [1, 3] });
    const product = new Float32Array(3);
    const inputs = [tensor('a', new Float32Array(3)), tensor('b', shared)];
    session.bind(inputs, [tensor('sum', shared), tensor('product', product)]).run();
    expect([...shared]).toEqual([1, 2, 3]);
    shared.set([7, 8, 9]);
    session
      .bind(
        [tensor('a', shared), tensor('b', shared)],
        [tensor('sum', product), tensor('product', new Float32Array(3))],
      )
      .run();
    expect([...product]).toEqual([14, 16, 18]);
    session.release();
  });

  test('computes with denormals as zero and leaves those of JavaScript alone', () => {
    const session = openSession(options);
    const tiny = Float32Array.of(1e-40, 1e-40, 1); // the first two have no normal form in 32 bits
    const tensor = (name: string, data: Float32Array) => ({ name, data, shape: [1, 3] });
    const product = new Float32Array(3);
    const inputs = [tensor('a', tiny), tensor('b', new Float32Array(3))];
    session.bind(inputs, [tensor('sum', new Float32Array(3)), tensor('product', product)]).run();
    if (loadFloatMode() !== null) expect([...product]).toEqual([0, 0, 4]);
    const operands = Float64Array.of(Number.MIN_VALUE, 1);
    expect(operands[0]! * operands[1]!).toBe(Number.MIN_VALUE);
    session.release();
  });

  test('lets another thread of the process run the same session on shared memory', async () => {
    const session = openSession(options);
    const memory = new SharedArrayBuffer(48);
    new Float32Array(memory, 0, 6).set([1, 2, 3, 4, 5, 6]);
    // On Node 20 tsx does not register itself in worker threads, whatever execArgv says.
    const loader = import.meta.resolve('tsx/esm/api');
    const entry = new URL('./attach-worker.ts', import.meta.url).href;
    const source = `import('${loader}').then(({ register }) => { register(); return import('${entry}'); })`;
    const worker = new Worker(source, { eval: true, workerData: { handle: session.handle, memory } });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await worker.terminate();
    expect([...new Float32Array(memory, 24, 6)]).toEqual([5, 7, 9, 2, 6, 12]);
    session.release();
  });
});

test('the official binding refuses shared memory by name', async () => {
  const session = await openBindingSession(options);
  const data = new Float32Array(new SharedArrayBuffer(12));
  expect(() => session.bind([{ name: 'a', data, shape: [1, 3] }], [])).toThrow(
    /tensor a: .*SharedArrayBuffer/,
  );
  session.release();
});
