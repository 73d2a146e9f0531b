// MaxLoad: a published maximum load in closed form: so many requests at once, as many of them running as KV has room for, until the
// last has ended. Whether the engine does the same is not assumed: a test runs it. Pure. Used by the fits, `validate` and `predict`.
import { gpuKvTokens } from '../gpu/gpu-device.ts';
import type { GpuCoefficients, GpuSetup, MixtureCoefficients } from '../gpu/roofline.ts';
import { batchesOf, stagedTerms } from '../gpu/stage-steps.ts';

export interface LoadLengths {
  readonly isl: number; // tokens of each prompt
  readonly osl: number; // and of each answer
}

/** The runtime's limit on sequences at once in those measurements. Source: TensorRT-LLM's default max_batch_size. */
export const maxLoadSequences = 2048;

const chunkTokens = 8192; // TensorRT-LLM's default max_num_tokens

/**
 * Requests of a published run, by the tokens of one. Source: the table of TensorRT-LLM's performance overview, which has the same
 * counts in versions 0.17, 1.0 and 1.2; the bounds lie between its lengths.
 */
export function requestsAtMaxLoad({ isl, osl }: LoadLengths): number {
  const tokens = isl + osl;
  if (tokens <= 512) return 30_000;
  if (tokens <= 2750) return 3000;
  return tokens <= 15_000 ? 1500 : 1000;
}

/** Sequences that fit with their whole length, so that none is ever sent away. */
export function sequencesAtMaxLoad(setup: GpuSetup, { isl, osl }: LoadLengths): number {
  const fit = Math.floor(gpuKvTokens(setup) / (isl + osl));
  return Math.max(1, Math.min(batchesOf(setup) * maxLoadSequences, fit));
}

/** Constants to be judged; default: those that stand. */
export interface Coefficients {
  readonly fitted?: GpuCoefficients;
  readonly mixture?: MixtureCoefficients;
}

/** Output tokens per second from the first request to the last answer: full rounds, and one of those that are left. */
export function maxLoadRate(setup: GpuSetup, lengths: LoadLengths, coefficients: Coefficients = {}): number {
  const requestCount = requestsAtMaxLoad(lengths);
  const rowCount = Math.min(requestCount, sequencesAtMaxLoad(setup, lengths));
  const secondsOf = (count: number): number =>
    count === 0 ? 0 : (count * lengths.osl) / steadyRate(setup, lengths, count, coefficients);
  const seconds = Math.floor(requestCount / rowCount) * secondsOf(rowCount);
  return (requestCount * lengths.osl) / (seconds + secondsOf(requestCount % rowCount));
}

/** Output tokens per second in the steady state of `rowCount` users, all of them in every step; some steps have a chunk of prompts. */
export function steadyRate(
  setup: GpuSetup,
  { isl, osl }: LoadLengths,
  rowCount: number,
  { fitted, mixture }: Coefficients = {},
): number {
  const batchCount = batchesOf(setup);
  const promptTokensPerStep = (rowCount * isl) / osl;
  const chunk = Math.max(batchCount * chunkTokens, promptTokensPerStep);
  const stepMs = (prefillTokens: number): number =>
    stagedTerms(
      setup,
      {
        ...{ rowCount, tokenCount: rowCount + prefillTokens, sampledCount: rowCount },
        contextRead: rowCount * (isl + osl / 2),
        attentionPairs: (prefillTokens * isl) / 2,
        prefillRows: prefillTokens === 0 ? 0 : Math.max(batchCount, prefillTokens / isl),
        prefillTokens,
      },
      fitted,
      mixture,
    ).totalMs;
  const chunkShare = promptTokensPerStep / chunk;
  return (rowCount * 1000) / ((1 - chunkShare) * stepMs(0) + chunkShare * stepMs(chunk));
}
