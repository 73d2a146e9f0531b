// Sampling: one row of logits → one token id. Pure: the draw belongs to (seed, stream, position), so what a
// sequence samples depends neither on its neighbours nor on which of the two paths below answered. Runs where the
// logits are: kernels/onnx/worker.ts. After it: the engine, which decides about stopping and accepting drafts.
//
// Order: logit bias, repetition penalty, frequency and presence penalty, mask of stop tokens before minTokens, the place's own mask;
// temperature 0 → most likely token. Else temperature, then min_p, top_k, top_p (vLLM's order), then one draw.
// Equal logits count as sorted by id, lower first.
import assert from 'node:assert/strict';
import { maskAllows, type SamplingParams, type TokenLogprobs } from './backend.ts';
import { drawUniform } from './random.ts';

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

/** The model gave something that is not a distribution (NaN or infinite logits). */
export class SamplingError extends Error {
  override readonly name = 'SamplingError';
}

const temperatureMin = 1e-5; // below: greedy; source: vLLM's _SAMPLING_EPS
const logsumexpError = 1e-4; // nats; a float32 sum over 152k logits is off by less than 1e-5, test/property/sampling
const sumError = 1e-12; // relative; float64 sums of up to 2^18 terms in another order
const undecided = -1;
// The full path sorts what lies this close to the most likely token, in nats after temperature, and more only if that
// does not decide: 8 nats are 1/3000 of its probability.
const depths = [8, 24, 72, Number.POSITIVE_INFINITY];

/** Draws tokens. Owns scratch of [vocabSize], so one Sampler per thread and no allocation per token. */
export class Sampler {
  readonly #adjusted: Float32Array; // [V] logits after bias and penalties
  readonly #occurrences: Int32Array; // [V] 2 · output count + (seen at all); all 0 between calls
  readonly #sortedIds: Int32Array; // [V]
  readonly #prefix: SortedPrefix; // what chooseRank looks at
  readonly #sortedValues: Float32Array; // [V]

  constructor(vocabSize: number) {
    this.#adjusted = new Float32Array(vocabSize);
    this.#occurrences = new Int32Array(vocabSize);
    this.#sortedIds = new Int32Array(vocabSize);
    this.#sortedValues = new Float32Array(vocabSize);
    const weights = new Float64Array(vocabSize);
    this.#prefix = { values: this.#sortedValues, weights, count: 0, vocabSize, totalMin: 0, totalMax: 0 };
  }

  /** The token at `place`. Takes the head when that provably gives the same token. Throws SamplingError. */
  sample(row: LogitsRow, params: SamplingParams, place: DrawPlace): number {
    if (!Number.isFinite(row.logsumexp)) throw new SamplingError(`logits are not finite (${row.logsumexp})`);
    if (!needsAdjustment(params, place)) {
      const token = this.#sampleHead(row, params, place);
      if (token !== undecided) return token;
    }
    return this.sampleFull(row.logits, params, place);
  }

  /** The same from the logits alone. Also the definition of what `sample` answers. */
  sampleFull(logits: Float32Array, params: SamplingParams, place: DrawPlace): number {
    const adjusted = needsAdjustment(params, place) ? this.#adjust(logits, params, place) : logits;
    const best = argmax(adjusted);
    const max = adjusted[best]!;
    if (max === Number.NEGATIVE_INFINITY) return lowestAllowed(place.mask); // nothing is left to weigh
    if (params.temperature < temperatureMin) return best;
    const uniform = drawUniform(params.seed, params.stream, place.position);
    const prefix = this.#prefix;
    prefix.values = this.#sortedValues;
    prefix.totalMin = limitsByRank(params) ? 0 : sumWeights(adjusted, max, 1 / params.temperature);
    prefix.totalMax = prefix.totalMin;
    for (const depth of depths) {
      this.#sortDownTo(adjusted, max - depth * params.temperature);
      const rank = chooseRank(prefix, params, uniform);
      if (rank !== undecided) return this.#sortedIds[rank]!;
    }
    throw new SamplingError('logits are not numbers');
  }

