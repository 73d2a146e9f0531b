import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { calibrationOn } from '../../../../kernels/onnx/activation-probe.ts';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { hashFiles } from '../../../../models/files/cache.ts';
import { calibrationTokens } from '../../../../models/graph/calibration.ts';
import { readShippedRanges, shippedRanges } from '../../../../models/graph/shipped-ranges.ts';
import { loadModel } from '../../../../models/model.ts';

const directory = mkdtempSync(join(tmpdir(), 'sparklane-ranges-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('what comes with the default model was measured on its weights, with the tokens of today', async () => {
  const model = loadModel('smollm2-135m-instruct');
  const { spec, weightFiles, variant } = loadCheckpoint(model.path);
  const digests = await hashFiles(weightFiles, directory);
  const calibrationKey = calibrationOn(calibrationTokens(model), 1).key;
  const origin = { weightFiles, digests, variant, calibrationKey };
  const ranges = await readShippedRanges(spec, origin);
  expect(ranges?.['feed-out']?.map(({ length }) => length)).toEqual(new Array(30).fill(1536));
  for (const layers of Object.values(ranges!))
    for (const range of layers!) expect(range.every((value) => value > 0 && value < 1e4)).toBe(true);
  expect(await readShippedRanges(spec, { ...origin, variant: 'lora 1' })).toBeNull();
  expect(await readShippedRanges(spec, { ...origin, calibrationKey: 'other tokens' })).toBeNull();
});

test('ranges are read as they were written, and not at all where a byte is missing', async () => {
  const { spec: real } = loadCheckpoint(loadModel('spark-nano').path);
  const spec = { ...real, layerCount: 2, hiddenSize: 3, ffnSize: 4 };
  const origin = {
    weightFiles: [join(directory, 'w')],
    digests: ['d'],
    variant: undefined,
    calibrationKey: 'c',
  };
  const layers = (size: number) =>
    [0, 1].map((at) => Float32Array.from({ length: size }, (_, i) => at + i / 7));
  const ranges = { 'attention-in': layers(3), 'feed-in': layers(3), 'feed-out': layers(4) };
  const { path, bytes } = shippedRanges(spec, origin, ranges);
  expect(await readShippedRanges(spec, origin)).toBeNull();
  writeFileSync(path, bytes);
  expect(await readShippedRanges(spec, origin)).toEqual(ranges);
  writeFileSync(path, bytes.subarray(1));
  expect(await readShippedRanges(spec, origin)).toBeNull();
});
