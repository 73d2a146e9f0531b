// Validate: every published row next to what the simulated devices say, with its status and error, and the goals.
// Wafer regions come from the latency model, everything else from the engine on a virtual clock.
import { planSimDevice } from '../../kernels/sim/device.ts';
import { sequencesAtMaxLoad, setupOf } from '../../kernels/sim/fit/gpu-fit.ts';
import {
  contextSlowdownRow,
  MAX_LOAD_ROWS,
  type MaxLoadRow,
  NIM_ROWS,
  nimLengths,
  type RowStatus,
  VLLM_ROW,
  WAFER_DECODE_ROWS,
  WAFER_PREFILL_ROWS,
  WAFER_SERVICE_ROWS,
} from '../../kernels/sim/fit/published.ts';
import { regionDecodeRate, regionPrefillRate } from '../../kernels/sim/fit/wafer-fit.ts';
import { publishedHostMs } from '../../kernels/sim/gpu/host.ts';
import { namedShape } from '../../kernels/sim/shapes.ts';
import { closedLoad, poissonLoad } from './load.ts';
import { type SimulationOptions, simulate } from './simulation.ts';
import { table } from './table.ts';

export interface ValidationRow {
  readonly group: string;
  readonly what: string;
  readonly unit: string;
  readonly published: number;
  readonly predicted: number;
  readonly status: RowStatus;
}

export interface ValidationGoal {
  readonly what: string;
  readonly errorMax: number; // share
  readonly error: number; // share, worst or median as `what` says
  readonly met: boolean;
}

const groups = {
  waferDecode: 'WaferLLM on WSE-2, decode',
  waferPrefill: 'WaferLLM on WSE-2, prefill 4096',
  maxLoad: 'TensorRT-LLM v1.0 fp8, maximum load',
  nim: 'NIM 1.8, Llama-3.3-70B fp8 on h100x2, 5000/500',
  vllm: 'vLLM 0.15.1, Llama-3.1-8B fp16 on h100, 547/248 at 8 requests/s',
  service: 'Services on WSE-3, one user',
};

const looseSlo = { ttftMsMax: 1e9, tpotMsMax: 1e9 };
const seed = 1;

function errorOf(row: ValidationRow): number {
  return row.predicted / row.published - 1;
}

/** All rows; takes about a minute of one core. `onProgress` is told of each group. */
export function validationRows(onProgress: (group: string) => void): ValidationRow[] {
  const make: Readonly<Record<keyof typeof groups, (group: string) => ValidationRow[]>> = {
    waferDecode: (group) =>
      WAFER_DECODE_ROWS.map((row) => ({
        ...{ group, what: `${row.model} on ${row.edge}²`, unit: 'tok/s', status: row.status },
        ...{ published: row.tokensPerSecond, predicted: regionDecodeRate(row.model, row.edge) },
      })),
    waferPrefill: (group) =>
      WAFER_PREFILL_ROWS.map((row) => ({
        ...{ group, what: `${row.model} on ${row.edge}²`, unit: 'tok/s', status: row.status },
        ...{ published: row.tokensPerSecond, predicted: regionPrefillRate(row.model, row.edge) },
      })),
    maxLoad: (group) => MAX_LOAD_ROWS.map((row) => maxLoadRow(group, row)),
    nim: (group) => NIM_ROWS.flatMap((row) => nimRows(group, row)),
    vllm: vllmRows,
    service: serviceRows,
  };
  const keys = Object.keys(groups) as (keyof typeof groups)[];
  return keys.flatMap((key) => {
    onProgress(groups[key]);
    return make[key](groups[key]);
  });
}

function maxLoadRow(group: string, row: MaxLoadRow): ValidationRow {
  const { isl, osl, model, chip, gpuCount } = row;
  const userCount = sequencesAtMaxLoad(setupOf(row), row);
  const device = planSimDevice({
    ...{ device: chip, count: gpuCount, shape: namedShape(model), precision: 'fp8', sequencesMax: userCount },
    chunkTokens: Math.max(chunkTokensMin, isl), // the engine never splits a chunk, the runtime does
  });
  const load = closedLoad(
    { isl, osl },
    { userCount, turnCount: Number.POSITIVE_INFINITY, seed, inStep: false },
  );
  const { tally, elapsedMs } = run({ device, load, warmupRequests: userCount, countedRequests: userCount });
  const predicted = (tally.outputTokens / elapsedMs) * 1000;
  const what = `${model} ${isl}/${osl} on ${device.name}`;
  return { group, what, unit: 'tok/s', published: row.tokensPerSecond, predicted, status: row.status };
}

const chunkTokensMin = 8192; // TensorRT-LLM's default max_num_tokens

function nimRows(group: string, row: (typeof NIM_ROWS)[number]): ValidationRow[] {
  const { userCount } = row;
  const device = planSimDevice({
    ...{
      device: 'h100',
      count: 2,
      shape: namedShape('llama-3.1-70b'),
      precision: 'fp8',
      sequencesMax: userCount,
    },
  });
  const load = closedLoad(nimLengths, { userCount, turnCount: Number.POSITIVE_INFINITY, seed, inStep: true });
  const countedRequests = Math.max(8, 4 * userCount);
  const { tally, elapsedMs } = run({
    ...{ device, load, warmupRequests: userCount, countedRequests, hostMs: publishedHostMs },
  });
  const common = { group, status: 'validated' } as const;
  const users = `${userCount} user${userCount === 1 ? '' : 's'}`;
  return [
    { ...common, what: `${users}, TTFT`, unit: 'ms', published: row.ttftMs, predicted: tally.ttft.meanMs! },
    { ...common, what: `${users}, ITL`, unit: 'ms', published: row.itlMs, predicted: tally.itl.meanMs! },
    {
      ...{ ...common, what: `${users}, throughput`, unit: 'tok/s', published: row.tokensPerSecond },
      predicted: (tally.outputTokens / elapsedMs) * 1000,
    },
  ];
}

