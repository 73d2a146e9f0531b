// The driver against a server with known delays, in virtual time: it must recover them, and nothing may hide a pause.
import { expect, test } from 'vitest';
import { type Clock, type Timer, VirtualClock } from '../../../../../kernels/clock.ts';
import type { RunReport } from '../../../../../loadtest/measure/runs/report-schema.ts';
import { startRun } from '../../../../../loadtest/measure/runs/run.ts';
import { latencyOf } from '../../../../../loadtest/measure/runs/run-report.ts';
import { generated, withHabits } from '../../../../../loadtest/workload/generated.ts';
import { smallPlan, smallWorkload, surroundings, virtualRun } from '../../../../load-world.ts';
import { ScriptedTarget } from '../../../../scripted-target.ts';

const quantile = (report: RunReport, key: Parameters<typeof latencyOf>[1], q: number) =>
  latencyOf(report, key).quantiles.find((entry) => entry.q === q)!.ms!;

test('known delays are recovered within the error of the histogram', () => {
  const { report } = virtualRun(smallPlan(), { ttftMs: 80, gapMs: 20 });
  expect(report.counters.turns).toBe(100); // 10 per second for 10 s
  for (const q of [0.5, 0.9, 0.95]) {
    expect(quantile(report, 'ttft', q)).toBeCloseTo(80, 0);
    expect(quantile(report, 'itlBurst', q)).toBeCloseTo(20, 1);
    expect(quantile(report, 'e2e', q)).toBeCloseTo(260, 0); // 80 + 9 gaps of 20
  }
  expect(latencyOf(report, 'tpot').meanMs).toBeCloseTo(20, 6);
  expect(report.validity.isVoid).toBe(false);
});

test('rates are over the time in which there were sessions: until the last answer where they ran out before the end', () => {
  const script = { ttftMs: 80, gapMs: 20 };
  const { report } = virtualRun(smallPlan({ sessionsMax: 20 }), script); // 10 per second, for 10 s: the last at 1.9 s
  expect(report.windowMs).toBeCloseTo(1900 + 260, 0);
  expect(report.rates.requestsPerSecond).toBeCloseTo(20 / 2.16, 2);
  const closed = virtualRun(smallPlan({ sessionsMax: 6, load: { kind: 'closed', users: 2 } }), script);
  expect(closed.report.rates.requestsPerSecond).toBeCloseTo(2 / 0.26, 1);
  const enough = virtualRun(smallPlan({ sessionsMax: 1000 }), script);
  expect(enough.report.windowMs).toBeCloseTo(9900 + 260, 0);
});

test('sending goes on at the intended times while the server is stuck: queueing shows in full', () => {
  // One seat of 260 ms at 10 arrivals a second: the k-th of 100 waits for k others.
  const { report, turns } = virtualRun(smallPlan(), { ttftMs: 80, gapMs: 20, seats: 1 });
  for (const [at, turn] of turns.entries()) {
    expect(turn.timeline.intendedMs).toBeCloseTo(at * 100, 6);
    expect(turn.timeline.dispatchedMs).toBeCloseTo(turn.timeline.intendedMs, 6);
    expect(turn.measures.ttftMs!).toBeCloseTo(80 + at * 160, 3);
  }
  expect(latencyOf(report, 'ttft').maxMs).toBeCloseTo(80 + 99 * 160, 3);
});

test('a pause of the load generator itself counts from the intended time, and voids the run', () => {
  const clock = new PausingClock({ fromMs: 4000, untilMs: 6000 });
  const target = new ScriptedTarget(clock, { ttftMs: 80, gapMs: 20 });
  let report: RunReport | null = null;
  const world = { clock, target, workload: smallWorkload(), countTokens: null, surroundings, onTurn: null };
  startRun(smallPlan(), world, (finished) => {
    report = finished;
  });
  clock.run();
  const { latencies, validity, counters } = report! as RunReport;
  expect(counters.turns).toBe(100);
  const ttft = latencies.find(({ key }) => key === 'ttft')!;
  const fromSent = latencies.find(({ key }) => key === 'ttftFromSent')!;
  // Twenty requests were meant for the pause; the first of them waited almost two seconds before it was even sent.
  expect(ttft.maxMs!).toBeGreaterThan(1900);
  expect(ttft.quantiles[1]!.ms!).toBeGreaterThan(900); // p90: half of them waited longer than a second
  expect(fromSent.quantiles[1]!.ms!).toBeLessThan(100); // what a client that only trusts its own sending would report
  expect(validity.isVoid).toBe(true);
  expect(validity.reasons.join()).toMatch(/late: p99 dispatch lag/);
  expect(validity.reasons.join()).toMatch(/event loop stalled/);
});

