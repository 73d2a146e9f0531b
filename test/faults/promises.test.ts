// docs/faults.md promises what the faults check, fault by fault. `npx vitest run test/faults/promises.test.ts` shows
// what is missing.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { FAMILIES } from './catalog.ts';
import { tableOf } from './table.ts';

const doc = readFileSync(resolve(import.meta.dirname, '../../docs/faults.md'), 'utf8');

test('the table of promises is that of the faults', () => {
  const table = doc.split('\n').filter((line) => line.startsWith('|'));
  const wanted = tableOf(FAMILIES).split('\n');
  expect(table.filter((line) => !wanted.includes(line))).toEqual([]);
  expect(wanted.filter((line) => !table.includes(line))).toEqual([]);
});

test('each fault has a name of its own', () => {
  const ids = FAMILIES.flatMap(({ faults }) => faults.map(({ id }) => id));
  expect(new Set(ids).size).toBe(ids.length);
});
