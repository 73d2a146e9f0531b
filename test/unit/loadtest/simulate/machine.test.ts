// A machine that is timed: what the times of a machine of known constants are told apart into, what a file of it predicts, and what
// it refuses.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  type Backend,
  type BackendLimits,
  greedySampling,
  type StepPlan,
} from '../../../../kernels/backend.ts';
import { WallClock } from '../../../../kernels/clock.ts';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice, type SimDeviceOptions } from '../../../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../../../kernels/sim/fit-error.ts';
import { FlagError } from '../../../../loadtest/base/flag-error.ts';
import { readChipFile } from '../../../../loadtest/simulate/chip-file.ts';
import { measureMachine, measurePlan } from '../../../../loadtest/simulate/machine/measure.ts';
import { type ProbeSizes, probeLayerWeights } from '../../../../loadtest/simulate/machine/probe-model.ts';
import { keyOf, type TimesByStep, timeSteps } from '../../../../loadtest/simulate/machine/probe-run.ts';
import { solve } from '../../../../loadtest/simulate/machine/solve.ts';

const { axes, probes } = measurePlan;
const directory = mkdtempSync(join(tmpdir(), 'machine-'));
afterAll(() => rmSync(directory, { recursive: true }));

// A machine of our own: ps a weight and µs a layer and step by tokens, ns by what attention does.
const truth = {
  weightPs: (tokens: number) => 20 + 5 * tokens,
  layerUs: (tokens: number) => 10 + tokens,
  stepUs: 30,
  decodePs: 100,
  promptPs: 15,
};

function stepMs(
  { layerCount, hiddenSize, ffnSize }: ProbeSizes,
  { rowCount, tokenCount, contextTokens }: { rowCount: number; tokenCount: number; contextTokens: number },
): number {
  const tokens = rowCount * tokenCount;
  const weights = probeLayerWeights({ hiddenSize, ffnSize });
  const macs = 2 * hiddenSize * tokens * (contextTokens - axes.nearTokens);
  const ps = weights * truth.weightPs(tokens) + macs * (tokenCount === 1 ? truth.decodePs : truth.promptPs);
  return (truth.stepUs + layerCount * (truth.layerUs(tokens) + ps / 1e6)) / 1e3;
}

function timesOf(sizes: ProbeSizes): TimesByStep {
  const steps = [axes.nearTokens, axes.farTokens].flatMap((contextTokens) => [
    ...axes.tokens.map((tokenCount) => ({ rowCount: 1, tokenCount, contextTokens })),
    ...axes.rows.map((rowCount) => ({ rowCount, tokenCount: 1, contextTokens })),
  ]);
  return new Map(steps.map((step) => [keyOf(step), stepMs(sizes, step)]));
}

const times = { shallow: timesOf(probes.shallow), deep: timesOf(probes.deep), wide: timesOf(probes.wide) };

const file = (more: object = {}): string => {
  const found = solve(probes, times, axes);
  const path = join(directory, 'mine.json');
  const text = {
    ...{ kind: 'measured', machine: 'a test', measured_seconds: 1, memory_gb: 16 },
    by_thread: [{ threads: 2, weights_gb_per_second: 40, gflops: 100 }],
    ...{
      format: 'int8',
      threads: 2,
      tokens: axes.tokens,
      weight_ps: found.weightPs,
      layer_us: found.layerUs,
    },
    ...{ step_us: found.stepUs, row_us: found.rowUs, context_tokens: axes.nearTokens, rows: axes.rows },
    ...{ decode_ps: found.decodePs, prompt_ps: found.promptPs, ...more },
  };
  writeFileSync(path, JSON.stringify(text));
  return path;
};

type Asked = Partial<SimDeviceOptions> & { readonly model?: string };

test('times of probes are told apart into weights, layers, steps and attention', () => {
  const found = solve(probes, times, axes);
  for (const [index, tokens] of axes.tokens.entries()) {
    expect(found.weightPs[index]! / truth.weightPs(tokens)).toBeCloseTo(1, 6);
    expect(found.layerUs[index]! / truth.layerUs(tokens)).toBeCloseTo(1, 6);
    expect(found.stepUs[index]! / truth.stepUs).toBeCloseTo(1, 6);
  }
  for (const ps of found.decodePs) expect(ps).toBeCloseTo(truth.decodePs, 6);
  expect(found.promptPs).toBeCloseTo(truth.promptPs, 6);
  expect(found.rowUs).toBeCloseTo(0, 6);
});