test('equal seeds give equal bytes, other seeds other ones', () => {
  const workload = () =>
    withHabits(smallWorkload({ turns: { min: 1, max: 5 }, gapMs: { min: 10, max: 900 } }), {
      seed: 4,
      interruptShare: 0.1,
      steerShare: 0.1,
    });
  const plan = (seed: number) => smallPlan({ load: { kind: 'gamma', perSecond: 5, cv: 3 }, seed });
  const run = (seed: number) =>
    JSON.stringify(virtualRun(plan(seed), { ttftMs: 30, gapMs: 7, seats: 3 }, workload()).report);
  expect(run(1)).toBe(run(1));
  expect(run(1)).not.toBe(run(2));
});

test('a session’s next turn waits for the answer and then for its gap', () => {
  const workload = smallWorkload({ turns: { min: 3, max: 3 }, gapMs: { min: 500, max: 500 } });
  const plan = smallPlan({ load: { kind: 'constant', perSecond: 0.1 } });
  const { turns, report } = virtualRun(plan, { ttftMs: 80, gapMs: 20 }, workload);
  expect(turns.map(({ timeline }) => timeline.intendedMs)).toEqual([0, 760, 1520]); // 260 answer + 500 gap
  expect(turns.map(({ measures }) => measures.ttftMs)).toEqual([80, 80, 80]);
  expect(latencyOf(report, 'makespan').maxMs).toBeCloseTo(1780, 3);
  expect(latencyOf(report, 'toolGaps').maxMs).toBeCloseTo(1000, 3);
  expect(latencyOf(report, 'sessionWait').maxMs).toBeCloseTo(780, 3);
});

test('a closed loop keeps as many sessions under way as it has users', () => {
  const plan = smallPlan({ load: { kind: 'closed', users: 4 } });
  const { turns } = virtualRun(plan, { ttftMs: 80, gapMs: 20 });
  expect(Math.max(...turns.map(({ inFlight }) => inFlight))).toBe(4);
  expect(turns.length).toBe(4 * Math.ceil(10_000 / 260));
});

test.each([
  ['time', {}],
  ['sessions', { sessionsMax: 6 }],
])('a closed loop whose every turn fails ends when there is no more %s', (_, bound) => {
  const plan = smallPlan({ load: { kind: 'closed', users: 2 }, ...bound });
  const end = () => ({ outcome: 'error', errorKind: 'http 400' }) as const;
  const { report } = virtualRun(plan, { ttftMs: 80, gapMs: 20, end });
  expect(report.outcomes['error']).toBeGreaterThanOrEqual(6);
  expect(report.partial ?? false).toBe(false);
});

test('errors, rejections, truncations and timeouts are misses, by kind', () => {
  const ends = [
    { outcome: 'error', errorKind: 'http 500' },
    { outcome: 'rejected', errorKind: 'http 429 queue_full' },
    { outcome: 'truncated', errorKind: 'length limit' },
  ] as const;
  const { report } = virtualRun(smallPlan(), {
    ttftMs: 80,
    gapMs: 20,
    end: (session) => (session.index < 30 ? ends[session.index % 3]! : null),
  });
  expect(report.outcomes).toEqual({ error: 10, rejected: 10, truncated: 10, ok: 70 });
  expect(report.rates.goodShare.value).toBeCloseTo(0.7, 9);
  expect(report.rates.goodputPerSecond.value).toBeCloseTo(70 / (report.windowMs / 1000), 9);
  expect(report.errors.map(({ kind }) => kind).sort()).toEqual([
    'http 429 queue_full',
    'http 500',
    'length limit',
  ]);
  const late = virtualRun(smallPlan({ turnTimeoutMs: 50 }), { ttftMs: 80, gapMs: 20 });
  expect(late.report.errors).toEqual([{ kind: 'timeout', turns: 100, message: 'no end within 50 ms' }]);
});

test('a failed turn ends its session, and the turns it never sent are told', () => {
  const workload = smallWorkload({ turns: { min: 4, max: 4 } });
  const { report } = virtualRun(
    smallPlan({ load: { kind: 'constant', perSecond: 1 } }),
    {
      ttftMs: 10,
      gapMs: 1,
      end: (_, turn) => (turn === 1 ? { outcome: 'error', errorKind: 'http 500' } : null),
    },
    workload,
  );
  expect(report.counters).toMatchObject({ turns: 20, sessions: 10, completeSessions: 0, skippedTurns: 20 });
  expect(report.rates.sessionGoodShare).toBe(0);
});

