// Validate: every published row next to what the simulated devices say, with its status and error, and the goals.
// Wafer regions come from the latency model, everything else from the engine on a virtual clock.
import { namedShape } from '../../kernels/sim/catalogue.ts';
import { planDefaults, planSimDevice } from '../../kernels/sim/device.ts';
import { draftTokensDefault } from '../../kernels/sim/drafts.ts';
import { loadRate, loadSetup } from '../../kernels/sim/fit/gpu-fit.ts';
import { type LoadRow, tensor } from '../../kernels/sim/fit/load-row.ts';
import { ENGINE_ROWS, LOAD_ROWS } from '../../kernels/sim/fit/load-rows.ts';
import { requestsAtMaxLoad, sequencesAtMaxLoad } from '../../kernels/sim/fit/max-load.ts';
import { DENSE_2026_ROWS, MIXTURE_ROWS } from '../../kernels/sim/fit/mixture-rows.ts';
import { otherRate, otherSetup } from '../../kernels/sim/fit/other-fit.ts';
import { OTHER_SERVICE_ROWS, type OtherServiceRow } from '../../kernels/sim/fit/other-rows.ts';
import {
  contextSlowdownRow,
  NIM_ROWS,
  type NimRow,
  type RowStatus,
  VLLM_ROW,
  WAFER_DECODE_ROWS,
  WAFER_PREFILL_ROWS,
  WAFER_SERVICE_ROWS,
  type WaferServiceRow,
} from '../../kernels/sim/fit/published.ts';
import { regionDecodeRate, regionPrefillRate } from '../../kernels/sim/fit/wafer-fit.ts';
import { nimHostMs, vllmHostMs } from '../../kernels/sim/gpu/host.ts';
import type { SimPrecision } from '../../kernels/sim/precision.ts';
import { table } from '../show/text-table.ts';
import { median } from '../statistics/median.ts';
import { burstLoad, closedLoad, poissonLoad } from './load.ts';
import { type SimulationOptions, simulate } from './simulation.ts';
import { familyOf, type Likeness, spreadOf } from './trust.ts';

export interface ValidationRow {
  readonly group: string;
  readonly what: string;
  readonly unit: string;
  readonly published: number;
  readonly predicted: number;
  readonly status: RowStatus;
  readonly like: Likeness | null; // predictions that this row speaks for; null: none
  readonly chipCount: number;
  readonly promptTokens: number;
  readonly model: string;
  readonly answerTokens: number; // 0: not stated
  readonly userCount: number; // at once; 0: one, or as many as fit
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
  maxLoad: 'TensorRT-LLM 1.0 fp8, maximum load, through the engine',
  load: 'TensorRT-LLM 1.0 and 0.17, maximum load (in closed form)',
  nim: 'NIM 1.8 fp8, Llama-3.3-70B on h100x2, Llama-3.1-8B on h100',
  vllm: 'vLLM 0.15.1, Llama-3.1-8B fp16 on h100, 547/248 at 8 requests/s',
  mixture: 'TensorRT-LLM 1.2, maximum load, mixtures of experts (in closed form)',
  dense2026: 'TensorRT-LLM 1.2, maximum load, Llama-3.3-70B (in closed form)',
  service: 'Services on WSE-3, one user',
  other: 'Services on Groq’s LPU and SambaNova’s SN40L, one user',
};

const looseSlo = { ttftMsMax: 1e9, tpotMsMax: 1e9 };
const seed = 1;

export function errorOf(row: ValidationRow): number {
  return row.predicted / row.published - 1;
}

