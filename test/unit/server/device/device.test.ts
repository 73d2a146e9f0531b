// What a device's owner is told about the precision that was asked for.
import { expect, test } from 'vitest';
import { WallClock } from '../../../../kernels/clock.ts';
import { nativeLibraryPath } from '../../../../kernels/onnx/own-library.ts';
import { loadModel } from '../../../../models/model.ts';
import { loadConfig } from '../../../../server/config/config.ts';
import { limitsFor, openDevice, warnOfDivergence } from '../../../../server/device/device.ts';

function warningsOf(precision: 'auto' | 'fp32' | 'int8' | 'int4' | 'w8a8', backend: 'cpu' | 'wse3' = 'cpu') {
  const said: Record<string, unknown>[] = [];
  const log = {
    info: () => {},
    warn: (message: string, fields: object) => said.push({ message, ...fields }),
  };
  warnOfDivergence({ precision, backend }, log);
  return said;
}

test('formats beyond the bound of a default are named with what they may cost', () => {
  expect(warningsOf('int4')).toMatchObject([{ expectedNats: 0.25, boundOfDefaultNats: 0.005 }]);
  expect(warningsOf('w8a8')).toMatchObject([
    { message: expect.stringContaining('w8a8'), expectedNats: 0.02 },
  ]);
});

test('what keeps the bound, and a device that only simulates, is passed over in silence', () => {
  for (const precision of ['auto', 'fp32', 'int8'] as const) expect(warningsOf(precision)).toEqual([]);
  expect(warningsOf('int4', 'wse3')).toEqual([]);
});

test.each([
  [{ replicas: 2 }, 'replicas = 2 (with backend webgpu): must be 1'],
  [{ kvPrecision: 'int8' }, 'kvPrecision = "int8" (with backend webgpu): must be fp32'],
  [{ precision: 'w8a8' }, 'precision = "w8a8" (with backend webgpu): must be fp32, int8, int4 or stored'],
  [{ kernels: 'own' }, 'kernels = "own" (with backend webgpu): must be auto or onnxruntime'],
  [{ contextTokens: 4096, deviceKvSizeMax: '8MiB' }, 'deviceKvSizeMax = 8388608'],
])('webgpu with %j is refused before anything is converted or looked for', async (flags, message) => {
  const config = loadConfig({ flags: { model: 'spark-nano', backend: 'webgpu', ...flags }, env: {} });
  const log = { info: () => {}, warn: () => {} };
  const parts = { clock: new WallClock(), log, onProgress: () => {} };
  await expect(openDevice(config, loadModel('spark-nano'), parts)).rejects.toThrow(message);
});

test('a model whose scores have a soft cap is refused on webgpu, which would leave it out', async () => {
  const config = loadConfig({ flags: { model: 'spark-nano', backend: 'webgpu' }, env: {} });
  const model = loadModel('spark-nano');
  const capped = { ...model, spec: { ...model.spec, attentionSoftCap: 50 } };
  const parts = { clock: new WallClock(), log: { info: () => {}, warn: () => {} }, onProgress: () => {} };
  await expect(openDevice(config, capped, parts)).rejects.toThrow('soft cap');
});

test('rows of prompts are shorter where the scores of a long context would take more than half a gigabyte', () => {
  const model = loadModel('spark-nano');
  const rowTokens = (
    contextTokens: number,
    kernels: 'auto' | 'onnxruntime' = 'onnxruntime',
    fileFormat: typeof model.fileFormat = model.fileFormat,
  ) => {
    const long = { ...model.spec, headCount: 32, contextLength: contextTokens };
    const flags = { contextTokens, kvCacheSizeMax: '64GiB', kernels } as const;
    const config = loadConfig({ flags, env: {} });
    return limitsFor(config, { ...model, spec: long, fileFormat }).rowTokensMax;
  };
  // 32 heads × 4 bytes × context × tokens ≤ 2²⁹ bytes, whole blocks of 16
  expect(rowTokens(8192)).toBe(128);
  expect(rowTokens(32_768)).toBe(128);
  expect(rowTokens(65_536)).toBe(64);
  expect(rowTokens(100_000)).toBe(32);
  expect(rowTokens(1_000_000)).toBe(17); // the token that was said and 16 guesses
  if (nativeLibraryPath() !== null) expect(rowTokens(1_000_000, 'auto')).toBe(128); // ours holds a piece of them at a time
  expect(rowTokens(65_536, 'auto', 'onnx')).toBe(64); // an export brings ONNX Runtime's
});

test('an ONNX export is refused with operators of our own, which are not in it', async () => {
  const config = loadConfig({ flags: { model: 'spark-nano', kernels: 'own' }, env: {} });
  const exported = { ...loadModel('spark-nano'), fileFormat: 'onnx' } as const;
  const parts = { clock: new WallClock(), log: { info: () => {}, warn: () => {} }, onProgress: () => {} };
  await expect(openDevice(config, exported, parts)).rejects.toThrow('--kernels own: an ONNX export has');
});
