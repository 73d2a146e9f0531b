// The floating-point mode: native code may flush denormals, JavaScript keeps its own.
import { expect, test } from 'vitest';
import { type FloatMode, loadFloatMode } from '../../../../kernels/onnx/float-mode.ts';

const mode = loadFloatMode();
const operands = Float64Array.of(Number.MIN_VALUE, 1);
const product = () => operands[0]! * operands[1]!;

test.skipIf(mode === null)('flushes denormals between flush and restore, and only there', () => {
  const { flush, restore } = mode as FloatMode;
  expect(product()).toBe(Number.MIN_VALUE);
  flush();
  const flushed = product();
  const ordinary = 0.1 + 0.2;
  restore();
  expect([flushed, ordinary]).toEqual([0, 0.1 + 0.2]);
  expect(product()).toBe(Number.MIN_VALUE);
});

test('is at hand on the systems this was built on', () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') return;
  expect(mode).not.toBeNull();
});
