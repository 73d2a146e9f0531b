// What the cpu backend adds to ONNX Runtime: time per decode step through Piscina, the frame and the worker against
// the bare run of a binding in this thread; and the costs that kernels/onnx/row-groups.ts decides by.
// Run: npx tsx test/bench/backend.bench.ts [model] [precision] [threads]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import type { RowOutcome, SamplingParams, StepPlan } from '../../kernels/backend.ts';
import { WallClock } from '../../kernels/clock.ts';
import { type CpuBackend, createCpuBackend } from '../../kernels/onnx/backend.ts';
import { openSession } from '../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { type BuiltGraph, buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { resolveModel } from '../../models/model.ts';
import { greedy, rowOf } from '../cpu-rig.ts';
import { openBindings } from './bare-seat.ts';

export interface BackendBenchOptions {
  readonly model: string;
  readonly precision: Precision;
  readonly threadCount: number;
}

const batches = [1, 2, 4, 8, 16];
const slotCount = 16;
const blockSize = 16;
const contextTokens = 128;
const longContextTokens = 3072;
const roundsCount = 60; // of stepsPerRound steps each, after two that warm up
const stepsPerRound = 5;
const probeSteps = 100;
const replica = 0;

/** P10: the fastest tenth, which other load on the machine reaches least. */
export interface StepTimes {
  readonly batch: number;
  readonly bareUsP10: number; // the binding's run alone
  readonly deviceUsP10: number; // the worker's own measure of the step
  readonly backendUsP10: number; // from step() to done()
  readonly addedUsP10: number; // backend − bare
  readonly bareUsP50: number;
  readonly backendUsP50: number;
}

export interface BackendCosts {
  readonly options: BackendBenchOptions;
  readonly integerLoopMs: number; // 3·10⁸ additions: the machine's speed at the time
  readonly steps: readonly StepTimes[];
  readonly rowUs: number; // one more row in a decode run
  readonly runUs: number; // another run
  readonly attendedTokenUs: number; // one more token of context of one row
  readonly restoreUsPerBlock: number;
  readonly freshShapeUs: number; // first step of a shape, less a later one
  readonly samplingUs: readonly { readonly name: string; readonly addedUs: number }[]; // over greedy, on nearly flat logits
}

export async function backendBench(options: BackendBenchOptions): Promise<BackendCosts> {
  const cacheDirectory = mkdtempSync(join(tmpdir(), 'sparklane-bench-'));
  try {
    const checkpoint = loadCheckpoint(resolveModel(options.model));
    const graph = await buildGraph(checkpoint, { precision: options.precision, cacheDirectory });
    return await measure(graph, options);
  } finally {
    rmSync(cacheDirectory, { recursive: true, force: true });
  }
}

async function measure(graph: BuiltGraph, options: BackendBenchOptions): Promise<BackendCosts> {
  const { threadCount } = options;
  const slotTokensMax = Math.min(graph.spec.contextLength, 2 * longContextTokens);
  const sizes = { replicaCount: 1, slotCount, slotTokensMax, blockSize, blockCount: 256 };
  const backend = await createCpuBackend({
    graph,
    int8Kv: null,
    sizes: { ...sizes, rowTokensMax: 128, stepTokensMax: 256, sampleCountMax: 1 },
    runtime: 'c-api',
    threadCount,
    spinning: true,
    stepTimeoutMs: 60_000,
    tellIntervalMs: 0,
    openTimeoutMs: 60_000,
    clock: new WallClock(),
    log: { info: () => undefined, warn: console.warn },
  });
  const bare = openBare(graph, { slotTokensMax: 2 * contextTokens, threadCount });
  const probe = new Probe(backend);
  const steps: StepTimes[] = [];
  const integerLoopMs = timeIntegerLoop();
  for (const batch of batches) steps.push(await stepTimes(probe, bare, batch));
  const costs = {
    options,
    integerLoopMs,
    steps,
    ...(await shapeCosts(probe)),
    samplingUs: await samplingCosts(probe),
  };
  await backend.close();
  bare.release();
  return costs;
}

