// system_fingerprint: what computes otherwise has another one.
import { expect, test } from 'vitest';
import { nativeLibraryPath } from '../../../../kernels/onnx/own-library.ts';
import { loadConfig } from '../../../../server/config/config.ts';
import { fingerprintOf } from '../../../../server/serving/fingerprint.ts';

function fingerprint(flags: Record<string, unknown>, backend = 'cpu'): string {
  const config = loadConfig({ flags: { model: 'spark-nano', ...flags }, env: {} });
  return fingerprintOf({
    version: '1.0.0',
    model: { name: 'spark-nano' },
    backend: { name: backend },
    config,
  });
}

test('whose operators compute shows on the cpu, and nowhere else', () => {
  const theirs = fingerprint({ kernels: 'onnxruntime' });
  expect(theirs).toMatch(/^fp_[0-9a-f]{12}$/);
  // auto is ours where this machine has them
  expect(fingerprint({}) === theirs).toBe(nativeLibraryPath() === null);
  if (nativeLibraryPath() !== null) expect(fingerprint({ kernels: 'own' })).toBe(fingerprint({}));
  expect(fingerprint({ kernels: 'onnxruntime' }, 'sim')).toBe(fingerprint({}, 'sim'));
});

test('so do formats and the device', () => {
  const formats = [{}, { precision: 'fp32' }, { precision: 'int8' }, { kvPrecision: 'int8' }];
  const all = formats.map((flags) => fingerprint(flags));
  expect(new Set([...all, fingerprint({}, 'sim')]).size).toBe(5);
});