test('stops and steers are timed from the key press', () => {
  const workload = withHabits(smallWorkload({ outputTokens: { min: 50, max: 50 } }), {
    seed: 2,
    interruptShare: 0.5,
    steerShare: 0.5,
  });
  const { report, turns } = virtualRun(smallPlan(), { ttftMs: 80, gapMs: 20, afterStopMs: 33 }, workload);
  const stopped = turns.filter(({ kind, measures }) => kind === 'turn' && measures.wastedTokens !== null);
  expect(stopped.length).toBe(100);
  expect(stopped.every(({ outcome }) => outcome === 'interrupted')).toBe(true);
  const steers = turns.filter(({ kind }) => kind === 'steer');
  expect(steers.length).toBeGreaterThan(30);
  // The stopped answer ends 33 ms after the stop, the new one's first token comes 80 ms later.
  for (const { measures } of steers) expect(measures.ttftMs!).toBeCloseTo(113, 3);
  expect(latencyOf(report, 'steerToFirst').count).toBe(steers.length);
  expect(latencyOf(report, 'ttft').count).toBe(stopped.length); // steers are not mixed in
});

test('what is intended before the end of warm-up is played and not counted', () => {
  const { report } = virtualRun(smallPlan({ warmupMs: 2000 }), { ttftMs: 80, gapMs: 20 });
  expect(report.counters).toMatchObject({ turns: 80, warmupTurns: 20, sessions: 80 });
  expect(report.windowMs).toBeCloseTo(8160, 3); // 2,000 → the last end at 10,160
});

test('sessions over the bound are shed and void the run', () => {
  const { report } = virtualRun(smallPlan({ sessionsInFlightMax: 2 }), { ttftMs: 500, gapMs: 20 });
  expect(report.counters.shedSessions).toBeGreaterThan(0);
  expect(report.validity.reasons.join()).toMatch(/shed/);
});

test('a run that is stopped reports what it has, and leaves nothing under way', () => {
  const clock = new VirtualClock();
  const target = new ScriptedTarget(clock, { ttftMs: 80, gapMs: 20 });
  let report: RunReport | null = null;
  const world = { clock, target, workload: smallWorkload(), countTokens: null, surroundings, onTurn: null };
  const run = startRun(smallPlan(), world, (finished) => {
    report = finished;
  });
  clock.run(5050);
  run.stop();
  run.stop();
  clock.run();
  const { counters, partial, windowMs } = report! as RunReport;
  expect(partial).toBe(true);
  expect(counters.unfinishedTurns).toBe(3); // begun at 4,800, 4,900 and 5,000
  expect(counters.turns).toBe(48);
  expect(windowMs).toBeCloseTo(5050, 3);
  expect(run.driver.sessionsInFlight).toBe(0);
});

test('a run that starts late on its clock ends too, whatever rounding does to its times', () => {
  const clock = new VirtualClock();
  clock.run(4_517_123.4567);
  let runs = 0;
  const next = () => {
    if (runs++ === 5) return;
    const target = new ScriptedTarget(clock, { ttftMs: 8.1, gapMs: 0.7 });
    const world = { clock, target, workload: smallWorkload(), countTokens: null, surroundings, onTurn: null };
    const plan = smallPlan({
      load: { kind: 'poisson', perSecond: 71 },
      durationMs: 1000,
      leadMs: 33.3,
      seed: runs,
    });
    startRun(plan, world, (report) => {
      expect(report.counters.turns).toBeGreaterThan(40);
      next();
    });
  };
  next();
  let steps = 0;
  while (clock.step()) expect(++steps).toBeLessThan(100_000); // a wait of 0 ms at the same moment would never end
  expect(runs).toBe(6);
});

test('trace arrivals are replayed at their own times, faster if asked', () => {
  const base = generated({
    name: 'trace',
    seed: 1,
    scale: 1,
    contextTokens: 1000,
    sharedTokens: 0,
    promptTokens: { min: 10, max: 10 },
    outputTokens: { min: 2, max: 2 },
    turns: { min: 1, max: 1 },
    gapMs: { min: 0, max: 0 },
  });
  const times = [0, 0, 150, 3000];
  const workload = {
    ...base,
    *sessions() {
      const source = base.sessions();
      for (const arrivalMs of times) yield { ...source.next().value!, arrivalMs };
    },
  };
  const plan = smallPlan({ load: { kind: 'trace', timeScale: 2 } });
  const { turns } = virtualRun(plan, { ttftMs: 1, gapMs: 1 }, workload);
  expect(turns.map(({ timeline }) => timeline.intendedMs)).toEqual([0, 0, 75, 1500]);
});

/** A process that does nothing for a while: whatever was due in the pause happens after it. */
class PausingClock implements Clock {
  readonly #clock = new VirtualClock();
  readonly #pause: { readonly fromMs: number; readonly untilMs: number };

  constructor(pause: { readonly fromMs: number; readonly untilMs: number }) {
    this.#pause = pause;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  schedule(delayMs: number, fn: () => void): Timer {
    const dueMs = this.nowMs() + delayMs;
    const { fromMs, untilMs } = this.#pause;
    return this.#clock.schedule(dueMs > fromMs && dueMs < untilMs ? untilMs - this.nowMs() : delayMs, fn);
  }

  defer(fn: () => void): void {
    this.schedule(0, fn);
  }

  run(): void {
    this.#clock.run();
  }
}
