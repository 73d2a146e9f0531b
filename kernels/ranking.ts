// Ranking: the probabilities of one row of logits in falling order, sorted only where a draw looks. Owns scratch;
// knows nothing of top_p or seeds. Before it: sampling.ts, when the graph's head does not decide; after it: nothing.
//
// Tokens are dealt into buckets by their distance from the most likely one. A draw sums whole buckets until it is
// near its target and sorts only the bucket in which it ends, so a row costs two passes instead of a sort.

const depthMax = 64; // nats below the most likely token; e^-64 is never drawn
const bucketsPerNat = 8;
const bucketCount = depthMax * bucketsPerNat;
const none = 0xffff; // bucket of a token that cannot be drawn

// e^-depth by table and a cubic in what is left: relative error below 3e-9, at a quarter of the time of Math.exp.
const stepsPerNat = 64;
const stepsPerBucket = stepsPerNat / bucketsPerNat;
const powers = Float64Array.from({ length: depthMax * stepsPerNat }, (_, step) =>
  Math.exp(-step / stepsPerNat),
);

export class Ranking {
  /** Of the token last found: the sum of weights down to it, itself included. */
  cumulative = 0;
  #total = 0;
  #count = 0;
  #values: Float32Array = new Float32Array(0);
  readonly #weights: Float64Array; // [V] relative to the most likely token's 1
  readonly #buckets: Uint16Array; // [V]
  readonly #sums: Float64Array; // [bucketCount] of weights
  readonly #counts: Int32Array; // [bucketCount]
  readonly #members: Int32Array; // [V] ids of one bucket, sorted

  constructor(vocabSize: number) {
    this.#weights = new Float64Array(vocabSize);
    this.#buckets = new Uint16Array(vocabSize);
    this.#sums = new Float64Array(bucketCount);
    this.#counts = new Int32Array(bucketCount);
    this.#members = new Int32Array(vocabSize);
  }

  /** Sum of all weights that may be drawn; NaN if a logit is. */
  get total(): number {
    return this.#total;
  }

  /** Tokens that may be drawn. */
  get count(): number {
    return this.#count;
  }

  /** Weighs e^((value − max) · scale); what weighs less than `weightMin` cannot be drawn. Reads `values` until the next. */
  load(
    values: Float32Array,
    { max, scale, weightMin }: { max: number; scale: number; weightMin: number },
  ): void {
    const buckets = this.#buckets;
    const sums = this.#sums.fill(0);
    const counts = this.#counts.fill(0);
    this.#values = values;
    let total = 0;
    let drawableCount = 0;
    for (let id = 0; id < values.length; id++) {
      const depth = (max - values[id]!) * scale;
      if (depth >= depthMax) {
        buckets[id] = none;
        continue;
      }
      const step = Math.trunc(depth * stepsPerNat);
      const rest = depth - step / stepsPerNat;
      const weight = powers[step]! * (1 - rest * (1 - rest * (1 / 2 - rest / 6)));
      if (weight < weightMin) {
        buckets[id] = none;
        continue;
      }
      const bucket = Math.trunc(step / stepsPerBucket);
      this.#weights[id] = weight;
      buckets[id] = bucket;
      sums[bucket]! += weight;
      counts[bucket]!++;
      total += weight;
      drawableCount++;
    }
    this.#total = total;
    this.#count = drawableCount;
  }

  /** The first token, in falling order, at which the sum of weights reaches `target` ≤ total. */
  find(target: number): number {
    let last = -1;
    this.cumulative = 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      if (this.#counts[bucket] === 0) continue;
      if (this.cumulative + this.#sums[bucket]! < target) {
        this.cumulative += this.#sums[bucket]!;
        continue;
      }
      const count = this.#sortBucket(bucket);
      for (let rank = 0; rank < count; rank++) {
        last = this.#members[rank]!;
        this.cumulative += this.#weights[last]!;
        if (this.cumulative >= target) return last;
      }
    }
    return last; // the sums were a rounding error short
  }

  /** Sum of weights of the `count` most likely tokens. */
  sumOf(count: number): number {
    let sum = 0;
    let before = 0;
    for (let bucket = 0; bucket < bucketCount && before < count; bucket++) {
      if (before + this.#counts[bucket]! <= count) {
        sum += this.#sums[bucket]!;
      } else {
        this.#sortBucket(bucket);
        for (let rank = 0; rank < count - before; rank++) sum += this.#weights[this.#members[rank]!]!;
      }
      before += this.#counts[bucket]!;
    }
    return sum;
  }

  #sortBucket(bucket: number): number {
    const members = this.#members;
    let count = 0;
    for (let id = 0; id < this.#values.length; id++) if (this.#buckets[id] === bucket) members[count++] = id;
    heapSort(members, this.#values, count);
    return count;
  }
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
