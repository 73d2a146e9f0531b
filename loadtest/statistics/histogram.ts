// Histogram: millions of latencies in fixed memory, on hdr-histogram-js (relative error ≤ 0.1 %). Mean, least and
// largest value are kept exactly beside it. Milliseconds in, milliseconds out.
import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram as HdrHistogram,
} from 'hdr-histogram-js';

const US_PER_MS = 1000;
const VALUE_US_MAX = 3_600_000_000; // one hour; longer ones count as one hour, their mean and maximum are exact

export interface CdfPoint {
  readonly ms: number;
  readonly share: number; // of the values ≤ ms, in (0, 1]
}

/** A histogram as plain data. */
export interface HistogramData {
  readonly counts: string; // HdrHistogram's own compressed form
  readonly count: number;
  readonly sumMs: number;
  readonly minMs: number;
  readonly maxMs: number;
}

export class Histogram {
  readonly #hdr: HdrHistogram = build({
    bitBucketSize: 32,
    autoResize: false,
    lowestDiscernibleValue: 1,
    highestTrackableValue: VALUE_US_MAX,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
  // The latest value and how often it came, of which #hdr has not heard: all rows of a step have one gap, and finding a value's
  // bucket takes longer than the rest of a token.
  #runUs = 0;
  #runCount = 0;
  #count = 0;
  #sumMs = 0;
  #minMs = Number.POSITIVE_INFINITY;
  #maxMs = Number.NEGATIVE_INFINITY;

  get count(): number {
    return this.#count;
  }

  /** Null when nothing was recorded; so are the others. */
  get meanMs(): number | null {
    return this.#count === 0 ? null : this.#sumMs / this.#count;
  }

  get minMs(): number | null {
    return this.#count === 0 ? null : this.#minMs;
  }

  get maxMs(): number | null {
    return this.#count === 0 ? null : this.#maxMs;
  }

  /** `count` equal values. Negative ones count as 0. */
  record(ms: number, count = 1): void {
    if (count <= 0) return;
    const us = Math.min(VALUE_US_MAX, Math.max(0, Math.round(ms * US_PER_MS)));
    if (us !== this.#runUs) this.#endRun(us);
    this.#runCount += count;
    this.#count += count;
    this.#sumMs += ms * count;
    this.#minMs = Math.min(this.#minMs, ms);
    this.#maxMs = Math.max(this.#maxMs, ms);
  }

  /**
   * The smallest recorded value with at least q of the values at or below it, q in (0, 1); of an even count the median is
   * the middle of the two in the middle.
   */
  quantileMs(q: number): number | null {
    if (this.#count === 0) return null;
    this.#endRun(0);
    const at = (share: number) => {
      const ms = this.#hdr.getValueAtPercentile(share * 100) / US_PER_MS;
      return Math.min(this.#maxMs, Math.max(this.#minMs, ms));
    };
    if (q !== 0.5 || this.#count % 2 === 1) return at(q);
    return (at(q) + at((this.#count / 2 + 0.5) / this.#count)) / 2;
  }

  /** As plain data, for another thread. */
  get data(): HistogramData {
    this.#endRun(0);
    return {
      ...{ counts: encodeIntoCompressedBase64(this.#hdr), count: this.#count, sumMs: this.#sumMs },
      ...{ minMs: this.#minMs, maxMs: this.#maxMs },
    };
  }

  /** What another one holds, as well. */
  add({ counts, count, sumMs, minMs, maxMs }: HistogramData): void {
    this.#hdr.add(decodeFromCompressedBase64(counts, 32, false));
    this.#count += count;
    this.#sumMs += sumMs;
    this.#minMs = Math.min(this.#minMs, minMs);
    this.#maxMs = Math.max(this.#maxMs, maxMs);
  }

  /** At most `pointsMax` points of the distribution function, evenly spaced in share, finer towards 1. */
  cdf(pointsMax: number): CdfPoint[] {
    const points: CdfPoint[] = [];
    if (this.#count === 0) return points;
    for (let at = 0; at < pointsMax; at++) {
      const linear = at / (pointsMax - 1);
      const share = 1 - (1 - linear) ** 1.7; // the tail is what one looks for
      const ms = this.quantileMs(Math.max(share, 0.5 / this.#count))!;
      points.push({ ms, share: Math.min(1, share) });
    }
    points.push({ ms: this.#maxMs, share: 1 });
    return points;
  }

  #endRun(nextUs: number): void {
    if (this.#runCount > 0) this.#hdr.recordValueWithCount(this.#runUs, this.#runCount);
    this.#runUs = nextUs;
    this.#runCount = 0;
  }
}
