// The load tester whole: a real server in virtual time, real sockets with known delays, a pause that must show, Ctrl-C,
// and the report in a real browser.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { runLoadtest } from '../../loadtest/main.ts';
import { reportPage } from '../../loadtest/measure/report/page.ts';
import type { RunReport } from '../../loadtest/measure/runs/report-schema.ts';
import { withHabits } from '../../loadtest/workload/generated.ts';
import { programFile } from '../built-program.ts';
import { smallPlan, smallWorkload, virtualRun } from '../load-world.ts';
import { MemoryIo } from '../memory-io.ts';
import { type Answer, delay, ScriptedServer } from '../sse-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'sparklane-loadtest-'));
afterAll(() => rmSync(directory, { recursive: true }));
let server: ScriptedServer | null = null;
afterEach(async () => {
  await server?.stop();
  server = null;
});

const ttftMs = 60;
const gapMs = 25;
const tokenCount = 6;

/** Four tokens at known times; they drift by what the system's timers do. */
const steady: Answer = async (_, answer) => {
  const startMs = performance.now();
  answer.stream();
  for (let token = 0; token < tokenCount; token++) {
    await delay(Math.max(0, startMs + ttftMs + token * gapMs - performance.now()));
    answer.event({
      choices: [{ text: ' x', token_ids: [1], finish_reason: token === tokenCount - 1 ? 'stop' : null }],
    });
  }
  answer.end();
};

async function loadtest(args: readonly string[]): Promise<{ io: MemoryIo; report: RunReport | null }> {
  const io = new MemoryIo();
  await runLoadtest([...args, '--out', 'out'], io);
  const json = io.files.get('out/report.json');
  return { io, report: json === undefined ? null : (JSON.parse(json) as RunReport) };
}

const socketRun = (url: string, more: readonly string[]) =>
  loadtest([
    ...[
      '--target',
      'completions',
      '--url',
      url,
      '--model',
      'tiny',
      '--workload',
      'saturation',
      '--scale',
      '64',
    ],
    ...['--load', 'constant:20', '--warmup', '0s', ...more],
  ]);

test('known delays of a real server are recovered within a few milliseconds', async () => {
  server = await ScriptedServer.start(steady);
  const { report } = await socketRun(server.url, ['--duration', '2s']);
  const of = (key: string) => report!.latencies.find((summary) => summary.key === key)!;
  expect(report!.counters.turns).toBe(40);
  expect(of('ttft').quantiles[0]!.ms!).toBeGreaterThan(ttftMs - 1);
  expect(of('ttft').quantiles[0]!.ms!).toBeLessThan(ttftMs + 25); // a busy machine with two cores
  expect(of('tpot').quantiles[0]!.ms!).toBeGreaterThan(gapMs - 3);
  expect(of('tpot').quantiles[0]!.ms!).toBeLessThan(gapMs + 5);
  expect(of('wireLag').count).toBe(40);
});

test('a real pause of the load generator shows in the headline and voids the run', async () => {
  server = await ScriptedServer.start(steady);
  setTimeout(() => {
    const untilMs = performance.now() + 700;
    while (performance.now() < untilMs);
  }, 600);
  const { report, io } = await socketRun(server.url, ['--duration', '2s']);
  const of = (key: string) => report!.latencies.find((summary) => summary.key === key)!;
  expect(report!.counters.turns).toBe(40); // not one was left out
  expect(of('ttft').maxMs!).toBeGreaterThan(600);
  expect(of('dispatchLag').maxMs!).toBeGreaterThan(600);
  expect(report!.validity.isVoid).toBe(true);
  expect(io.written).toMatch(/VOID: the load generator was late/);
});

test('Ctrl-C reports what there is, as partial', async () => {
  server = await ScriptedServer.start(steady);
  const io = new MemoryIo();
  setTimeout(() => io.interrupt(), 900);
  const args = [
    '--target',
    'completions',
    '--url',
    server.url,
    '--model',
    'tiny',
    '--workload',
    'saturation',
  ];
  await runLoadtest(
    [...args, '--scale', '64', '--load', 'constant:20', '--warmup', '0s', '--duration', '60s'],
    io,
  );
  expect(io.notes).toMatch(/stopping/);
  expect(io.written).toMatch(/PARTIAL, stopped by hand/);
  expect(io.written).toMatch(/turns +\d+ counted in [\d.]+ m?s/);
});

