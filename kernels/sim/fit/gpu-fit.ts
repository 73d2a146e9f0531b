// The GPU's constants from TensorRT-LLM's calibration rows, by a closed form of the steady state at maximum load:
// as many sequences as KV has room for, all prompts cut into chunks, steps with and without a chunk.
// Whether the engine does the same is not assumed: `validate` runs it.

import { namedShape } from '../catalogue.ts';
import { GPU_CHIPS } from '../gpu/chips.ts';
import { gpuKvTokens } from '../gpu/gpu-device.ts';
import type { GpuCoefficients, GpuSetup, MixtureCoefficients } from '../gpu/roofline.ts';
import { batchesOf, stagedTerms } from '../gpu/stage-steps.ts';
import { leastSquares } from './least-squares.ts';
import { MAX_LOAD_ROWS, type MaxLoadRow, maxLoadSequences } from './published.ts';

const chunkTokens = 8192; // TensorRT-LLM's default max_num_tokens

/** Sequences that fit with their whole length, so that none is ever sent away. */
export function sequencesAtMaxLoad(setup: GpuSetup, { isl, osl }: Pick<MaxLoadRow, 'isl' | 'osl'>): number {
  return Math.max(
    1,
    Math.min(batchesOf(setup) * maxLoadSequences, Math.floor(gpuKvTokens(setup) / (isl + osl))),
  );
}

export function setupOf({ model, chip, gpuCount }: MaxLoadRow): GpuSetup {
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
  const [computeUtilisation, layerOverheadUs, rowOverheadUs] = leastSquares([0.55, 60, 5], ([a, b, c]) => {
    const fitted = { computeUtilisation: a!, layerOverheadUs: b!, rowOverheadUs: c! };
    return rows.map((row) => {
      const setup = setupOf(row);
      const rate = steadyRate(setup, row, { rowCount: sequencesAtMaxLoad(setup, row), fitted });
      return rate / row.tokensPerSecond - 1;
    });
  });
  return {
    computeUtilisation: computeUtilisation!,
    layerOverheadUs: layerOverheadUs!,
    rowOverheadUs: rowOverheadUs!,
  };
}
