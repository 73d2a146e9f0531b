// What a device's owner is told about the precision that was asked for.
import { expect, test } from 'vitest';
import { warnOfDivergence } from '../../../../server/device/device.ts';

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
