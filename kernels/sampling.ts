// Sampling: one row of logits → one token id. Pure: the draw belongs to (seed, stream, position), so what a
// sequence samples depends neither on its neighbours nor on which of the two paths below answered. Runs where the
// logits are: kernels/onnx/worker.ts. After it: the engine, which decides about stopping and accepting drafts.
//
// Order: logit bias, repetition penalty, frequency and presence penalty, mask of stop tokens before minTokens, the
// place's own mask; temperature 0 → most likely token. Else temperature, then min_p, top_k, top_p (vLLM's order), then
// one draw: the token at which the cumulative probability, most likely first, passes it. Of equal logits the lower id
// counts as likelier.
import assert from 'node:assert/strict';
import { maskAllows, type SamplingParams, type TokenLogprobs } from './backend.ts';
import { HeadDraw, undecided } from './head-draw.ts';
import { drawUniform } from './random.ts';
import { Ranking } from './ranking.ts';

/** What the graph says about one sampled position. The head holds the K largest logits, largest first. */
export interface LogitsRow {
  readonly headValues: Float32Array; // [K], K ≥ 0
  readonly headIds: Int32Array; // [K]; equal values by id
  readonly logits: Float32Array; // [V]
  logsumexp: number; // of logits
}

/** Where in its sequence a token is drawn. */
export interface DrawPlace {
  position: number; // of the token being drawn
  promptCount: number; // tokens before the first output token, ≤ position
  history: Int32Array | null; // at least [position] tokens; needed only with penalties
  mask: Uint32Array | null; // tokens that may be drawn, see maskAllows(); null: any
}

/** What there is to draw from is no distribution (NaN or infinite logits): the model's doing, or the parameters'. */
export class SamplingError extends Error {
  override readonly name = 'SamplingError';
  override readonly cause: 'model' | 'parameters';

  constructor(cause: SamplingError['cause'], message: string) {
    super(message);
    this.cause = cause;
  }
}

/** Below this and above its inverse a penalty is no wish any more but an overflow. */
export const repetitionPenaltyMin = 0.01;

const temperatureMin = 1e-5; // below: greedy; source: vLLM's _SAMPLING_EPS

/** Draws tokens. Owns scratch of [vocabSize], so one Sampler per thread and no allocation per token. */
export class Sampler {
  readonly #adjusted: Float32Array; // [V] logits after bias and penalties
  readonly #occurrences: Int32Array; // [V] 2 · output count + (seen at all); all 0 between calls
  readonly #ranking: Ranking;
  readonly #headDraw: HeadDraw;

  constructor(vocabSize: number) {
    this.#adjusted = new Float32Array(vocabSize);
    this.#occurrences = new Int32Array(vocabSize);
    this.#ranking = new Ranking(vocabSize);
    this.#headDraw = new HeadDraw(vocabSize);
  }

  /** The token at `place`. Takes the head when that provably gives the same token. Throws SamplingError. */
  sample(row: LogitsRow, params: SamplingParams, place: DrawPlace): number {
    if (!Number.isFinite(row.logsumexp))
      throw new SamplingError('model', `logits are not finite (${row.logsumexp})`);
    if (row.headIds.length === 0 || changesLogits(params, place)) {
      return this.sampleFull(row.logits, params, place);
    }
    let token = this.#headDraw.load(row, place.mask);
    if (params.temperature >= temperatureMin && token !== undecided) {
      const uniform = drawUniform(params.seed, params.stream, place.position);
      token = this.#headDraw.draw(row, params, uniform);
    }
    return token === undecided ? this.sampleFull(row.logits, params, place) : token;
  }

  /** The same from the logits alone. Also the definition of what `sample` answers. */
  sampleFull(logits: Float32Array, params: SamplingParams, place: DrawPlace): number {
    const isChanged = place.mask !== null || changesLogits(params, place);
    const adjusted = isChanged ? this.#adjust(logits, params, place) : logits;
    const best = argmax(adjusted);
    const max = adjusted[best] ?? Number.NaN;
    if (Number.isNaN(max) || max === Number.POSITIVE_INFINITY)
      throw new SamplingError(isChanged ? 'parameters' : 'model', `logits are not numbers (${max})`);
    if (max === Number.NEGATIVE_INFINITY) return lowestAllowed(place.mask); // nothing is left to weigh
    if (params.temperature < temperatureMin) return best;
    const ranking = this.#ranking;
    ranking.load(adjusted, { max, scale: 1 / params.temperature, weightMin: params.minP });
    let total = ranking.total;
    if (params.topK > 0 && params.topK < ranking.count) total = ranking.sumOf(params.topK);
    if (params.topP < 1) {
      ranking.find(params.topP * total);
      total = ranking.cumulative;
    }
    return ranking.find(drawUniform(params.seed, params.stream, place.position) * total);
  }

