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
// parallelism, regime; rows that were not fitted, most chips, longest prompt, median and worst error in %; the worst of the fitted ones (0: there
// are none); of both the longest answer (0: not stated) and each model's size in billions of weights, with its most users (0: one, or as many
// as fit). Before them: the median error in % of the mixtures' calibrated rows, each kind by constants that were fitted without it.
`;

/** For predictions of each kind, how far the rows that were not fitted are off: the text of trust-table.ts. */
function trustTable(rows: readonly ValidationRow[]): string {
  const percent = (share: number): string => (share * 100).toFixed(1);
  const fitted = byKind(rows, 'calibrated');
  const lines = [...byKind(rows, 'validated')].map(([kind, some]) => {
    const errors = some.map((row) => Math.abs(errorOf(row)));
    const chips = Math.max(...some.map(({ chipCount }) => chipCount));
    const tokens = Math.max(...some.map(({ promptTokens }) => promptTokens));
    const others = fitted.get(kind) ?? [];
    const all = [...some, ...others];
    const fittedWorst = Math.max(0, ...others.map((row) => Math.abs(errorOf(row))));
    const answer = Math.max(...all.map(({ answerTokens }) => answerTokens));
    const found = `${errors.length} ${chips} ${tokens} ${percent(median(errors) ?? 0)} ${percent(Math.max(...errors))}`;
    return `  '${kind} ${found} ${percent(fittedWorst)} ${answer} ${sizesText(all)}',\n`;
  });
  return `${head}export const LEFT_OUT_MEDIAN = '${LEFT_OUT.median.toFixed(1)}';

export const TRUST_TABLE: readonly string[] = [\n${lines.join('')}];\n`;
}

// "8.0:1,70.6:100": of each size the most users.
function sizesText(rows: readonly ValidationRow[]): string {
  const most = new Map<number, number>();
  for (const { model, userCount } of rows) {
    const size = totalWeights(namedShape(model)) / 1e9;
    most.set(size, Math.max(userCount, most.get(size) ?? 0));
  }
  const sizes = [...most].sort(([a], [b]) => a - b);
  return sizes.map(([size, users]) => `${size.toFixed(1)}:${users}`).join(',');
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
