// Published figures that the simulated devices are held against, and which of them the constants were fitted to.
// Data only, from hardware-facts (sources there). Read by sim/fit/main.ts (calibration rows) and by `validate` (all).

/**
 * calibrated: the fit saw it. validated: it did not, same hardware family. extrapolated: software or chip differ. disputed:
 * published figures of the same machine contradict it; shown, and neither fitted nor judged.
 */
export type RowStatus = 'calibrated' | 'validated' | 'extrapolated' | 'disputed';

/** WaferLLM (OSDI'25), WSE-2, tokens per second of one request; layers only, on one square region of `edge`² cores. */
export interface WaferRegionRow {
  readonly model: string;
  readonly edge: number; // cores
  readonly tokensPerSecond: number;
  readonly status: RowStatus;
}

const decode = (
  model: string,
  status: RowStatus,
  rates: readonly [number, number, number],
): WaferRegionRow[] =>
  [420, 540, 660].map((edge, index) => ({ model, edge, tokensPerSecond: rates[index]!, status }));

export const WAFER_DECODE_ROWS: readonly WaferRegionRow[] = [
  ...decode('llama-3.1-8b', 'calibrated', [2699.9, 2501.5, 2243.3]), // LLaMA3-8B has the same shape
  ...decode('qwen2-72b', 'calibrated', [839.7, 824.3, 787.1]),
  ...decode('llama-2-13b', 'validated', [2039.2, 1899.4, 1739.8]),
];

/** The same for prompts of 4096 tokens. The middle regions were held out of the fit. */
export const prefillTokens = 4096;

const prefill = (model: string, rates: readonly [number, number, number]): WaferRegionRow[] =>
  ([480, 600, 720] as const).map((edge, index) => ({
    model,
    edge,
    tokensPerSecond: rates[index]!,
    status: edge === 600 ? 'validated' : 'calibrated',
  }));

export const WAFER_PREFILL_ROWS: readonly WaferRegionRow[] = [
  ...prefill('llama-3.1-8b', [20320.6, 25037.2, 27686.5]),
  ...prefill('qwen2-72b', [2785.2, 3775.5, 4421.6]),
];

/** NVIDIA NIM 1.8.0 on H100, fp8, `userCount` users in a closed loop. Source: docs.nvidia.com/nim/benchmarking/llm/1.0.0/performance. */
export interface NimRow {
  readonly model: string;
  readonly gpuCount: number;
  readonly isl: number;
  readonly osl: number;
  readonly userCount: number;
  readonly ttftMs: number;
  readonly itlMs: number;
  readonly tokensPerSecond: number;
  readonly status: RowStatus; // of the rate and what is between tokens; its first token was fitted to in no row
}

// Users, TTFT, ITL, tokens/s.
const nim = (
  setup: Pick<NimRow, 'model' | 'gpuCount' | 'isl' | 'osl'>,
  rows: readonly (readonly [number, number, number, number])[],
): NimRow[] =>
  rows.map(([userCount, ttftMs, itlMs, tokensPerSecond]) => {
    const status = userCount === 1 || userCount === 25 ? 'calibrated' : 'validated';
    return { ...setup, userCount, ttftMs, itlMs, tokensPerSecond, status };
  });

// Llama-3.3-70B has the shape of 3.1. The lengths of the 8B's table are those that its figures agree with: TTFT and 199 gaps make
// 200 tokens at the stated rate.
export const NIM_ROWS: readonly NimRow[] = [
  ...nim({ model: 'llama-3.1-70b', gpuCount: 2, isl: 5000, osl: 500 }, [
    [1, 406.77, 18.58, 51.67],
    [5, 546.7, 21.83, 218.48],
    [25, 688.69, 38.75, 623.4],
    [50, 834.51, 59.73, 814.37],
    [100, 7996.25, 92.91, 917.26],
  ]),
  ...nim({ model: 'llama-3.1-70b', gpuCount: 2, isl: 500, osl: 2000 }, [[1, 47.77, 18.91, 52.85]]),
  ...nim({ model: 'llama-3.1-8b', gpuCount: 1, isl: 200, osl: 200 }, [
    [1, 10.26, 4.63, 214.56],
    [5, 16.81, 4.58, 1076.88],
    [25, 36.34, 5.19, 4678.88],
    [50, 67.41, 5.91, 8018.23],
    [100, 119.97, 7.57, 12214.97],
    [150, 346.53, 9.81, 12988.89],
    [200, 465.18, 12.65, 13348.4],
    [250, 605.6, 16.14, 12964.72],
  ]),
];