/** All rows; takes about a minute of one core. `onProgress` is told of each group. */
export function validationRows(onProgress: (group: string) => void): ValidationRow[] {
  const make: Readonly<Record<keyof typeof groups, (group: string) => ValidationRow[]>> = {
    waferDecode: (group) =>
      WAFER_DECODE_ROWS.map((row) => ({
        ...{ group, what: `${row.model} on ${row.edge}²`, unit: 'tok/s', status: row.status },
        ...{ published: row.tokensPerSecond, predicted: regionDecodeRate(row.model, row.edge) },
        ...{ ...regionLike, model: row.model },
      })),
    waferPrefill: (group) =>
      WAFER_PREFILL_ROWS.map((row) => ({
        ...{ group, what: `${row.model} on ${row.edge}²`, unit: 'tok/s', status: row.status },
        ...{ published: row.tokensPerSecond, predicted: regionPrefillRate(row.model, row.edge) },
        ...{ ...regionLike, model: row.model },
      })),
    maxLoad: (group) => ENGINE_ROWS.map((row) => engineRow(group, row)),
    load: (group) => LOAD_ROWS.map((row) => loadRow(group, row)),
    nim: (group) => NIM_ROWS.flatMap((row) => nimRows(group, row)),
    vllm: vllmRows,
    mixture: (group) => MIXTURE_ROWS.map((row) => loadRow(group, row)),
    dense2026: (group) => DENSE_2026_ROWS.map((row) => loadRow(group, row)),
    service: serviceRows,
    other: (group) => OTHER_SERVICE_ROWS.map((row) => otherRow(group, row)),
  };
  const keys = Object.keys(groups) as (keyof typeof groups)[];
  return keys.flatMap((key) => {
    onProgress(groups[key]);
    return make[key](groups[key]);
  });
}

const regionLike = {
  like: { family: 'dense', chip: 'wse2', precision: 'fp16', sharding: 'wafer', regime: 'region' },
  ...{ chipCount: 1, promptTokens: 0, answerTokens: 0, userCount: 0 },
} as const;

// In closed form: thousands of requests of thousands of tokens, hundreds of times, would take the engine an hour.
function loadRow(group: string, row: LoadRow): ValidationRow {
  const { model, chip, gpuCount, stageCount, precision, sharding, isl, osl } = row;
  const stages = stageCount === 1 ? '' : ` PP${stageCount}`;
  const spread =
    gpuCount === 1 ? chip : `${chip}x${gpuCount} ${sharding === 'expert' ? 'DEP' : 'TP'}${stages}`;
  const family = familyOf(namedShape(model));
  return {
    ...{ group, what: `${model} ${precision} ${isl}/${osl} on ${spread}`, unit: 'tok/s of a GPU' },
    ...{ published: row.tokensPerSecondPerGpu, predicted: loadRate(row), status: row.status },
    like: { family, chip, precision, sharding: spreadOf(sharding, stageCount), regime: 'load' },
    ...{ chipCount: gpuCount, promptTokens: isl, model, answerTokens: osl, userCount: 0 },
  };
}

// The same through the engine, which never splits a chunk of a prompt, where the runtime does.
function engineRow(group: string, row: LoadRow): ValidationRow {
  const { model, chip, gpuCount, precision, isl } = row;
  const sequencesMax = sequencesAtMaxLoad(loadSetup(row), row);
  const device = planSimDevice({
    ...{ device: chip, count: gpuCount, shape: namedShape(model), precision, sequencesMax },
    chunkTokens: Math.max(chunkTokensMin, isl),
  });
  const { tally, elapsedMs } = run({ device, load: burstLoad(row, requestsAtMaxLoad(row)) });
  return { ...loadRow(group, row), predicted: (tally.outputTokens / elapsedMs / gpuCount) * 1000 };
}

const chunkTokensMin = 8192; // TensorRT-LLM's default max_num_tokens

const usersLike = { family: 'dense', chip: 'h100', sharding: 'tensor', regime: 'users' } as const;

