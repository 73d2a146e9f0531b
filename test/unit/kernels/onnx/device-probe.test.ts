// The test of a device against the cpu, with a second session on the cpu as the device: one that is right, one whose long
// rows are wrong, one that is wrong always.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { probeDevice } from '../../../../kernels/onnx/device-probe.ts';
import { openSession } from '../../../../kernels/onnx/ort.ts';
import type { Binding, BoundTensor, GraphSession } from '../../../../kernels/onnx/runtime.ts';
import { buildTinyGraph, type TinyGraph } from '../../../cpu-rig.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
let tiny: TinyGraph;
let cpu: GraphSession;

beforeAll(async () => {
  tiny = await buildTinyGraph(directory);
  const modelPath = tiny.graph.deviceModelPath!;
  cpu = openSession({ modelPath, intraOpThreads: 1, spinning: false });
});
afterAll(() => cpu?.release());

/** Takes `error` off the likeliest token's logit after the last of `fromTokens` tokens and more. */
function wrongFrom(fromTokens: number, error: number): GraphSession {
  return {
    ...{ runtime: 'c-api', version: '1.30.0', handle: null, release: () => undefined },
    bind(inputs: readonly BoundTensor[], outputs: readonly BoundTensor[]): Binding {
      const inner = cpu.bind(inputs, outputs);
      const output = (name: string) => outputs.find((each) => each.name === name)!.data as Float32Array;
      const [, count] = inputs.find(({ name }) => name === 'input_ids')!.shape as [number, number];
      return {
        run: () => {
          inner.run();
          if (count < fromTokens) return;
          const { vocabSize, topCount } = tiny.graph;
          const row = output('logsumexp').length - 1;
          output('logits')[row * vocabSize + output('top_ids')[row * topCount]!]! -= error;
        },
        release: () => inner.release(),
      };
    },
  };
}

const probed = (device: GraphSession, precision: 'fp32' | 'int8' = 'fp32') =>
  probeDevice({ device, cpu }, { ...tiny.graph, precision }, 40);

test('one that agrees computes rows as long as they were asked for', () => {
  expect(probed(wrongFrom(1, 0))).toEqual({ rowTokens: 40, divergenceNats: 0 });
});

test('one whose long rows are wrong computes short ones', () => {
  expect(probed(wrongFrom(32, 5)).rowTokens).toBe(16);
});

test.each([5, Number.NaN])('one that is wrong by %d in every row is refused', (error) => {
  expect(() => probed(wrongFrom(1, error))).toThrow(/nats from the cpu.*--backend cpu/);
});

test('what rounding does to weights of few bits is no fault', () => {
  expect(probed(wrongFrom(1, 0.3), 'int8').rowTokens).toBe(40);
  expect(() => probed(wrongFrom(1, 0.3))).toThrow('0.0001 are allowed');
});