  #sampleHead(row: LogitsRow, params: SamplingParams, place: DrawPlace): number {
    if (row.headIds.length === 0) return undecided;
    if (params.temperature < temperatureMin) return row.headIds[0]!;
    const prefix = this.#prefix;
    prefix.values = row.headValues;
    prefix.count = row.headIds.length;
    prefix.totalMin = 0;
    prefix.totalMax = 0;
    if (!limitsByRank(params)) boundTotal(prefix, row, params.temperature);
    const rank = chooseRank(prefix, params, drawUniform(params.seed, params.stream, place.position));
    return rank === undecided ? undecided : row.headIds[rank]!;
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

  /** Makes the sorted prefix of all logits ≥ `floor`. */
  #sortDownTo(values: Float32Array, floor: number): void {
    const ids = this.#sortedIds;
    let count = 0;
    for (let id = 0; id < values.length; id++) {
      if (values[id]! >= floor) ids[count++] = id;
    }
    heapSort(ids, values, count);
    for (let rank = 0; rank < count; rank++) this.#sortedValues[rank] = values[ids[rank]!]!;
    this.#prefix.count = count;
  }
}

/** Logarithms of probabilities under the unmodified distribution: the chosen token and the `count` most likely. */
export function tokenLogprobs(row: LogitsRow, token: number, count: number): TokenLogprobs {
  assert(count <= row.headIds.length, `logprobs ${count} of at most ${row.headIds.length}`);
  const topTokens = Array.from(row.headIds.subarray(0, count));
  const topLogprobs = Array.from(row.headValues.subarray(0, count), (value) => value - row.logsumexp);
  return { logprob: row.logits[token]! - row.logsumexp, topTokens, topLogprobs };
}

/** One token from one row of logits [V] without a Sampler at hand; allocates. For oracles and tests. */
export function sampleToken(logits: Float32Array, params: SamplingParams, place: DrawPlace): number {
  return new Sampler(logits.length).sampleFull(logits, params, place);
}

/** Reused from draw to draw; nothing in it outlives one. */
interface SortedPrefix {
  values: Float32Array; // [≥ count] logits, largest first
  readonly weights: Float64Array; // [V] scratch
  count: number;
  readonly vocabSize: number;
  totalMin: number; // the sum of all V weights lies in [totalMin, totalMax]; unused with min_p or top_k
  totalMax: number;
}

/**
 * The rank that the draw falls on, from the `count` largest logits; undecided (−1) when that depends on what lies
 * outside of them. Where it decides, every longer prefix and every total within the bounds decides the same.
 */
function chooseRank(prefix: SortedPrefix, params: SamplingParams, uniform: number): number {
  const { values, weights } = prefix;
  const rankMax = params.topK > 0 ? Math.min(params.topK, prefix.vocabSize) : prefix.vocabSize;
  const scale = 1 / params.temperature;
  let count = Math.min(prefix.count, rankMax);
  let isWhole = count === rankMax; // nothing that may be drawn lies outside
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    const weight = Math.exp((values[rank]! - values[0]!) * scale);
    if (weight < params.minP) {
      count = rank;
      isWhole = true;
      break;
    }
    weights[rank] = weight;
    sum += weight;
  }
  const byRank = limitsByRank(params);
  if (byRank && !isWhole) return undecided;
  let totalMin = byRank ? sum : prefix.totalMin;
  let totalMax = byRank ? sum : prefix.totalMax;
  if (params.topP < 1) {
    const last = findCumulative(weights, count, params.topP * totalMin, params.topP * totalMax);
    if (last === undecided && !isWhole) return undecided;
    if (last !== undecided) count = last + 1;
    isWhole = true;
    totalMin = sumOf(weights, count);
    totalMax = totalMin;
  }
  const rank = findCumulative(weights, count, uniform * totalMin, uniform * totalMax);
  // A whole prefix that ends before the target has only rounding to blame.
  return rank === undecided && isWhole && totalMin === totalMax ? count - 1 : rank;
}

/** The first rank whose cumulative weight reaches a target known to lie in [min, max]; undecided if that is not one rank. */
function findCumulative(weights: Float64Array, count: number, min: number, max: number): number {
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += weights[rank]!;
    if (sum >= max) return rank;
    if (sum >= min) return undecided;
  }
  return undecided;
}

