// The example of the README as a table that is read in review: 520 s, 457 s, and the shares.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSource } from '../../loadtest/outcomes/source.ts';
import { reportTable, taskFormulaLines } from '../../loadtest/outcomes/table.ts';
import { taskReport } from '../../loadtest/outcomes/task-report.ts';

const importPath = join(import.meta.dirname, '../../server/outcomes/example-tasks.json');

test('the example comes out of the report with the right shares', async () => {
  const { records } = readSource({ importPath, databasePath: '', sinceMs: 0 });
  const report = taskReport(records, { lane: null, faster: 10 / 3 });
  const text = `${reportTable(report)}\n${taskFormulaLines(report)}`;
  await expect(text).toMatchFileSnapshot('outcomes-report.txt');
  const [strong, quick] = report.rows;
  expect(strong!.totalMeanMs).toBe(520_000);
  expect(quick!.totalMeanMs).toBe(457_000);
  expect(strong!.faster!.modelMs).toBeCloseTo(27_000, 6);
  expect(strong!.faster!.totalMs).toBeCloseTo(457_000, 6);
  expect(strong!.faster!.shorterShare).toBeCloseTo(63 / 520, 9); // 12 %
  const shares = { plan: 40, model: 90, tools: 210, verify: 0, review: 120, rework: 60 };
  for (const [phase, seconds] of Object.entries(shares)) {
    expect(strong!.phaseShare![phase as keyof typeof shares]).toBeCloseTo(seconds / 520, 12);
  }
});
