// The GPU's constants from TensorRT-LLM's calibration rows, by a closed form of the steady state at maximum load:
// as many sequences as KV has room for, all prompts cut into chunks, steps with and without a chunk.
// Whether the engine does the same is not assumed: `validate` runs it.

import { namedShape } from '../catalogue.ts';
import { GPU_CHIPS } from '../gpu/chips.ts';
import { gpuKvTokens } from '../gpu/gpu-device.ts';
import type { GpuCoefficients, GpuSetup, MixtureCoefficients } from '../gpu/roofline.ts';
import { batchesOf, stagedTerms } from '../gpu/stage-steps.ts';
import { leastSquares } from './least-squares.ts';
import { MAX_LOAD_ROWS, type MaxLoadRow, maxLoadSequences, NIM_ROWS, nimLengths } from './published.ts';

const chunkTokens = 8192; // TensorRT-LLM's default max_num_tokens

/** Sequences that fit with their whole length, so that none is ever sent away. */
export function sequencesAtMaxLoad(setup: GpuSetup, { isl, osl }: Pick<MaxLoadRow, 'isl' | 'osl'>): number {
  return Math.max(
    1,
    Math.min(batchesOf(setup) * maxLoadSequences, Math.floor(gpuKvTokens(setup) / (isl + osl))),
  );
}

export function setupOf({
  model,
  chip,
  gpuCount,
}: Pick<MaxLoadRow, 'model' | 'chip' | 'gpuCount'>): GpuSetup {
  return {
    chip: GPU_CHIPS.find(({ name }) => name === chip)!,
    gpuCount,
    sharding: 'tensor',
    shape: namedShape(model),
    precision: 'fp8',
    kvPrecision: 'fp8',
  };
}

/** Output tokens per second in the steady state of `rowCount` users. */
export function steadyRate(
  setup: GpuSetup,
  { isl, osl }: Pick<MaxLoadRow, 'isl' | 'osl'>,
  { rowCount, fitted, mixture }: SteadyState,
): number {
  const promptTokensPerStep = (rowCount * isl) / osl;
  const chunk = Math.max(batchesOf(setup) * chunkTokens, promptTokensPerStep);
  const contextRead = rowCount * (isl + osl / 2);
  const step = (prefillTokens: number): number =>
    stagedTerms(
      setup,
      {
        rowCount,
        tokenCount: rowCount + prefillTokens,
        sampledCount: rowCount,
        contextRead,
        attentionPairs: (prefillTokens * isl) / 2,
        prefillRows: prefillTokens === 0 ? 0 : Math.max(batchesOf(setup), prefillTokens / isl),
        prefillTokens,
      },
      fitted,
      mixture,
    ).totalMs;
  const chunkShare = promptTokensPerStep / chunk;
  return (rowCount * 1000) / ((1 - chunkShare) * step(0) + chunkShare * step(chunk));
}

interface SteadyState {
  readonly rowCount: number; // users, all of them in every step
  readonly fitted?: GpuCoefficients;
  readonly mixture?: MixtureCoefficients;
}

export function fitGpu(): GpuCoefficients {
  const rows = MAX_LOAD_ROWS.filter(({ status }) => status === 'calibrated');
  const named = ([a, b, c, d]: readonly number[]): GpuCoefficients => {
    return { computeUtilisation: a!, layerOverheadUs: b!, rowOverheadUs: c!, denseTileTokens: d! };
  };
  const found = leastSquares([0.55, 60, 5, 50], (values) => {
    const fitted = named(values);
    const errors = rows.map((row) => {
      const setup = setupOf(row);
      const rate = steadyRate(setup, row, { rowCount: sequencesAtMaxLoad(setup, row), fitted });
      return rate / row.tokensPerSecond - 1;
    });
    return [...errors, alone.itlMs / aloneMs(fitted) - 1];
  });
  return named(found);
}

// Without it a step of many hides what one of few waits for.
const alone = NIM_ROWS.find(({ userCount }) => userCount === 1)!;

function aloneMs(fitted: GpuCoefficients): number {
  const setup = setupOf({ model: 'llama-3.1-70b', chip: 'h100', gpuCount: 2 });
  const contextRead = nimLengths.isl + nimLengths.osl / 2;
  const counts = { rowCount: 1, tokenCount: 1, sampledCount: 1, contextRead, attentionPairs: 0 };
  return stagedTerms(setup, counts, fitted).totalMs;
}
