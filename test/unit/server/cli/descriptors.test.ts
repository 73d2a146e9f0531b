import { expect, test } from 'vitest';
import { descriptorCountMax } from '../../../../server/cli/descriptors.ts';

test('the bound is read where the system tells it, and unknown elsewhere', () => {
  const limits =
    'Limit                     Soft Limit           Hard Limit           Units\nMax open files            64                   4096                 files\n';
  expect(descriptorCountMax(() => limits)).toBe(64);
  expect(descriptorCountMax(() => 'something else')).toBe(null);
  expect(
    descriptorCountMax(() => {
      throw new Error('ENOENT');
    }),
  ).toBe(null);
});
