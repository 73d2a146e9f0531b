// Every published figure beside what the simulated devices say, as text: a change of a formula, a constant or the
// scheduler shows in review which predictions it moves. Half a minute of one core; three on a machine that others use.
import { expect, test } from 'vitest';
import {
  formatValidation,
  trustTable,
  validationGoals,
  validationRows,
} from '../../loadtest/simulate/validate.ts';

test('the published rows, what is predicted of each, and the goals', async () => {
  const rows = validationRows(() => {});
  const goals = validationGoals(rows);
  expect(goals.filter(({ met }) => !met).map(({ what }) => what)).toEqual([]);
  await expect(formatValidation(rows, goals)).toMatchFileSnapshot('validation.txt');
  await expect(trustTable(rows)).toMatchFileSnapshot('../../loadtest/simulate/trust-table.ts');
}, 1_200_000);