/**
 * Bounds of the sum of all weights exp((logit − max) / T) from the head. Of its tail, the N logits outside, two
 * things are known: their mass M at temperature 1 (logsumexp less the head) and the largest term m they can have
 * (the head's last). With p = 1/T, N numbers in [0, m] that add up to M have p-th powers that add up to something
 * between M·m^(p−1) (as few and as large as can be) and N·(M/N)^p (all equal). At T = 1 the two are one; which is
 * the upper bound depends on whether p > 1.
 */
function boundTotal(prefix: SortedPrefix, row: LogitsRow, temperature: number): void {
  const power = 1 / temperature;
  const max = row.headValues[0]!;
  const head = sumWeights(row.headValues, max, power);
  const tailCount = prefix.vocabSize - prefix.count;
  const headMass = power === 1 ? head : sumWeights(row.headValues, max, 1);
  const massMin = Math.max(0, Math.exp(row.logsumexp - logsumexpError - max) - headMass);
  const massMax = Math.max(0, Math.exp(row.logsumexp + logsumexpError - max) - headMass);
  const clustered = Math.exp((row.headValues[prefix.count - 1]! - max) * (power - 1));
  const spread = tailCount ** (1 - power);
  const tailMin = power > 1 ? spread * massMin ** power : massMin * clustered;
  const tailMax = power > 1 ? massMax * clustered : spread * massMax ** power;
  const hasTail = tailCount > 0;
  prefix.totalMin = (head + (hasTail ? tailMin : 0)) * (1 - sumError);
  prefix.totalMax = (head + (hasTail ? tailMax : 0)) * (1 + sumError);
}

function sumWeights(values: Float32Array, max: number, scale: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp((values[i]! - max) * scale);
  return sum;
}

function sumOf(weights: Float64Array, count: number): number {
  let sum = 0;
  for (let rank = 0; rank < count; rank++) sum += weights[rank]!;
  return sum;
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

function argmax(values: Float32Array): number {
  let best = 0;
  for (let id = 1; id < values.length; id++) if (values[id]! > values[best]!) best = id;
  return best;
}

/** Sorts the first `count` ids by value, largest first, equal values by id. In place, without a comparator call. */
function heapSort(ids: Int32Array, values: Float32Array, count: number): void {
  for (let parent = (count >> 1) - 1; parent >= 0; parent--) siftDown(ids, values, parent, count);
  for (let last = count - 1; last > 0; last--) {
    const worst = ids[0]!; // the heap has the worst on top, so that the best end up in front
    ids[0] = ids[last]!;
    ids[last] = worst;
    siftDown(ids, values, 0, last);
  }
}

function siftDown(heap: Int32Array, values: Float32Array, start: number, count: number): void {
  const id = heap[start]!;
  let parent = start;
  for (let child = 2 * parent + 1; child < count; child = 2 * parent + 1) {
    if (child + 1 < count && isBefore(values, heap[child]!, heap[child + 1]!)) child++;
    const worse = heap[child]!;
    if (!isBefore(values, id, worse)) break;
    heap[parent] = worse;
    parent = child;
  }
  heap[parent] = id;
}

function isBefore(values: Float32Array, a: number, b: number): boolean {
  return values[a]! > values[b]! || (values[a]! === values[b]! && a < b);
}

function limitsByRank(params: SamplingParams): boolean {
  return params.topK > 0 || params.minP > 0;
}

function hasPenalties(params: SamplingParams): boolean {
  return params.repetitionPenalty !== 1 || params.frequencyPenalty !== 0 || params.presencePenalty !== 0;
}

function masksStopTokens(params: SamplingParams, { position, promptCount }: DrawPlace): boolean {
  return params.stopTokenIds.length > 0 && position - promptCount < params.minTokens;
}

function needsAdjustment(params: SamplingParams, place: DrawPlace): boolean {
  return (
    place.mask !== null || params.logitBias !== null || hasPenalties(params) || masksStopTokens(params, place)
  );
}
