// `sparklane measure-device`: this machine's own kernels, timed, as a file for --device. Decoders of random weights run on the engine that
// serves; solve.ts tells their times apart. Owns the backends it opens, one at a time. Before it: machine-command.ts.
import type { Backend } from '../../../kernels/backend.ts';
import type { Clock } from '../../../kernels/clock.ts';
import { buildGraph } from '../../../models/graph/build.ts';
import type { MeasuredFile } from '../chip-file.ts';
import { type ProbeSizes, probeCheckpoint, probeLayerWeights } from './probe-model.ts';
import { keyOf, type TimedStep, type TimesByStep, timeSteps } from './probe-run.ts';
import { type ProbeAxes, type ProbeSet, solve } from './solve.ts';

export interface MeasureOptions {
  readonly format: 'int8' | 'int4';
  readonly threads: number;
  readonly seconds: number; // all of it, building apart
  readonly machine: string; // for people
  readonly memoryBytes: number;
  readonly cacheDirectory: string;
  readonly clock: Clock;
  readonly onProgress: (what: string) => void;
  readonly plan?: MeasurePlan; // default: measurePlan
}

/** Which decoders run, and which of their steps. */
export interface MeasurePlan {
  readonly probes: ProbeSet;
  readonly axes: ProbeAxes;
}

// The narrow width is SmolLM2-135M's. Deep and wide hold 100 and 75 million weights: more than caches do, as served models.
export const measurePlan: MeasurePlan = {
  probes: {
    shallow: { layerCount: 2, hiddenSize: 576, ffnSize: 1536 },
    deep: { layerCount: 30, hiddenSize: 576, ffnSize: 1536 },
    wide: { layerCount: 3, hiddenSize: 1536, ffnSize: 4096 },
  },
  axes: { tokens: [1, 2, 4, 8, 16, 32, 64, 128], rows: [1, 8], nearTokens: 128, farTokens: 1024 },
};
const blockSize = 16;

// Shares of the time: the deep probe tells most.
const shares = { shallow: 0.1, deep: 0.5, wide: 0.25, fewer: 0.15 };

/** Rejects with OrtError, or when a step fails. */
export async function measureMachine(options: MeasureOptions): Promise<MeasuredFile> {
  const { threads, seconds, format, onProgress, plan = measurePlan } = options;
  const { probes, axes } = plan;
  const one = { rowCount: 1, tokenCount: 1, contextTokens: axes.nearTokens };
  const run = async (name: keyof ProbeSet): Promise<TimesByStep> => {
    onProgress(`${name} probe, ${threads} threads`);
    return timed(options, probes[name], threads, { steps: stepsOf(name, axes), share: shares[name] });
  };
  const times = { shallow: await run('shallow'), deep: await run('deep'), wide: await run('wide') };
  const byThread = [];
  const fewer = threadCounts(threads);
  for (const count of fewer) {
    onProgress(`wide probe, ${count} thread${count === 1 ? '' : 's'}`);
    const steps = [one, { ...one, tokenCount: axes.tokens.at(-1)! }];
    const share = shares.fewer / fewer.length;
    byThread.push(rates(plan, count, await timed(options, probes.wide, count, { steps, share }), format));
  }
  byThread.push(rates(plan, threads, times.wide, format));
  const solved = solve(probes, times, axes);
  return {
    ...{ kind: 'measured', machine: options.machine, measured_seconds: seconds },
    memory_gb: round(options.memoryBytes / 1e9),
    by_thread: byThread,
    ...{ format, threads, tokens: [...axes.tokens], weight_ps: solved.weightPs.map(round) },
    ...{
      layer_us: solved.layerUs.map(round),
      step_us: solved.stepUs.map(round),
      row_us: round(solved.rowUs),
    },
    ...{ context_tokens: axes.nearTokens, rows: [...axes.rows] },
    ...{ decode_ps: solved.decodePs.map(round), prompt_ps: round(solved.promptPs) },
  };
}

