// Gates, objectives and flags: what is accepted, what is refused with which words, and what an interval decides.
import { expect, test } from 'vitest';
import { parseSlo } from '../../../../../loadtest/measure/play/slo.ts';
import { judgeRun, parseGates } from '../../../../../loadtest/measure/runs/gate.ts';
import { parseSettings } from '../../../../../loadtest/measure/settings.ts';
import { smallPlan, smallWorkload, virtualRun } from '../../../../load-world.ts';

const run = (ttftMs: number, perSecond = 50) =>
  virtualRun(smallPlan({ load: { kind: 'poisson', perSecond } }), { ttftMs, gapMs: 2 }, smallWorkload())
    .report;

test('a gate holds only when the whole interval is inside', () => {
  const report = run(80);
  const verdicts = judgeRun(
    parseGates('p99(ttft)<100ms; p95(ttft)<79ms; good>=99%; failed<=1%; goodput>=40/s; ratio(ttft)<=1'),
    report,
  );
  expect(verdicts.map(({ passed }) => passed)).toEqual([true, false, true, true, true, false]);
  expect(verdicts[0]!.reason).toMatch(/upper end is inside/);
  expect(verdicts[5]!.reason).toMatch(/needs a comparison/);
});

test('too few samples fail a gate, and so does a handful of sessions that were all good', () => {
  const report = run(80, 3);
  expect(judgeRun(parseGates('p99(ttft)<10s'), report)[0]!.reason).toMatch(/p99 needs 368 samples/);
  const [good] = judgeRun(parseGates('good>=99%'), report);
  expect(good!.passed).toBe(false); // 30 of 30 prove 88 %, not 99 %
});

test('a void run fails every gate', () => {
  const { report } = virtualRun(smallPlan({ sessionsInFlightMax: 1 }), { ttftMs: 500, gapMs: 2 });
  expect(judgeRun(parseGates('p50(ttft)<10s'), report)[0]!.reason).toMatch(/^the run is void/);
});

test.each(['p98(ttft)<1s', 'p95(speed)<1s', 'good>=150%', 'good', 'p95(ttft)<soon', 'ratio(itlToken)<1'])(
  'the gate %j is refused with what would have been taken',
  (text) => {
    expect(() => parseGates(text)).toThrow(/--gate .*expected p50/);
  },
);

test('objectives are read with their units', () => {
  expect(parseSlo('ttft<500ms, stall<=1.5s,tpot<250us')).toEqual([
    { metric: 'ttft', msMax: 500 },
    { metric: 'stall', msMax: 1500 },
    { metric: 'tpot', msMax: 0.25 },
  ]);
  for (const text of ['', 'ttft', 'itl<5ms', 'ttft>5ms', 'ttft<5d'])
    expect(() => parseSlo(text)).toThrow(/--slo/);
});

test.each([
  [{ target: 'grpc' }, /--target "grpc": expected native, chat/],
  [{ url: 'localhost' }, /--url "localhost": expected something like/],
  [{ workload: 'none' }, /--workload "none": expected agent-sessions/],
  [{ scale: '0.5' }, /--scale "0.5": expected a number from 1/],
  [{ context: '12.5' }, /--context "12.5": expected a/],
  [{ duration: 'soon' }, /--duration "soon": expected a time/],
  [{ duration: '5s', warmup: '5s' }, /--warmup "5s": expected less than --duration/],
  [{ gapMax: '-1' }, /--gap-max/],
  [{ interrupts: '150%' }, /--interrupts "150%": expected a share/],
  [{ capacity: '5..2' }, /--capacity "5..2": expected LOW..HIGH/],
  [{ capacity: '1..2', sweep: '1,2' }, /one of --sweep, --capacity and --ab/],
  [{ sweep: '1,,2' }, /--sweep/],
  [{ repeats: '4' }, /--repeats "4": expected an odd number/],
  [{ body: '[1]' }, /--body .*expected a JSON object/],
  [{ ab: 'chat@nowhere' }, /--ab "nowhere"/],
  [{ editFormat: 'prose' }, /--edit-format "prose": expected rewrite/],
])('the flags %j are refused with name, value and bound', (flags, reason) => {
  expect(() => parseSettings(flags)).toThrow(reason);
});

test('defaults come from the workload', () => {
  const settings = parseSettings({ workload: 'azure-code' });
  expect(settings).toMatchObject({
    durationMs: 300_000,
    warmupMs: 30_000,
    load: { kind: 'trace', timeScale: 1 },
  });
  expect(parseSettings({ duration: '30' })).toMatchObject({ durationMs: 30_000, warmupMs: 3000 });
  expect(parseSettings({ ab: true }).other).toMatchObject({
    kind: 'completions',
    address: { text: 'http://127.0.0.1:8080' },
  });
  expect(parseSettings({ ab: 'chat@http://127.0.0.1:9/' }).other).toMatchObject({
    kind: 'chat',
    address: { text: 'http://127.0.0.1:9' },
  });
  expect(parseSettings({ routes: 'health', connections: '3' })).toMatchObject({
    target: { kind: 'health' },
    workload: 'ping',
    load: { kind: 'closed', users: 3 },
    slo: [{ metric: 'e2e', msMax: 1000 }],
  });
  expect(parseSettings({ header: ['X-Team: a:b', 'x-team: c'] }).headers).toEqual({ 'x-team': 'c' });
});

test('headers, proxies and certificates that cannot be are refused by name', () => {
  for (const [flags, words] of [
    [{ header: ['nonsense'] }, /--header "nonsense"/],
    [{ header: ['a: b\r\nc: d'] }, /--header/],
    [{ header: ['Content-Length: 7'] }, /--header/],
    [{ proxy: 'socks5://h:1' }, /--proxy/],
    [{ ca: '/nowhere.pem' }, /--ca .*readable/],
    [{ connections: '3' }, /--connections .*--routes/],
    [{ routes: 'stats' }, /--routes "stats": expected health/],
  ] as const)
    expect(() => parseSettings(flags)).toThrow(words);
});
