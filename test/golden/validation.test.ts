// Every published figure beside what the simulated devices say, as text: a change of a formula, a constant or the
// scheduler shows in review which predictions it moves. Half a minute of one core; three on a machine that others use.
import { expect, test } from 'vitest';
import { namedShape } from '../../kernels/sim/catalogue.ts';
import { LEFT_OUT } from '../../kernels/sim/fit/left-out.ts';
import { totalWeights } from '../../kernels/sim/shapes.ts';
import {
  errorOf,
  formatValidation,
  type ValidationRow,
  validationGoals,
  validationRows,
} from '../../loadtest/simulate/validate.ts';
import { median } from '../../loadtest/statistics/median.ts';

test('the published rows, what is predicted of each, and the goals', async () => {
  const rows = validationRows(() => {});
  const goals = validationGoals(rows);
  expect(goals.filter(({ met }) => !met).map(({ what }) => what)).toEqual([]);
  await expect(formatValidation(rows, goals)).toMatchFileSnapshot('validation.txt');
  await expect(trustTable(rows)).toMatchFileSnapshot('../../loadtest/simulate/trust-table.ts');
}, 1_200_000);

const head = `// Written by test/golden/validation.test.ts (make bless); do not edit. For each kind of prediction: family, chip, format,
// parallelism, regime; rows that were not fitted, most chips, longest prompt, median and worst error in %; of these and the fitted ones the
// smallest and largest model in billions of weights, longest answer and most users (0: not stated). Before them: the median error in % of
// the mixtures' calibrated rows, each kind by constants that were fitted without it.
`;

/** For predictions of each kind, how far the rows that were not fitted are off: the text of trust-table.ts. */
function trustTable(rows: readonly ValidationRow[]): string {
  const percent = (share: number): string => (share * 100).toFixed(1);
  const fitted = byKind(rows, 'calibrated');
  const lines = [...byKind(rows, 'validated')].map(([kind, some]) => {
    const errors = some.map((row) => Math.abs(errorOf(row)));
    const chips = Math.max(...some.map(({ chipCount }) => chipCount));
    const tokens = Math.max(...some.map(({ promptTokens }) => promptTokens));
    const all = [...some, ...(fitted.get(kind) ?? [])];
    const billions = all.map(({ model }) => totalWeights(namedShape(model)) / 1e9);
    const sizes = `${Math.min(...billions).toFixed(1)} ${Math.max(...billions).toFixed(1)}`;
    const answer = Math.max(...all.map(({ answerTokens }) => answerTokens));
    const users = Math.max(...all.map(({ userCount }) => userCount));
    const found = `${errors.length} ${chips} ${tokens} ${percent(median(errors) ?? 0)} ${percent(Math.max(...errors))}`;
    return `  '${kind} ${found} ${sizes} ${answer} ${users}',\n`;
  });
  return `${head}export const LEFT_OUT_MEDIAN = '${LEFT_OUT.median.toFixed(1)}';

export const TRUST_TABLE: readonly string[] = [\n${lines.join('')}];\n`;
}

function byKind(rows: readonly ValidationRow[], status: ValidationRow['status']) {
  const kinds = new Map<string, ValidationRow[]>();
  for (const row of rows) {
    if (row.status !== status || row.like === null) continue;
    const { family, chip, precision, sharding, regime } = row.like;
    const kind = [family, chip, precision, sharding, regime.replace(' ', '-')].join(' ');
    kinds.set(kind, [...(kinds.get(kind) ?? []), row]);
  }
  return kinds;
}