test('refusals are no quick answers: they stand beside the latencies, and a gate on those says so', async () => {
  let count = 0;
  server = await ScriptedServer.start((request, answer) => {
    if (count++ % 10 < 7) answer.respond(429, { error: { code: 'queue_full', message: 'full' } });
    else return steady(request, answer);
  });
  const { report, io } = await socketRun(server.url, [
    ...['--duration', '2s', '--gate', 'p50(e2e)<100ms', '--void-share', '100%'],
  ]);
  const of = (key: string) => report!.latencies.find((summary) => summary.key === key)!;
  expect([of('e2e').count, of('failure').count]).toEqual([12, 28]);
  expect(of('e2e').minMs!).toBeGreaterThan(ttftMs + 5 * gapMs - 1);
  expect(report!.rates.goodShare.value).toBe(0.3);
  expect(io.written).toMatch(/Until failure +28/);
  expect(io.written).toMatch(/gate +FAILS .*28 of 40 turns have no answer/);
  expect(io.exitCode).toBe(1);
});

test('the system’s request to end gets the whole partial report', async () => {
  server = await ScriptedServer.start(steady);
  const out = join(directory, 'ended');
  const args = [
    '--target',
    'completions',
    '--url',
    `${server.url}/v1`,
    '--model',
    'tiny',
    '--workload',
    'saturation',
  ];
  const child = spawn(
    process.execPath,
    [
      programFile('loadtest/main.ts'),
      ...args,
      '--load',
      'constant:20',
      '--duration',
      '60s',
      '--warmup',
      '0s',
      '--out',
      out,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let written = '';
  child.stdout.on('data', (chunk: Buffer) => {
    written += chunk.toString();
  });
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  await expect.poll(() => server!.requests.length, { timeout: 180_000 }).toBeGreaterThan(5);
  await delay(200);
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
  expect(written).toMatch(/PARTIAL, stopped by hand/);
  const report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as RunReport;
  expect(report).toMatchObject({ partial: true });
  expect(report.counters.turns).toBeGreaterThan(0);
  expect(readFileSync(join(out, 'report.html'), 'utf8')).toMatch(/Partial/);
  expect(readFileSync(join(out, 'turns.csv'), 'utf8').split('\n').length).toBeGreaterThan(
    report.counters.turns,
  );
});

// Greedy, because drawing from 8,192 made-up logits is what takes the time.
const inProcess = [
  ...[
    '--in-process',
    '--temperature',
    '0',
    '--workload',
    'interrupts',
    '--scale',
    '32',
    '--load',
    'poisson:1',
  ],
];

test('a whole server in virtual time gives the same bytes for the same seed', async () => {
  const args = [...inProcess, '--duration', '12s', '--seed', '3'];
  const [first, second] = [await loadtest(args), await loadtest(args)];
  expect(first.io.exitCode).toBe(0);
  expect(first.report!.outcomes['ok']).toBeGreaterThan(5);
  for (const name of ['report.json', 'report.html', 'turns.csv']) {
    expect(first.io.files.get(`out/${name}`)).toBe(second.io.files.get(`out/${name}`));
  }
  const other = await loadtest([...inProcess, '--duration', '12s', '--seed', '4']);
  expect(other.io.files.get('out/turns.csv')).not.toBe(first.io.files.get('out/turns.csv'));
});

test.each(['chat', 'completions'])('in process, %s is served over a wire of memory', async (target) => {
  const { report } = await loadtest([...inProcess, '--duration', '3s', '--target', target]);
  expect(report!.outcomes['error'] ?? 0).toBe(0);
  expect(report!.counters.turns).toBeGreaterThan(0);
  expect(report!.countedBy).toEqual({ 'server-stamps': report!.counters.turns });
});

test('a capacity search in virtual time finds the same capacity every time', async () => {
  const args = [
    '--in-process',
    '--temperature',
    '0',
    '--workload',
    'saturation',
    '--load',
    'poisson:1',
    '--capacity',
    '4..64',
  ];
  const run = () =>
    loadtest([
      ...args,
      '--duration',
      '500ms',
      '--warmup',
      '100ms',
      '--slo',
      'ttft<400ms,tpot<8ms',
      '--tolerance',
      '25%',
    ]);
  const capacities = [];
  for (let round = 0; round < 2; round++) {
    const { io } = await run();
    const json = JSON.parse(io.files.get('out/report.json')!) as {
      capacity: { result: string; load: number };
    };
    capacities.push(json.capacity);
  }
  expect(capacities[0]!.result).toBe('found');
  expect(capacities[1]).toEqual(capacities[0]);
});

test('a comparison shows a ratio with its interval and the noise floor', async () => {
  const args = [
    '--in-process',
    '--workload',
    'saturation',
    '--scale',
    '16',
    '--ab',
    'completions',
    '--blocks',
    '4',
  ];
  const { io } = await loadtest([...args, '--gate', 'ratio(ttft)<=3']);
  expect(io.written).toMatch(/A\/B \[95 %\]/);
  const report = JSON.parse(io.files.get('out/report.json')!) as {
    rows: { metric: string; aOverB: { ratio: number; interval: object } }[];
  };
  expect(report.rows[0]!.aOverB.ratio).toBeGreaterThan(0.3);
  expect(report.rows[0]!.aOverB.interval).not.toBeNull();
  expect(io.exitCode).toBe(0);
  expect(io.files.get('out/report.html')).toMatch(/A against B/);
});

test('bad flags, broken traces and absent servers are one sentence and exit code 2', async () => {
  const trace = join(directory, 'broken.jsonl');
  writeFileSync(trace, '{"id":"s","block_size":64,"requests":[]}\n{"id":7}\n');
  for (const [args, words] of [
    [['--load', 'steady'], /^sparklane loadtest: --load "steady": expected/],
    [
      ['--in-process', '--trace', trace],
      /^sparklane loadtest: broken\.jsonl: line 2: requests: expected a list/,
    ],
    [
      ['--url', 'http://127.0.0.1:9'],
      /^sparklane loadtest: no server answers at http:\/\/127\.0\.0\.1:9\/v1\/models/,
    ],
  ] as const) {
    const io = new MemoryIo();
    await runLoadtest([...args], io);
    expect(io.notes).toMatch(words);
    expect(io.exitCode).toBe(2);
  }
});

test('a gate that does not hold exits with 1', async () => {
  const { io } = await loadtest([...inProcess, '--duration', '3s', '--gate', 'good>=99%']);
  expect(io.written).toMatch(/gate +FAILS/); // a handful of sessions cannot prove 99 %
  expect(io.exitCode).toBe(1);
});

test('a run that counts nothing exits with 1 and says where its turns were', async () => {
  server = await ScriptedServer.start(steady);
  const { io } = await socketRun(server.url, ['--duration', '2s', '--warmup', '1s', '--sessions', '3']);
  expect(io.exitCode).toBe(1);
  expect(io.written).toContain('no turn was counted: all 3 began in the warm-up (--warmup 0s counts them)');
});

test('the program runs alone and prints its help', () => {
  const text = execFileSync(process.execPath, [programFile('loadtest/main.ts'), '--help'], {
    encoding: 'utf8',
  });
  expect(text).toMatch(/--capacity/);
  expect(text).toMatch(/agent-sessions/);
});

const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
if (browser === undefined) console.log('skipped: no Chromium at /usr/bin to open the report with');
test.skipIf(browser === undefined)(
  'the report opens in a browser, with every chart drawn and nothing fetched',
  async () => {
    const workload = withHabits(smallWorkload({ turns: { min: 2, max: 5 }, gapMs: { min: 100, max: 900 } }), {
      seed: 3,
      interruptShare: 0.1,
      steerShare: 0.1,
    });
    const { report } = virtualRun(
      smallPlan({ load: { kind: 'poisson', perSecond: 4 }, durationMs: 30_000 }),
      {
        ttftMs: 80,
        gapMs: 21,
        seats: 3,
        end: (session) =>
          session.index % 17 === 5
            ? { outcome: 'rejected', errorKind: 'http 429 queue_full', message: '<b>full</b> & "done"' }
            : null,
      },
      workload,
    );
    const html = reportPage({ run: report, sweeps: [], comparison: null, gates: [] });
    expect(html).not.toMatch(/<script|src=|href=|url\(/); // self-contained
    const page = join(directory, 'report.html');
    const picture = join(directory, 'report.png');
    writeFileSync(page, html);
    const flags = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--window-size=1000,3600',
      '--hide-scrollbars',
    ];
    const dom = await browse([...flags, '--dump-dom', `file://${page}`]);
    for (const title of [
      'Latencies',
      'TTFT against load',
      'Objective matrix',
      'Sessions',
      'Stalls',
      'Errors',
      'Formulas',
      'Provenance',
    ]) {
      expect(dom).toContain(`<h2>${title}</h2>`);
    }
    expect(dom.match(/<svg[^>]*viewBox/g)!.length).toBeGreaterThanOrEqual(5);
    expect(dom).toContain('&lt;b&gt;full&lt;/b&gt; &amp; ');
    expect(dom).not.toMatch(/NaN|undefined|Infinity/);
    await browse([...flags, `--screenshot=${picture}`, `file://${page}`]);
    expect(statSync(picture).size).toBeGreaterThan(50_000); // more than an empty page
    expect(readFileSync(picture).subarray(1, 4).toString()).toBe('PNG');
  },
  60_000,
);

function browse(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(browser!, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.on('error', reject);
    child.on('exit', () => resolve(text));
  });
}
