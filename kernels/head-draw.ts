// HeadDraw: a draw from the head alone, the K most likely tokens that the graph reports, where that is certain to
// give what a draw from all logits gives. Owns scratch. Before it: sampling.ts, which asks it first; after it: nothing.
import { maskAllows, type SamplingParams } from './backend.ts';

export interface Head {
  readonly headValues: Float32Array; // [K] logits, largest first
  readonly headIds: Int32Array; // [K]
  readonly logsumexp: number; // of all V logits
}

/** What HeadDraw answers where the tail decides. */
export const undecided = -1;

const logsumexpError = 1e-4; // nats; a float32 sum over 152k logits is off by 1e-5 at most
// Relative. The full path weighs by a table that is off by 3e-9, and sums in another order; a draw this close to a
// border is left to it, which then defines the answer.
const sumError = 1e-7;

export class HeadDraw {
  readonly #vocabSize: number;
  readonly #weights: Float64Array; // [V ≥ K]
  readonly #values: Float32Array; // [V ≥ K] logits that may be drawn, largest first
  readonly #ids: Int32Array; // [V ≥ K]
  #allowedCount = 0;
  #isMasked = false;
  #totalMin = 0; // the sum of the weights of all tokens that may be drawn lies in [totalMin, totalMax]
  #totalMax = 0;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#weights = new Float64Array(vocabSize);
    this.#values = new Float32Array(vocabSize);
    this.#ids = new Int32Array(vocabSize);
  }

  /** Takes from the head what may be drawn, for the calls below. Answers its most likely token; undecided if none is. */
  load({ headValues, headIds }: Head, mask: Uint32Array | null): number {
    let count = 0;
    for (let rank = 0; rank < headIds.length; rank++) {
      if (mask !== null && !maskAllows(mask, headIds[rank]!)) continue;
      this.#values[count] = headValues[rank]!;
      this.#ids[count++] = headIds[rank]!;
    }
    this.#allowedCount = count;
    this.#isMasked = mask !== null;
    return count === 0 ? undecided : this.#ids[0]!;
  }

  /** The token of the loaded head that `uniform`, in [0, 1), falls on, or `undecided`. Temperature > 0. */
  draw(head: Head, params: SamplingParams, uniform: number): number {
    const rank = this.#allowedCount === 0 ? undecided : this.#rank(head, params, uniform);
    return rank === undecided ? undecided : this.#ids[rank]!;
  }

  #rank(head: Head, params: SamplingParams, uniform: number): number {
    let count = this.#weigh(head, params);
    if (count === undecided) return undecided;
    if (params.topP < 1) {
      const last = this.#find(count, params.topP);
      if (last === undecided) return undecided;
      count = last + 1;
      this.#totalMin = this.#sum(count);
      this.#totalMax = this.#totalMin;
    }
    return this.#find(count, uniform);
  }

  /**
   * Weighs what min_p and top_k leave of the head and bounds the sum of all that they leave. Answers how many tokens of
   * the head are left; undecided if they leave some of the tail, because then the sum is anybody's guess.
   */
  #weigh(head: Head, { temperature, topK, minP }: SamplingParams): number {
    const weights = this.#weights;
    const values = this.#values;
    const max = values[0]!;
    const rankMax = topK > 0 ? Math.min(topK, this.#vocabSize) : this.#vocabSize;
    const countMax = Math.min(this.#allowedCount, rankMax);
    let sum = 0;
    let count = 0;
    for (; count < countMax; count++) {
      const weight = Math.exp((values[count]! - max) / temperature);
      if (minP > 0 && Math.abs(weight - minP) <= sumError) return undecided;
      if (weight < minP) break;
      weights[count] = weight;
      sum += weight;
    }
    this.#totalMin = sum;
    this.#totalMax = sum;
    if (count === rankMax || count < countMax) return count;
    if (topK > 0 || minP > 0) return undecided;
    this.#addTail(head, temperature);
    return count;
  }

  /**
   * Adds bounds of the tail's weights exp((logit − max) / T). Of the tail, the N logits outside the head, two things are
   * known: their mass M at temperature 1 (logsumexp less the head) and the largest term m they can have (the head's
   * last). With p = 1/T, N numbers in [0, m] that add up to M have p-th powers that add up to something between
   * M·m^(p−1) (as few and as large as can be) and N·(M/N)^p (all equal). At T = 1 the two are one; which is the upper
   * bound depends on whether p > 1. With a mask nobody knows how much of the tail may be drawn: all, or nothing.
   */
  #addTail({ headValues: values, logsumexp: absolute }: Head, temperature: number): void {
    if (values.length === this.#vocabSize) return;
    const power = 1 / temperature;
    const max = this.#values[0]!;
    const logsumexp = absolute - max;
    let headMass = 0;
    for (let rank = 0; rank < values.length; rank++) headMass += Math.exp(values[rank]! - max);
    const massMin = Math.max(0, Math.exp(logsumexp - logsumexpError) - headMass);
    const massMax = Math.max(0, Math.exp(logsumexp + logsumexpError) - headMass);
    const clustered = Math.exp((values[values.length - 1]! - max) * (power - 1));
    const count = this.#vocabSize - values.length;
    const spread = (mass: number) => count * (mass / count) ** power; // in this order nothing overflows
    if (!this.#isMasked) this.#totalMin += power > 1 ? spread(massMin) : massMin * clustered;
    this.#totalMax += power > 1 ? massMax * clustered : spread(massMax);
  }

  /** The first rank whose cumulative weight reaches `share` of the total; undecided if that may be more than one rank. */
  #find(count: number, share: number): number {
    const min = share * this.#totalMin * (1 - sumError);
    const max = share * this.#totalMax * (1 + sumError);
    let sum = 0;
    for (let rank = 0; rank < count; rank++) {
      sum += this.#weights[rank]!;
      if (sum >= max) return rank;
      if (sum >= min) return undecided;
    }
    return undecided;
  }

  #sum(count: number): number {
    let sum = 0;
    for (let rank = 0; rank < count; rank++) sum += this.#weights[rank]!;
    return sum;
  }
}
