// Measures a model's activation ranges and writes them beside its weights, for models that come with this repository. Run
// after their weights or the calibration's tokens change: npx tsx test/quality/ship-ranges.ts smollm2-135m-instruct
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { calibrationOn } from '../../kernels/onnx/activation-probe.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { hashFiles } from '../../models/files/cache.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { calibrationTokens } from '../../models/graph/calibration.ts';
import { shippedRanges } from '../../models/graph/shipped-ranges.ts';
import type { ActivationRanges } from '../../models/graph/smoothing.ts';
import { loadModel } from '../../models/model.ts';

const model = loadModel(argv[2] ?? 'smollm2-135m-instruct');
const checkpoint = loadCheckpoint(model.path);
const cacheDirectory = mkdtempSync(join(tmpdir(), 'sparklane-ranges-'));
try {
  const measured = calibrationOn(calibrationTokens(model), 2);
  let ranges: ActivationRanges | null = null;
  // Under another key, so that the file that is there is not believed.
  const calibration = {
    key: `${measured.key} anew`,
    async measure(probe: Parameters<typeof measured.measure>[0]) {
      ranges = await measured.measure(probe);
      return ranges;
    },
  };
  await buildGraph(checkpoint, { precision: 'int8', cacheDirectory, calibration });
  const { weightFiles, variant, spec } = checkpoint;
  const digests = await hashFiles(weightFiles, cacheDirectory);
  const origin = { weightFiles, digests, variant, calibrationKey: measured.key };
  const { path, bytes } = shippedRanges(spec, origin, ranges!);
  writeFileSync(path, bytes);
  console.log(`${path}: ${bytes.length} bytes`);
} finally {
  rmSync(cacheDirectory, { recursive: true, force: true });
}