function vllmRows(group: string): ValidationRow[] {
  const { sequencesMax, chunkTokens, perSecond, requestCount } = VLLM_ROW;
  const shape = namedShape('llama-3.1-8b');
  const device = planSimDevice({ device: 'h100', shape, precision: 'fp16', sequencesMax, chunkTokens });
  const load = poissonLoad(VLLM_ROW, { perSecond, requestCount, seed });
  const { tally } = run({ device, load, hostMs: publishedHostMs });
  const common = { group, unit: 'ms', status: 'validated' } as const;
  return [
    { ...common, what: 'TTFT', published: VLLM_ROW.ttftMs, predicted: tally.ttft.meanMs! },
    { ...common, what: 'ITL', published: VLLM_ROW.itlMs, predicted: tally.itl.meanMs! },
  ];
}

function serviceRows(group: string): ValidationRow[] {
  const rateOf = (
    model: string,
    wafers: number | null,
    contextTokens: number,
  ): { rate: number; name: string } => {
    // gpt-oss is published in 4 bits, the others in 16.
    const precision = model.startsWith('gpt-oss') ? 'int4' : 'fp16';
    const options = { device: 'wse3', shape: namedShape(model), precision } as const;
    const device = planSimDevice(wafers === null ? options : { ...options, count: wafers });
    if (device.kind !== 'wafer') throw new Error(`${device.name} is no wafer`);
    return { rate: 1000 / device.stageTimes().tokenMs(contextTokens), name: device.name };
  };
  const rows = WAFER_SERVICE_ROWS.map((row): ValidationRow => {
    const { rate, name } = rateOf(row.model, row.wafers, row.contextTokens);
    const what = `${row.model} at ${row.contextTokens} tokens on ${name} (${row.note})`;
    return {
      group,
      what,
      unit: 'tok/s',
      published: row.tokensPerSecond,
      predicted: rate,
      status: 'extrapolated',
    };
  });
  const { model, shortTokens, longTokens, ratio } = contextSlowdownRow;
  const predicted = rateOf(model, null, longTokens).rate / rateOf(model, null, shortTokens).rate;
  const what = `${model}: rate at ${longTokens} over rate at ${shortTokens} tokens`;
  return [...rows, { group, what, unit: '', published: ratio, predicted, status: 'extrapolated' }];
}

function run(options: Pick<SimulationOptions, 'device' | 'load'> & Partial<SimulationOptions>) {
  return simulate({
    ...{ slo: looseSlo, hostMs: 0, warmupRequests: 0, countedRequests: Number.POSITIVE_INFINITY },
    ...{ queueLengthMax: 100_000, ...options },
  });
}

/** The goals of the issue. Saturated NIM rows (100 users wait for memory) and 5 users are shown, not judged. */
export function validationGoals(rows: readonly ValidationRow[]): ValidationGoal[] {
  const errors = (filter: (row: ValidationRow) => boolean) =>
    rows.filter(filter).map((row) => Math.abs(errorOf(row)));
  const heldOut = (group: string) => (row: ValidationRow) =>
    row.group === group && row.status === 'validated';
  const latency = (unit: string) => (row: ValidationRow) =>
    (row.group === groups.vllm || (row.group === groups.nim && /^(1|25|50) user/.test(row.what))) &&
    row.what.endsWith(unit);
  return [
    goal('wafer decode, worst row not fitted', 0.05, Math.max(...errors(heldOut(groups.waferDecode)))),
    goal('GPU throughput, median of rows not fitted', 0.1, median(errors(heldOut(groups.maxLoad)))),
    goal('TTFT of vLLM and NIM (1, 25, 50 users), worst row', 0.15, Math.max(...errors(latency('TTFT')))),
    goal('ITL of vLLM and NIM (1, 25, 50 users), worst row', 0.1, Math.max(...errors(latency('ITL')))),
  ];
}

function goal(what: string, errorMax: number, error: number): ValidationGoal {
  return { what, errorMax, error, met: error <= errorMax };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The whole report as text. */
export function formatValidation(rows: readonly ValidationRow[], goals: readonly ValidationGoal[]): string {
  const lines: string[] = [];
  for (const group of Object.values(groups)) {
    const cells = rows
      .filter((row) => row.group === group)
      .map((row) => [
        row.what,
        number(row.published),
        number(row.predicted),
        row.unit,
        percent(errorOf(row)),
        row.status,
      ]);
    lines.push(group, table(['row', 'published', 'simulated', '', 'error', 'status'], cells), '');
  }
  for (const status of ['calibrated', 'validated'] as const) {
    const errors = rows.filter((row) => row.status === status).map((row) => Math.abs(errorOf(row)));
    lines.push(
      `${status}: ${errors.length} rows, median error ${percent(median(errors)).slice(1)}, worst ${percent(Math.max(...errors)).slice(1)}`,
    );
  }
  lines.push(
    'extrapolated rows compare other software (speculation, unpublished kernels and placement): read the ratio, not the error',
  );
  for (const { what, errorMax, error, met } of goals) {
    lines.push(
      `${met ? 'met   ' : 'MISSED'} ${what}: ${(error * 100).toFixed(1)} %, goal ${errorMax * 100} %`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function number(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(4);
}

function percent(share: number): string {
  return `${share < 0 ? '−' : '+'}${Math.abs(share * 100).toFixed(1)} %`;
}
