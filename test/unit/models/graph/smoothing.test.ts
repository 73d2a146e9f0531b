// Smoothing on tiny models: the decoder stays the same function, and channels with outliers cost the formats less.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { calibrationOn } from '../../../../kernels/onnx/activation-probe.ts';
import { openSession } from '../../../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { buildGraph, type Calibration } from '../../../../models/graph/build.ts';
import type { Precision } from '../../../../models/graph/precision.ts';
import { probeParts } from '../../../../models/graph/probe.ts';
import { type ActivationRanges, smoothed } from '../../../../models/graph/smoothing.ts';
import type { Checkpoint } from '../../../../models/weights/weights.ts';
import { GraphRunner } from '../../../golden/graph-runner.ts';
import { writeTinyModel } from '../../../golden/tiny-model.ts';
import { createReferenceDecoder } from '../../../reference-decoder.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
const directory = join(root, 'model');
writeTinyModel(directory, { architecture: 'llama', mlpBias: true, attentionBias: true });
const checkpoint = loadCheckpoint(directory);
const tokens = Int32Array.from({ length: 48 }, (_, i) => (i * 31 + 7) % checkpoint.spec.vocabSize);
const calibration = calibrationOn(tokens, 1);
const expected = createReferenceDecoder(checkpoint).allLogits(tokens).at(-1)!;

/** The same function with a few activations 60 times as large as the others, as trained models have them. */
const withOutliers: Checkpoint = {
  ...checkpoint,
  read(name) {
    const values = checkpoint.read(name);
    const { hiddenSize } = checkpoint.spec;
    const isReader = /(q_proj|k_proj|v_proj|gate_proj|up_proj)\.weight$/.test(name);
    for (const channel of [3, 17, 40]) {
      if (/(input|post_attention)_layernorm\.weight$/.test(name)) values[channel]! *= 60;
      for (let at = channel; isReader && at < values.length; at += hiddenSize) values[at]! /= 60;
    }
    return values;
  },
};

async function errorOf(of: Checkpoint, precision: Precision, cache: string, calibrated?: Calibration) {
  const options = { precision, cacheDirectory: join(root, cache) };
  const graph = await buildGraph(of, calibrated ? { ...options, calibration: calibrated } : options);
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
  const runner = new GraphRunner(session, graph, { slotCount: 1, capacity: 64 });
  const { logits } = runner.chunk(0, tokens, 0);
  let [difference, norm] = [0, 0];
  for (const [id, value] of expected.entries()) {
    difference += (value - logits[id]!) ** 2;
    norm += value ** 2;
  }
  runner.release();
  return { error: Math.sqrt(difference / norm), graph };
}

test('smoothed weights are the same decoder', () => {
  const random = (length: number, seed: number) =>
    Float32Array.from({ length }, (_, at) => 0.01 + ((at * 7919 + seed * 104_729) % 1000) / 50);
  const { layerCount, hiddenSize, ffnSize } = checkpoint.spec;
  const layers = Array.from({ length: layerCount }, (_, layer) => layer);
  const ranges: ActivationRanges = {
    'attention-in': layers.map((layer) => random(hiddenSize, layer)),
    'feed-in': layers.map((layer) => random(hiddenSize, layer + 10)),
    'feed-out': layers.map((layer) => random(ffnSize, layer + 20)),
  };
  const { read } = smoothed(checkpoint.spec, checkpoint, ranges);
  const name = 'model.layers.1.mlp.up_proj.weight';
  expect(read(name)).not.toEqual(checkpoint.read(name));
  const actual = createReferenceDecoder({ ...checkpoint, read })
    .allLogits(tokens)
    .at(-1)!;
  for (const [id, value] of expected.entries()) expect(actual[id]).toBeCloseTo(value, 4);
});

test.each(['int8', 'w8a8'] as const)('%s errs less on outliers when it was calibrated', async (precision) => {
  const plain = await errorOf(withOutliers, precision, 'outliers');
  const calibrated = await errorOf(withOutliers, precision, 'outliers', calibration);
  expect(calibrated.error).toBeLessThan(0.6 * plain.error);
  expect(calibrated.graph.contentHash).not.toBe(plain.graph.contentHash);
  expect(readdirSync(calibrated.graph.directory).sort()).toEqual(readdirSync(plain.graph.directory).sort());
});

test('a model is measured alike in one part and in one for each layer', async () => {
  const measured = async (folder: string, weightsMax?: number) => {
    const layers: number[][] = [];
    async function* parts() {
      for await (const part of probeParts(join(root, folder), checkpoint, 'test', weightsMax)) {
        layers.push([part.from, part.to]);
        yield part;
      }
    }
    return { layers, ranges: await calibration.measure({ spec: checkpoint.spec, parts: parts() }) };
  };
  const whole = await measured('whole');
  const layered = await measured('layered', 1);
  const { layerCount } = checkpoint.spec;
  expect(whole.layers).toEqual([[0, layerCount]]);
  expect(layered.layers).toEqual(Array.from({ length: layerCount }, (_, layer) => [layer, layer + 1]));
  expect(layered.ranges).toEqual(whole.ranges);
  expect(Math.min(...whole.ranges['feed-out']!.flatMap((range) => [...range]))).toBeGreaterThan(0);
  expect(existsSync(join(root, 'layered'))).toBe(false);
});

test('a calibrated graph is found again, and other tokens are another graph', async () => {
  const options = { precision: 'w8a8', cacheDirectory: join(root, 'again'), calibration } as const;
  const first = await buildGraph(checkpoint, options);
  const unused: Calibration = { ...calibration, measure: () => Promise.reject(new Error('measured again')) };
  const again = await buildGraph(checkpoint, { ...options, calibration: unused });
  expect(again).toMatchObject({ fromCache: true, contentHash: first.contentHash });
  const other = await buildGraph(checkpoint, {
    ...options,
    calibration: calibrationOn(tokens.subarray(1), 1),
  });
  expect(other.contentHash).not.toBe(first.contentHash);
});

test('4 bits and fp32 keep the weights as they came, calibrated or not', async () => {
  const unused: Calibration = { key: 'x', measure: () => Promise.reject(new Error('measured')) };
  for (const precision of ['int4', 'fp32'] as const) {
    const plain = await buildGraph(checkpoint, { precision, cacheDirectory: join(root, 'plain') });
    const options = { precision, cacheDirectory: join(root, 'plain'), calibration: unused };
    expect((await buildGraph(checkpoint, options)).contentHash).toBe(plain.contentHash);
  }
});
