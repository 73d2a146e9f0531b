import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { addOutcomeCommands } from '../../../../loadtest/outcomes/commands.ts';
import { csvFiles } from '../../../../loadtest/outcomes/csv.ts';
import { outcomesPage } from '../../../../loadtest/outcomes/page.ts';
import { taskReport } from '../../../../loadtest/outcomes/task-report.ts';
import type { TaskEvent, TaskRecord } from '../../../../server/outcomes/task-record.ts';
import { exportOf } from '../../../../server/outcomes/wire.ts';
import { memoryStore, newTask, START_MS, taskEvent, taskRequest } from '../../../outcome-records.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
const EXAMPLE = join(import.meta.dirname, '../../../../server/outcomes/example-tasks.json');
const NO_OPTIONS = { lane: null, faster: null };

test('no task is no reason to fail', async () => {
  const empty = join(directory, 'empty.json');
  writeFileSync(empty, JSON.stringify({ format: 'sparklane tasks', version: 1, tasks: [] }));
  const { written } = await report('--import', empty, '--html', join(directory, 'empty.html'));
  expect(written).toContain('no task is recorded');
  expect(readFileSync(join(directory, 'empty.html'), 'utf8')).toContain('Nothing to draw');
});

test('a quantile is stated with its number of tasks, and p95 only where they bound it', () => {
  const few = taskReport(records(71), NO_OPTIONS).rows[0]!;
  expect(few.endToEnd).toMatchObject({ count: 71, p95Ms: null });
  expect(few.endToEnd.refusal).toMatch(/72 samples/);
  const enough = taskReport(records(72), NO_OPTIONS).rows[0]!;
  expect(enough.endToEnd.p95Ms).toBe(69_000); // the 69th of 1 to 72 s
  expect(enough.endToEnd.medianMs).toBe(36_500); // between the two in the middle
});

test('first-pass acceptance, rollback, rework and cost count what they say they count', () => {
  const at = START_MS + 1000;
  const verdict = (kind: TaskEvent['kind'], id: string = kind, atMs = at) =>
    taskEvent({ id, kind, atMs, durationMs: null, phase: null });
  const row = taskReport(
    [
      record('at once', [verdict('accepted')], 1),
      record(
        'reworked',
        [verdict('reworked', 'r1'), verdict('reworked', 'r2'), verdict('accepted', 'a', at + 1)],
        2,
      ),
      record('rolled back', [verdict('accepted'), verdict('reverted', 'z', at + 1)], 4),
      record('open', [], 8),
    ],
    NO_OPTIONS,
  ).rows[0]!;
  expect(row).toMatchObject({ taskCount: 4, acceptedCount: 2, revertedCount: 1, openCount: 1 });
  expect(row.firstPass).toEqual({ value: 1 / 3, count: 3 });
  expect(row.rollback).toEqual({ value: 1 / 3, count: 3 });
  expect(row.reworkCycles).toEqual({ value: 2 / 3, count: 3 });
  expect(row.costPerAccepted).toEqual({ value: 7.5, count: 2 }); // (1 + 2 + 4 + 8) / 2
});

test('a lane and its classes are rows, and totals are only of more than one', () => {
  const tasks = [
    { ...record('a', []), requests: [], task: task('a', 'spark', 'fix') },
    { ...record('b', []), requests: [], task: task('b', 'spark', 'edit') },
    { ...record('c', []), requests: [], task: task('c', 'strong', 'fix') },
  ];
  const names = taskReport(tasks, NO_OPTIONS).rows.map(({ lane, taskClass }) => `${lane} ${taskClass}`);
  expect(names).toEqual(['spark edit', 'spark fix', 'spark all', 'strong fix', 'all all']);
  const only = taskReport(tasks, { lane: 'strong', faster: null });
  expect(only.rows.map(({ lane }) => lane)).toEqual(['strong']);
});

test('what is exported as JSON is imported as it was', async () => {
  const store = memoryStore();
  store.create(newTask({ id: 'a', lane: 'spark' }), START_MS);
  const events = [taskEvent({ ok: true, exitCode: 0, tool: 'shell', source: 'derived', phase: 'rework' })];
  store.addEvents({ owner: '', task: 'a', events, nowMs: START_MS });
  store.record([{ op: 'request', owner: '', task: 'a', request: taskRequest() }], START_MS);
  const path = join(directory, 'exported.json');
  writeFileSync(path, JSON.stringify(exportOf(store.readAll(0))));
  const { written } = await report('--import', path, '--json', '-');
  expect(JSON.parse(written)).toEqual(JSON.parse(readFileSync(path, 'utf8')));
});