function nimRows(group: string, row: NimRow): ValidationRow[] {
  const { userCount, model, gpuCount, isl, osl, status } = row;
  const setup = loadSetup(tensor(model, 'h100', gpuCount, 'fp8'));
  const device = planSimDevice({
    ...{ device: 'h100', count: gpuCount, shape: namedShape(model), precision: 'fp8' },
    sequencesMax: Math.min(userCount, sequencesAtMaxLoad(setup, row)),
  });
  const load = closedLoad(row, { userCount, turnCount: Number.POSITIVE_INFINITY, seed, inStep: true });
  const countedRequests = Math.max(8, 4 * userCount);
  const { tally, elapsedMs } = run({
    ...{ device, load, warmupRequests: userCount, countedRequests, hostMs: nimHostMs },
  });
  // More than one user of the 8B meet the stack's own limit of 13,000 tokens a second, which is not modelled.
  const isOfEngine = model !== 'llama-3.1-8b' || userCount === 1;
  const like = isOfEngine ? ({ ...usersLike, precision: 'fp8' } as const) : null;
  const lengths = { promptTokens: isl, answerTokens: osl };
  const common = { group, like, chipCount: gpuCount, ...lengths, model, userCount } as const;
  const judged = isOfEngine ? status : 'extrapolated';
  const size = model.split('-').at(-1)!.toUpperCase();
  const users = `${size} ${isl}/${osl}, ${userCount} user${userCount === 1 ? '' : 's'}`;
  const ttftStatus = !isOfEngine ? 'extrapolated' : model === 'llama-3.1-8b' ? 'calibrated' : 'validated';
  return [
    {
      ...{ ...common, what: `${users}, TTFT`, unit: 'ms', published: row.ttftMs },
      ...{ predicted: tally.ttft.meanMs!, status: ttftStatus },
    },
    {
      ...{ ...common, what: `${users}, ITL`, unit: 'ms', published: row.itlMs },
      ...{ predicted: tally.itl.meanMs!, status: judged },
    },
    {
      ...{ ...common, what: `${users}, throughput`, unit: 'tok/s', published: row.tokensPerSecond },
      ...{ predicted: (tally.outputTokens / elapsedMs) * 1000, status: judged },
    },
  ];
}

function vllmRows(group: string): ValidationRow[] {
  const { sequencesMax, chunkTokens, perSecond, requestCount } = VLLM_ROW;
  const model = 'llama-3.1-8b';
  const shape = namedShape(model);
  const device = planSimDevice({ device: 'h100', shape, precision: 'fp16', sequencesMax, chunkTokens });
  const load = poissonLoad(VLLM_ROW, { perSecond, requestCount, seed });
  const { tally } = run({ device, load, hostMs: vllmHostMs });
  const like = { ...usersLike, precision: 'fp16' } as const;
  const lengths = { promptTokens: VLLM_ROW.isl, answerTokens: VLLM_ROW.osl };
  const known = { like, chipCount: 1, ...lengths, model, userCount: tally.runningMax };
  const common = { group, unit: 'ms', status: 'validated', ...known } as const;
  return [
    { ...common, what: 'TTFT', published: VLLM_ROW.ttftMs, predicted: tally.ttft.meanMs! },
    { ...common, what: 'ITL', published: VLLM_ROW.itlMs, predicted: tally.itl.meanMs! },
  ];
}

function serviceRows(group: string): ValidationRow[] {
  const rows = WAFER_SERVICE_ROWS.map((row): ValidationRow => {
    const { model, contextTokens, acceptance, usersPlanned, note, tokensPerSecond, status } = row;
    const { rate, name, precision } = serviceRate(row, contextTokens);
    const drafts = acceptance === null ? 'no drafts' : `drafts ${acceptance * 100} % right`;
    const users = Number.isFinite(usersPlanned) ? `${usersPlanned} user planned` : 'many planned';
    return {
      ...{ group, what: `${model} at ${contextTokens} on ${name}, ${users}, ${drafts} (${note})` },
      ...{ unit: 'tok/s', published: tokensPerSecond, predicted: rate, status },
      like: speaksFor(acceptance, {
        ...{ family: familyOf(namedShape(model)), chip: 'wse3', precision },
        ...({ sharding: 'wafer', regime: 'one user' } as const),
      }),
      ...{ chipCount: 64, promptTokens: contextTokens, model, answerTokens: 0, userCount: 0 },
    };
  });
  const { model, shortTokens, longTokens, ratio } = contextSlowdownRow;
  const row = { model, wafers: null, usersPlanned: Number.POSITIVE_INFINITY, acceptance: null };
  const predicted = serviceRate(row, longTokens).rate / serviceRate(row, shortTokens).rate;
  const what = `${model}: rate at ${longTokens} over rate at ${shortTokens} tokens`;
  const last = { group, what, unit: '', published: ratio, predicted, status: 'extrapolated' } as const;
  const known = { chipCount: 1, promptTokens: longTokens, model, answerTokens: 0, userCount: 0 };
  return [...rows, { ...last, like: null, ...known }];
}