/** vLLM 0.15.1, one H100, Llama-3.1-8B fp16, the first 300 requests at 8 requests/s. */
export const VLLM_ROW = {
  ...{ isl: 547, osl: 248, perSecond: 8, requestCount: 300, ttftMs: 39.75, itlMs: 8.89 },
  ...{ sequencesMax: 128, chunkTokens: 2048 },
};

/**
 * Services on WSE-3, tokens per second of one user. Wafers, users and speculation are the plan that the figure is held against;
 * only some wafer counts are published. 70B at launch: hardware-facts, section 1; the others: Cerebras' posts and Artificial
 * Analysis, as rows-2026-11 quotes them.
 */
export interface WaferServiceRow {
  readonly model: string;
  readonly wafers: number | null; // null: the fewest that fit
  readonly usersPlanned: number; // Infinity: as many as fit
  readonly acceptance: number | null; // of drafts, assumed; null: no speculation
  readonly contextTokens: number;
  readonly tokensPerSecond: number;
  readonly status: RowStatus;
  readonly note: string;
}

const service = (
  model: string,
  [wafers, usersPlanned, acceptance]: readonly [number | null, number, number | null],
  [contextTokens, tokensPerSecond]: readonly [number, number],
  status: RowStatus,
  note: string,
): WaferServiceRow => {
  return { model, wafers, usersPlanned, acceptance, contextTokens, tokensPerSecond, status, note };
};

const many = Number.POSITIVE_INFINITY;
// Two numbers, assumed so that the rows with speculation come out: chance of a guess of dense models, and of mixtures.
const dense = 0.8;
const mixture = 0.7;

export const WAFER_SERVICE_ROWS: readonly WaferServiceRow[] = [
  service('llama-3.1-8b', [1, many, null], [1024, 1800], 'validated', '2024'),
  service('llama-3.1-8b', [1, many, null], [1024, 2200], 'validated', '2026'),
  service('llama-3.1-70b', [4, many, null], [1024, 450], 'validated', 'at launch, before speculation'),
  service('gpt-oss-120b', [null, many, null], [1024, 3000], 'validated', 'vendor'),
  // The vendor's figure for the same service is 1.6 times this one.
  service('gpt-oss-120b', [null, many, null], [1024, 1844], 'disputed', 'Artificial Analysis, 2025'),
  service('llama-3.1-70b', [4, 1, dense], [1024, 2100], 'calibrated', 'with speculation'),
  service('llama-3.3-70b', [4, 1, dense], [1024, 2314], 'calibrated', 'with speculation'),
  service('llama-3.1-405b', [null, 1, dense], [1024, 969], 'calibrated', 'with speculation'),
  service('llama-3.1-405b', [null, 1, dense], [102_400, 539], 'calibrated', 'with speculation'),
  service('qwen3-32b', [null, 1, dense], [1024, 2400], 'calibrated', 'speculation assumed'),
  service('qwen3-coder-480b-a35b', [null, 1, mixture], [1024, 2000], 'calibrated', 'speculation assumed'),
];

/** 405B: 539 at 100K of 969 at 1K. What the software does to one token's latency cancels out. */
export const contextSlowdownRow = {
  model: 'llama-3.1-405b',
  shortTokens: 1024,
  longTokens: 102400,
  ratio: 539 / 969,
};
