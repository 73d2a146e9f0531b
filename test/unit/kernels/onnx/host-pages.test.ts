// Pages given back read as zero, which is how it is known here that the system has them; their neighbours stay.
import { platform } from 'node:os';
import { expect, test } from 'vitest';
import { giveBack, trimAllocator } from '../../../../kernels/onnx/host-pages.ts';

test.runIf(platform() === 'linux')('whole pages of a view go back, its edges stay', () => {
  const all = new Float32Array(new SharedArrayBuffer(2 ** 20)).fill(7);
  giveBack([all.subarray(1000, all.length - 1000)]);
  trimAllocator();
  expect(all[all.length / 2]).toBe(0);
  expect([all[999], all[all.length - 1000]]).toEqual([7, 7]);
  expect(all.filter((value) => value === 0).length).toBeGreaterThanOrEqual(all.length / 2);
});

test('views smaller than a page are left alone', () => {
  const small = new Float32Array(16).fill(3);
  giveBack([small, new Int8Array(0)]);
  expect([...small]).toEqual(Array.from({ length: 16 }, () => 3));
});