function otherRow(group: string, row: OtherServiceRow): ValidationRow {
  const { chip, model, precision, acceptance, note, tokensPerSecond, status } = row;
  const { gpuCount, stageCount = 1 } = otherSetup(row);
  const drafts = acceptance === null ? '' : `, drafts ${acceptance * 100} % right`;
  const what = `${model} ${precision} on ${chip}x${gpuCount} in ${stageCount} stages${drafts} (${note})`;
  const sharding = spreadOf('tensor', stageCount);
  return {
    ...{ group, what, unit: 'tok/s', published: tokensPerSecond, predicted: otherRate(row), status },
    like: speaksFor(acceptance, {
      ...{ family: familyOf(namedShape(model)), chip, precision },
      ...({ sharding, regime: 'one user' } as const),
    }),
    ...{ chipCount: gpuCount, promptTokens: 1024, model, answerTokens: 0, userCount: 0 },
  };
}

// How many guesses were right was assumed: such a row speaks for nothing.
function speaksFor(acceptance: number | null, like: Likeness): Likeness | null {
  return acceptance === null ? like : null;
}

// gpt-oss is published in MXFP4, the others in 16 bits.
function serviceRate(
  row: Pick<WaferServiceRow, 'model' | 'wafers' | 'usersPlanned' | 'acceptance'>,
  contextTokens: number,
): { readonly rate: number; readonly name: string; readonly precision: SimPrecision } {
  const { model, wafers, usersPlanned, acceptance } = row;
  const precision = model.startsWith('gpt-oss') ? 'mxfp4' : 'fp16';
  const device = planSimDevice({
    ...{ device: 'wse3', shape: namedShape(model), precision },
    ...(wafers !== null && { count: wafers }),
    ...(acceptance !== null && { drafts: { acceptance, tokensMax: draftTokensDefault } }),
    demand: { userCount: usersPlanned, ...planDefaults },
  });
  if (device.kind !== 'wafer') throw new Error(`${device.name} is no wafer`);
  return { rate: 1000 / device.stageTimes().tokenMs(contextTokens), name: device.name, precision };
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
  const ofFamily = (family: Likeness['family']) => (row: ValidationRow) =>
    row.status === 'validated' && row.like?.family === family;
  const latency = (unit: string) => (row: ValidationRow) =>
    row.status === 'validated' &&
    (row.group === groups.vllm || (row.group === groups.nim && / (1|25|50) users?,/.test(row.what))) &&
    row.what.endsWith(unit);
  return [
    goal('wafer decode, worst row not fitted', 0.05, Math.max(...errors(heldOut(groups.waferDecode)))),
    goal('dense models, median of all rows not fitted', 0.05, medianOf(errors(ofFamily('dense')))),
    goal('mixtures of experts, median of rows not fitted', 0.12, medianOf(errors(ofFamily('mixture')))),
    goal('mixtures of experts, worst row not fitted', 0.35, Math.max(...errors(ofFamily('mixture')))),
    goal(
      'fp4 (NVFP4, MXFP4), median of rows not fitted',
      0.12,
      medianOf(errors((row) => row.status === 'validated' && / (nv|mx)fp4 /.test(row.what))),
    ),
    goal('TTFT of vLLM and NIM (1, 25, 50 users), worst row', 0.15, Math.max(...errors(latency('TTFT')))),
    goal(
      'services on WSE-3, one user with the stated plan, worst row',
      0.15,
      Math.max(...errors((row) => row.group === groups.service && row.status !== 'disputed')),
    ),
    goal('ITL of vLLM and NIM (1, 25, 50 users), worst row', 0.1, Math.max(...errors(latency('ITL')))),
  ];
}

function medianOf(errors: readonly number[]): number {
  return median(errors) ?? Number.NaN;
}

function goal(what: string, errorMax: number, error: number): ValidationGoal {
  return { what, errorMax, error, met: error <= errorMax };
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
      `${status}: ${errors.length} rows, median error ${percent(medianOf(errors)).slice(1)}, worst ${percent(Math.max(...errors)).slice(1)}`,
    );
  }
  lines.push(
    'disputed rows are contradicted by other published figures of the same machine, and not judged (docs/lab/simulation.md)',
    'services: what is planned and speculated is assumed, as each row says; 80 and 70 % were chosen so that the rows marked calibrated come out',
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
