// Every published figure beside what the simulated devices say, as text: a change of a formula, a constant or the
// scheduler shows in review which predictions it moves. Half a minute of one core.
import { expect, test } from 'vitest';
import { formatValidation, validationGoals, validationRows } from '../../loadtest/simulate/validate.ts';

test('the published rows, what is predicted of each, and the goals', async () => {
  const rows = validationRows(() => {});
  const goals = validationGoals(rows);
  expect(goals.filter(({ met }) => !met)).toEqual([]);
  await expect(formatValidation(rows, goals)).toMatchFileSnapshot('validation.txt');
}, 300_000);