  #adjust(logits: Float32Array, params: SamplingParams, place: DrawPlace): Float32Array {
    const adjusted = this.#adjusted;
    adjusted.set(logits);
    if (params.logitBias !== null) {
      for (const [id, bias] of params.logitBias) adjusted[id]! += bias;
    }
    if (hasPenalties(params)) this.#penalise(params, place);
    if (masksStopTokens(params, place)) {
      for (const id of params.stopTokenIds) adjusted[id] = Number.NEGATIVE_INFINITY;
    }
    if (place.mask !== null) maskOut(adjusted, place.mask);
    return adjusted;
  }

  /** Repetition over prompt and output, once per distinct token; frequency and presence over output only. */
  #penalise(params: SamplingParams, { history, position, promptCount }: DrawPlace): void {
    assert(history !== null && history.length >= position, 'penalties need the history');
    const adjusted = this.#adjusted;
    const occurrences = this.#occurrences;
    for (let i = 0; i < position; i++) {
      const id = history[i]!;
      occurrences[id] = i < promptCount ? occurrences[id]! | 1 : (occurrences[id]! + 2) | 1;
    }
    for (let i = 0; i < position; i++) {
      const id = history[i]!;
      const seen = occurrences[id]!;
      if (seen === 0) continue; // this token has had its penalty
      occurrences[id] = 0;
      const outputCount = seen >> 1;
      const logit = adjusted[id]!;
      const repeated = logit > 0 ? logit / params.repetitionPenalty : logit * params.repetitionPenalty;
      const presence = outputCount > 0 ? params.presencePenalty : 0;
      adjusted[id] = repeated - outputCount * params.frequencyPenalty - presence;
    }
  }
}

/** Logarithms of probabilities under the unmodified distribution: the chosen token and the `count` most likely. */
export function tokenLogprobs(row: LogitsRow, token: number, count: number): TokenLogprobs {
  assert(count <= row.headIds.length, `logprobs ${count} of at most ${row.headIds.length}`);
  const topTokens = Array.from(row.headIds.subarray(0, count));
  const topLogprobs = Array.from(row.headValues.subarray(0, count), (value) => value - row.logsumexp);
  return { logprob: row.logits[token]! - row.logsumexp, topTokens, topLogprobs };
}

/** The place of a token among all, most likely first, from 1; equals count as one place. */
export function rankOf(logits: Float32Array, token: number): number {
  const own = logits[token]!;
  let rank = 1;
  for (let id = 0; id < logits.length; id++) if (logits[id]! > own) rank++;
  return rank;
}

/** One token from one row of logits [V] without a Sampler at hand; allocates. For oracles and tests. */
export function sampleToken(logits: Float32Array, params: SamplingParams, place: DrawPlace): number {
  return new Sampler(logits.length).sampleFull(logits, params, place);
}

function maskOut(values: Float32Array, mask: Uint32Array): void {
  for (let id = 0; id < values.length; id++) {
    if (!maskAllows(mask, id)) values[id] = Number.NEGATIVE_INFINITY;
  }
}

/** A mask is a promise, minTokens a wish: where both leave nothing, the mask stays. */
function lowestAllowed(mask: Uint32Array | null): number {
  let id = 0;
  if (mask !== null) while (id < 32 * mask.length && !maskAllows(mask, id)) id++;
  return id;
}

/** The lowest id of the greatest value; −1 if any of them is no number. */
function argmax(values: Float32Array): number {
  let best = 0;
  let hasNaN = false;
  for (let id = 0; id < values.length; id++) {
    const value = values[id]!;
    if (value > values[best]!) best = id;
    hasNaN ||= Number.isNaN(value);
  }
  return hasNaN ? -1 : best;
}

function hasPenalties(params: SamplingParams): boolean {
  return params.repetitionPenalty !== 1 || params.frequencyPenalty !== 0 || params.presencePenalty !== 0;
}

function masksStopTokens(params: SamplingParams, { position, promptCount }: DrawPlace): boolean {
  return params.stopTokenIds.length > 0 && position - promptCount < params.minTokens;
}

/** Apart from the mask, which the head can take as well. */
function changesLogits(params: SamplingParams, place: DrawPlace): boolean {
  return params.logitBias !== null || hasPenalties(params) || masksStopTokens(params, place);
}