function stepsOf(name: keyof ProbeSet, axes: ProbeAxes): TimedStep[] {
  const one = { rowCount: 1, tokenCount: 1, contextTokens: axes.nearTokens };
  const near = axes.tokens.map((tokenCount) => ({ ...one, tokenCount }));
  if (name !== 'deep') return near;
  const rows = axes.rows.filter((rowCount) => rowCount > 1);
  const nearRows = rows.map((rowCount) => ({ ...one, rowCount }));
  const far = axes.rows.map((rowCount) => ({ ...one, rowCount, contextTokens: axes.farTokens }));
  return [
    ...near,
    ...nearRows,
    ...far,
    { rowCount: 1, tokenCount: axes.tokens.at(-1)!, contextTokens: axes.farTokens },
  ];
}

// 1, 2, 4, … below all of them.
function threadCounts(threads: number): number[] {
  const counts = [];
  for (let count = 1; count < threads; count *= 2) counts.push(count);
  return counts;
}

function rates(
  { probes: { wide }, axes }: MeasurePlan,
  threads: number,
  times: TimesByStep,
  format: MeasureOptions['format'],
): MeasuredFile['by_thread'][0] {
  const weights = wide.layerCount * probeLayerWeights(wide);
  const one = { rowCount: 1, tokenCount: 1, contextTokens: axes.nearTokens };
  const prompt = { ...one, tokenCount: axes.tokens.at(-1)! };
  const bytes = { int8: 1.125, int4: 0.5625 }[format];
  const oneMs = times.get(keyOf(one))!;
  const promptMs = times.get(keyOf(prompt))!;
  return {
    threads,
    weights_gb_per_second: round((weights * bytes) / oneMs / 1e6),
    gflops: round((2 * weights * prompt.tokenCount) / promptMs / 1e6),
  };
}

async function timed(
  options: MeasureOptions,
  sizes: ProbeSizes,
  threads: number,
  { steps, share }: { readonly steps: readonly TimedStep[]; readonly share: number },
): Promise<TimesByStep> {
  const { format, cacheDirectory, clock, seconds, plan = measurePlan } = options;
  // Loaded only here: whoever predicts needs no native library.
  const { nativeLibraryPath } = await import('../../../kernels/onnx/own-library.ts');
  const ownKernels = nativeLibraryPath() !== null; // as the server has it
  const graph = await buildGraph(probeCheckpoint(sizes), { precision: format, cacheDirectory, ownKernels });
  const backend = await openProbe(graph, threads, { clock, axes: plan.axes });
  try {
    return await timeSteps(backend, steps, { nowMs: () => clock.nowMs(), budgetMs: share * seconds * 1000 });
  } finally {
    await backend.close();
  }
}

async function openProbe(
  graph: Awaited<ReturnType<typeof buildGraph>>,
  threadCount: number,
  { clock, axes }: { readonly clock: Clock; readonly axes: ProbeAxes },
): Promise<Backend> {
  const { createCpuBackend } = await import('../../../kernels/onnx/backend.ts');
  const rowTokensMax = axes.tokens.at(-1)!;
  const slotCount = axes.rows.at(-1)!;
  const slotTokensMax = axes.farTokens + 2 * rowTokensMax;
  return createCpuBackend({
    ...{ graph, int8Kv: null, threadCount, clock, runtime: 'auto', spinning: true },
    sizes: {
      ...{ replicaCount: 1, slotCount, slotTokensMax, blockSize, blockCount: slotTokensMax / blockSize },
      ...{ rowTokensMax, stepTokensMax: rowTokensMax + slotCount, sampleCountMax: 1, roundsMax: 8 },
      judgedTokensMax: rowTokensMax,
    },
    ...{ stepTimeoutMs: 120_000, openTimeoutMs: 120_000, tellIntervalMs: 0 },
    log: { info: () => undefined, warn: () => undefined },
  });
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