test('another model takes what its weights, layers and context take', () => {
  const shape = namedShape('smollm2-135m');
  const device = planSimDevice({
    ...{ device: '', ownChip: readChipFile(file()), shape, precision: 'int8' },
  });
  if (device.kind !== 'gpu') throw new Error('a wafer');
  const row = { sequenceId: 0, slot: 0, sampleCount: 1, sampling: greedySampling, promptCount: 0 };
  const plan = (position: number, count: number): StepPlan => ({
    ...{ replica: 0, restores: [], saves: [] },
    rows: [{ ...row, position, tokens: new Int32Array(count), history: null, masks: null }],
  });
  const model = device.timing(new WallClock());
  const layer = 576 * (2 * 576 + 2 * 192 + 3 * 1536);
  const own = { layers: 30 * layer, head: 576 * 49152 };
  const decode = (own.layers + own.head) * truth.weightPs(1) + 30 * 2 * 576 * (512 - 128) * truth.decodePs;
  expect(model.stepDurationMs(plan(511, 1))).toBeCloseTo(
    decode / 1e9 + (30 * truth.layerUs(1) + truth.stepUs) / 1e3,
    6,
  );
  // A chunk behind the context that the tables have already: attention adds nothing.
  const chunk = own.layers * truth.weightPs(64) + own.head * truth.weightPs(1);
  expect(
    model.stepDurationMs(plan(128, 64)) / (chunk / 1e9 + (30 * truth.layerUs(64) + truth.stepUs) / 1e3),
  ).toBeCloseTo(1, 3);
  // Beyond the last measured number of tokens: in proportion.
  const double = model.stepDurationMs(plan(128, 256)) / model.stepDurationMs(plan(128, 128));
  expect(double).toBeGreaterThan(1.9);
  expect(double).toBeLessThan(2.1);
  expect(device.prefillChunkTokens).toBe(128);
});

test.each([
  [{ tokens: [2, 4] }, 'tokens'],
  [{ weight_ps: [1, 2] }, 'weight_ps: expected 8 times'],
  [{ decode_ps: [-1, 2] }, 'decode_ps'],
  [{ format: 'fp8' }, 'format'],
  [{ kind: 'guessed' }, 'kind'],
  [{ extra: 1 }, 'extra'],
])('a file with %o is refused by name', (more, message) => {
  expect(() => readChipFile(file(more))).toThrow(FlagError);
  expect(() => readChipFile(file(more))).toThrow(message);
});

test.each([
  [{ precision: 'fp16' as const }, '--precision int8'],
  [{ count: 2 }, 'one'],
  [{ stageCount: 2 }, 'one'],
  [{ model: 'gpt-oss-20b' }, 'dense'],
  [{ model: 'llama-3.1-70b' }, 'GB'],
])('a machine that was timed refuses %o', ({ model = 'smollm2-135m', ...more }: Asked, message) => {
  const base = { device: '', ownChip: readChipFile(file()), shape: namedShape(model) };
  const plan = () => planSimDevice({ ...base, precision: 'int8', ...more });
  expect(plan).toThrow(DoesNotFitError);
  expect(plan).toThrow(message);
});

test('every step is timed at its context, its seats filled before, the quickest of the repeats kept', async () => {
  const held = new Map<number, number>(); // [slot] tokens
  const limits = { blockSize: 16 } as BackendLimits;
  let plans = 0;
  const backend = {
    limits,
    step(plan: StepPlan, done: Parameters<Backend['step']>[1]) {
      for (const { slot, blocks } of plan.restores) held.set(slot, 16 * blocks.length);
      for (const { slot, position, tokens } of plan.rows) {
        expect(held.get(slot)).toBeGreaterThanOrEqual(position);
        held.set(slot, position + tokens.length);
      }
      plans++;
      const deviceMs = plan.rows.length * 10 + plan.rows[0]!.tokens.length + 100 / plans;
      done({ ok: true, deviceMs, rows: [] } as never);
    },
  } as unknown as Backend;
  const steps = [
    { rowCount: 1, tokenCount: 1, contextTokens: 128 },
    { rowCount: 4, tokenCount: 1, contextTokens: 128 },
    { rowCount: 1, tokenCount: 8, contextTokens: 256 },
  ];
  let now = 0;
  const found = await timeSteps(backend, steps, { nowMs: () => now++, budgetMs: 40 });
  expect([...found.keys()]).toEqual(['1x1@128', '4x1@128', '1x8@256']);
  expect(found.get('4x1@128')! - found.get('1x1@128')!).toBeCloseTo(30, 0);
  expect(found.get('1x8@256')! - found.get('1x1@128')!).toBeCloseTo(7, 0);
});

// What the times are is the machine's affair, and its other users'.
test('this machine, for as short as it can: every table is there, and the file is one that is read', async () => {
  const found = await measureMachine({
    ...{ format: 'int4', threads: 1, seconds: 0.001, machine: 'this', memoryBytes: 8e9 },
    ...{ cacheDirectory: join(directory, 'cache'), clock: new WallClock(), onProgress: () => undefined },
    plan: {
      probes: {
        shallow: { layerCount: 1, hiddenSize: 192, ffnSize: 256 },
        deep: { layerCount: 3, hiddenSize: 192, ffnSize: 256 },
        wide: { layerCount: 1, hiddenSize: 384, ffnSize: 512 },
      },
      axes: { tokens: [1, 2, 32], rows: [1, 2], nearTokens: 32, farTokens: 64 },
    },
  });
  expect(found.weight_ps).toHaveLength(found.tokens.length);
  for (const ps of [...found.weight_ps, ...found.decode_ps]) expect(ps).toBeGreaterThanOrEqual(0);
  const path = join(directory, 'this.json');
  writeFileSync(path, JSON.stringify(found));
  expect(readChipFile(path).measured?.format).toBe('int4');
});
