// What load-test tests share: a small workload, a run in virtual time, a busy wait on the wall clock.
import { VirtualClock } from '../kernels/clock.ts';
import type { FinishedTurn } from '../loadtest/measure/play/recorder.ts';
import type { RunReport, Surroundings } from '../loadtest/measure/runs/report-schema.ts';
import { type RunPlan, startRun } from '../loadtest/measure/runs/run.ts';
import { type GeneratedOptions, generated } from '../loadtest/workload/generated.ts';
import type { Workload } from '../loadtest/workload/turn.ts';
import { type Script, ScriptedTarget } from './scripted-target.ts';

export const surroundings: Surroundings = {
  command: 'test',
  startedAt: '',
  device: 'scripted',
  model: 'none',
  clock: 'simulated, virtual clock',
  machine: 'none',
  node: 'none',
  version: '0',
};

export function smallWorkload(changes: Partial<GeneratedOptions> = {}): Workload {
  return generated({
    name: 'small',
    seed: 1,
    scale: 1,
    contextTokens: 4096,
    sharedTokens: 0,
    promptTokens: { min: 100, max: 100 },
    outputTokens: { min: 10, max: 10 },
    turns: { min: 1, max: 1 },
    gapMs: { min: 0, max: 0 },
    ...changes,
  });
}

export function smallPlan(changes: Partial<RunPlan> = {}): RunPlan {
  return {
    load: { kind: 'constant', perSecond: 10 },
    durationMs: 10_000,
    sessionsMax: Number.POSITIVE_INFINITY,
    sessionsInFlightMax: 10_000,
    turnTimeoutMs: 60_000,
    leadMs: 0,
    salt: 0,
    seed: 1,
    warmupMs: 0,
    slo: [{ metric: 'ttft', msMax: 500 }],
    voidShare: 0.1,
    abortShare: null,
    autoWarmup: false,
    ...changes,
  };
}

/** A whole run in virtual time. */
export function virtualRun(
  plan: RunPlan,
  script: Script,
  workload: Workload = smallWorkload(),
): { report: RunReport; turns: FinishedTurn[]; target: ScriptedTarget } {
  const clock = new VirtualClock();
  const target = new ScriptedTarget(clock, script);
  const turns: FinishedTurn[] = [];
  let report: RunReport | null = null;
  startRun(
    plan,
    { clock, target, workload, countTokens: null, surroundings, onTurn: (turn) => turns.push(turn) },
    (finished) => {
      report = finished;
    },
  );
  clock.run();
  if (report === null) throw new Error('the run did not end');
  return { report, turns, target };
}