/** Steps of the backend as promises with their times. */
class Probe {
  readonly backend: CpuBackend;
  #position = 0;

  constructor(backend: CpuBackend) {
    this.backend = backend;
  }

  /** Puts a context of zeros under the seats; costs attention as much as any other. */
  async seat(slots: readonly number[], tokens: number): Promise<void> {
    const blocks = new Array<number>(tokens / blockSize).fill(0);
    for (const slot of slots) {
      this.backend.releaseSlot(replica, slot);
      await this.step({ restores: [{ slot, position: 0, blocks }], rows: decodeRows([slot], tokens) });
    }
    this.#position = tokens;
  }

  decode(slots: readonly number[], sampling: Partial<SamplingParams> = {}) {
    return this.step({ rows: decodeRows(slots, this.#position, sampling) });
  }

  step(plan: Partial<StepPlan> & Pick<StepPlan, 'rows'>) {
    const startMs = performance.now();
    return new Promise<{ wallUs: number; deviceUs: number; rows: readonly RowOutcome[] }>(
      (resolve, reject) => {
        this.backend.step({ replica, restores: [], saves: [], ...plan }, (outcome) => {
          const wallUs = 1000 * (performance.now() - startMs);
          if (outcome.ok) resolve({ wallUs, deviceUs: 1000 * outcome.deviceMs, rows: outcome.rows });
          else reject(new Error(outcome.failure.message));
        });
      },
    );
  }
}

function decodeRows(slots: readonly number[], position: number, sampling: Partial<SamplingParams> = {}) {
  return slots.map((slot) =>
    rowOf({
      slot,
      position,
      tokens: [100 + slot],
      sampling: { ...greedy, ...sampling },
      promptCount: position,
    }),
  );
}

function openBare(graph: BuiltGraph, sizes: { slotTokensMax: number; threadCount: number }) {
  const { slotTokensMax, threadCount: intraOpThreads } = sizes;
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads, spinning: true });
  const bindings = openBindings(graph, session, { slotCount, slotTokensMax });
  return {
    decode(batch: number): number {
      bindings.inputIds.fill(100, 0, batch);
      bindings.seqlensK.fill(contextTokens, 0, batch);
      bindings.totalSequenceLength[0] = contextTokens + 1;
      for (let row = 0; row < batch; row++) bindings.logitRows[row] = row;
      const binding = bindings.get({ slotStart: 0, slotCount: batch, tokenCount: 1, logitRowCount: batch });
      const startMs = performance.now();
      binding.run();
      return 1000 * (performance.now() - startMs);
    },
    release: () => session.release(),
  };
}

/** Bare and backend in turn, round by round, so that a change of the machine's speed meets both. */
async function stepTimes(probe: Probe, bare: ReturnType<typeof openBare>, batch: number): Promise<StepTimes> {
  const slots = Array.from({ length: batch }, (_, slot) => slot);
  await probe.seat(slots, contextTokens);
  const bareUs: number[] = [];
  const deviceUs: number[] = [];
  const backendUs: number[] = [];
  for (let round = -2; round < roundsCount; round++) {
    for (let i = 0; i < stepsPerRound; i++) {
      const us = bare.decode(batch);
      if (round >= 0) bareUs.push(us);
    }
    for (let i = 0; i < stepsPerRound; i++) {
      const step = await probe.decode(slots);
      if (round < 0) continue; // warm-up
      backendUs.push(step.wallUs);
      deviceUs.push(step.deviceUs);
    }
  }
  const bareUsP10 = quantile(bareUs, 0.1);
  const backendUsP10 = quantile(backendUs, 0.1);
  return {
    batch,
    bareUsP10,
    deviceUsP10: quantile(deviceUs, 0.1),
    backendUsP10,
    addedUsP10: backendUsP10 - bareUsP10,
    bareUsP50: quantile(bareUs, 0.5),
    backendUsP50: quantile(backendUs, 0.5),
  };
}

async function shapeCosts(probe: Probe) {
  const range = (count: number) => Array.from({ length: count }, (_, slot) => slot);
  await probe.seat(range(8), blockSize);
  const short = await deviceP10(probe, [0]);
  const rowUs = ((await deviceP10(probe, range(8))) - short) / 7;
  await probe.seat([0], longContextTokens);
  const long = await deviceP10(probe, [0]);
  const attendedTokenUs = (long - short) / (longContextTokens - blockSize);

  await probe.seat([0], contextTokens);
  const one = await deviceP10(probe, [0]);
  const blocks = range(contextTokens / blockSize).map((block) => 1 + block);
  const restores = [{ slot: 0, position: 0, blocks }];
  const restored: number[] = [];
  for (let i = 0; i < probeSteps; i++) {
    restored.push((await probe.step({ restores, rows: decodeRows([0], contextTokens) })).deviceUs);
  }
  const restoreUsPerBlock = (quantile(restored, 0.1) - one) / blocks.length;

  const fresh: number[] = [];
  for (let n = 3; n < 23; n++) {
    const row = rowOf({ slot: 9, position: 0, tokens: new Int32Array(n) });
    const first = await probe.step({ rows: [row] });
    const second = await probe.step({ rows: [row] });
    fresh.push(first.deviceUs - second.deviceUs);
  }
  return {
    rowUs,
    runUs: short - rowUs,
    attendedTokenUs,
    restoreUsPerBlock,
    freshShapeUs: quantile(fresh, 0.5),
  };
}

async function samplingCosts(probe: Probe) {
  await probe.seat([0], contextTokens);
  const settings: readonly (readonly [string, Partial<SamplingParams>])[] = [
    ['temperature 0.8', { temperature: 0.8 }],
    ['temperature 0.8, top_p 0.95', { temperature: 0.8, topP: 0.95 }],
    ['top_k 40', { temperature: 0.8, topK: 40 }],
    ['logit bias, greedy', { logitBias: new Map([[1, 1]]) }],
    ['logit bias, temperature 0.8', { temperature: 0.8, logitBias: new Map([[1, 1]]) }],
    ['20 logprobs, greedy', { logprobs: 20 }],
  ];
  const results: { name: string; addedUs: number }[] = [];
  for (const [name, setting] of settings) {
    const plain: number[] = [];
    const sampled: number[] = [];
    for (let i = 0; i < probeSteps; i++) {
      plain.push((await probe.decode([0])).deviceUs);
      sampled.push((await probe.decode([0], { ...setting, seed: i })).deviceUs);
    }
    results.push({ name, addedUs: quantile(sampled, 0.1) - quantile(plain, 0.1) });
  }
  return results;
}

async function deviceP10(probe: Probe, slots: readonly number[]): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < probeSteps; i++) times.push((await probe.decode(slots)).deviceUs);
  return quantile(times, 0.1);
}

function timeIntegerLoop(): number {
  const startMs = performance.now();
  let sum = 0;
  for (let i = 0; i < 3e8; i++) sum = (sum + i) | 0;
  return performance.now() - startMs + (sum === 1 ? 1 : 0);
}

function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(share * values.length)]!;
}

if (import.meta.filename === argv[1]) {
  const [model = 'spark-nano', precision = 'w8a8', threads = '1'] = argv.slice(2);
  const costs = await backendBench({
    model,
    precision: precision as Precision,
    threadCount: Number(threads),
  });
  printBackendCosts(costs);
}

/** Tables for people. */
export function printBackendCosts({ steps, samplingUs, options, ...others }: BackendCosts): void {
  console.log(options);
  console.table(steps.map((row) => rounded({ ...row })));
  console.table(rounded(others));
  console.table(samplingUs.map(({ name, addedUs }) => ({ name, addedUs: Math.round(addedUs) })));
}

function rounded(row: Readonly<Record<string, number>>) {
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Number(value.toPrecision(3))]));
}