test('CSV keeps cells apart, and formulas from spreadsheets', () => {
  const events = [
    taskEvent({ note: '=1+1', tool: 'a', kind: 'reviewed' }),
    taskEvent({ id: 'e2', note: 'x, "y"\nz' }),
  ];
  const files = csvFiles([{ ...record('a', events), requests: [taskRequest()] }]);
  expect(Object.keys(files)).toEqual(['tasks.csv', 'events.csv', 'requests.csv']);
  expect(files['events.csv']).toContain(",'=1+1\n");
  expect(files['events.csv']).toContain('"x, ""y""\nz"');
  const [head, row] = files['requests.csv']!.split('\n');
  expect(head!.split(',')).toContain('output_tokens');
  expect(row).toContain('""turnIndex"":0');
});

test.each([
  [['--import', 'nowhere.json'], /nowhere\.json: ENOENT/],
  [['--outcomes-db', '/nowhere/outcomes.db'], /no task is recorded there; serve with --outcomes-db cache/],
  [['--import', EXAMPLE, '--faster', 'very'], /--faster "very": expected a number or a fraction/],
  [['--import', EXAMPLE, '--since', 'spring'], /--since "spring": expected a date/],
])('%j is refused by name', async (flags, message) => {
  await expect(report(...flags)).rejects.toThrow(message);
});

test('an imported file is refused by the place that is wrong', async () => {
  const path = join(directory, 'wrong.json');
  const wrong = { id: 'a', created_at: 1.7e9, events: [{ id: 'e', type: 'finished', at: 1.7e9 }] };
  writeFileSync(path, JSON.stringify({ format: 'sparklane tasks', version: 1, tasks: [wrong] }));
  await expect(report('--import', path)).rejects.toThrow(/wrong\.json: tasks\.0\.events\.0\.type: /);
});

const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
if (browser === undefined) console.log('skipped: no Chromium at /usr/bin to open the report with');
test.skipIf(browser === undefined)(
  'the page opens in a browser, with every chart drawn and nothing fetched',
  async () => {
    const page = join(directory, 'report.html');
    const facts = { source: '<b>file</b>', command: 'sparklane report', madeAt: '2026-11-20', version: '0' };
    const html = outcomesPage(taskReport(records(80), { lane: null, faster: 3 }), facts);
    expect(html).not.toMatch(/<script|src=|href=|url\(/); // self-contained
    writeFileSync(page, html);
    const picture = join(directory, 'report.png');
    const flags = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--window-size=1000,2600',
      '--hide-scrollbars',
    ];
    const run = (more: string[]) =>
      promisify(execFile)(browser!, [...flags, ...more, `file://${page}`], {
        maxBuffer: 2 ** 24,
      });
    const { stdout: dom } = await run(['--dump-dom']);
    expect(dom.match(/<svg[^>]*viewBox/g)!.length).toBeGreaterThanOrEqual(4);
    expect(dom).toContain('&lt;b&gt;file&lt;/b&gt;');
    expect(dom).not.toMatch(/NaN|undefined|Infinity/);
    await run([`--screenshot=${picture}`]);
    expect(statSync(picture).size).toBeGreaterThan(50_000); // more than an empty page
  },
  60_000,
);

async function report(...flags: string[]): Promise<{ written: string; notes: string }> {
  const io = { written: '', notes: '' };
  const program = new Command().exitOverride();
  addOutcomeCommands(program, {
    write: (text) => {
      io.written += text;
    },
    note: (text) => {
      io.notes += text;
    },
    env: { HOME: directory },
    epochMs: () => START_MS,
    commandLine: 'sparklane report',
  });
  const page = flags.includes('--html') ? [] : ['--no-html'];
  await program.parseAsync(['report', ...flags, ...page], { from: 'user' });
  return io;
}

function task(id: string, lane: string | null = null, taskClass: string | null = null): TaskRecord['task'] {
  return { ...newTask({ id, lane, taskClass }), updatedMs: START_MS };
}

function record(id: string, events: readonly TaskEvent[], cost = 0): TaskRecord {
  const { end } = taskRequest();
  return { task: task(id), events, requests: [taskRequest({ end: { ...end!, cost } })] };
}

/** Accepted after 1, 2, 3 … s, in a shuffled order. */
function records(count: number): TaskRecord[] {
  const random = new Random(5);
  const made = Array.from({ length: count }, (_, index) => {
    const seconds = index + 1;
    const events = [
      taskEvent({
        id: 'd',
        kind: 'diff_proposed',
        atMs: START_MS + seconds * 500,
        phase: 'model',
        durationMs: seconds * 500,
        ok: true,
      }),
      taskEvent({ id: 't', atMs: START_MS + seconds * 1000, durationMs: seconds * 500 }),
      taskEvent({
        id: 'a',
        kind: 'accepted',
        atMs: START_MS + seconds * 1000,
        durationMs: null,
        phase: null,
      }),
    ];
    return { task: task(`t${index}`, 'spark', 'fix'), events, requests: [] };
  });
  return made.sort(() => random.next() - 0.5);
}
