// DraftPace: how much longer a draft model's guesses take in truth than its device's measured costs say, against how much
// longer plain decoding takes: threads of two devices share cores, caches and round trips, which no cost curve knows. One
// cycle of a replica is from one plan to the next. Used by draft-model.ts.
import type { Sequence } from './sequence.ts';

interface Cycle {
  readonly startMs: number;
  readonly tokenCount: number; // of all that decode, at its start
  readonly guessedCount: number; // guesses judged until then
  readonly decodingCount: number;
  readonly predictedMs: number | null; // with guesses; null: plain
}

const learningRateMin = 0.1; // at first the mean of all cycles
const ratioMax = 10; // of measured to predicted; more is somebody else's time

export class DraftPace {
  readonly #cycles: (Cycle | null)[]; // [replica]
  #plainRatio = 1; // measured / predicted
  #plainCount = 1;
  #guessedRatio = 1;
  #guessedCount = 1;

  constructor(replicaCount: number) {
    this.#cycles = new Array(replicaCount).fill(null);
  }

  /** By how much guessing is slower than its costs say, compared with plain decoding. */
  get slowness(): number {
    return this.#guessedRatio / this.#plainRatio;
  }

  /** What was learned of guessing counts a little less: it is to be tried again some day. */
  forget(share: number): void {
    this.#guessedRatio += (this.#plainRatio - this.#guessedRatio) * share;
  }

  /** A replica is about to be planned. `predictedMs`: of the cycle that begins, with guesses; null: without. */
  turn(
    replica: number,
    decoding: readonly Sequence[],
    now: { nowMs: number; predictedMs: number | null },
  ): void {
    this.#cycles[replica] = {
      startMs: now.nowMs,
      predictedMs: now.predictedMs,
      decodingCount: decoding.length,
      tokenCount: tokensOf(decoding),
      guessedCount: guessesOf(decoding),
    };
  }

  /** The cycle that ends: only one in which everybody decoded, and plain ones without guesses of another kind. */
  end(
    replica: number,
    decoding: readonly Sequence[],
    { nowMs, decodeMs }: { nowMs: number; decodeMs: number },
  ): void {
    const cycle = this.#cycles[replica];
    this.#cycles[replica] = null;
    if (!cycle || cycle.decodingCount !== decoding.length || decoding.length === 0) return;
    const drawnCount = tokensOf(decoding) - cycle.tokenCount;
    if (drawnCount < decoding.length) return; // others have come, or nothing was drawn
    const measuredMs = nowMs - cycle.startMs;
    if (cycle.predictedMs !== null) {
      this.#guessedRatio = nearer(this.#guessedRatio, measuredMs / cycle.predictedMs, ++this.#guessedCount);
    } else if (guessesOf(decoding) === cycle.guessedCount) {
      const predictedMs = (drawnCount / decoding.length) * decodeMs;
      this.#plainRatio = nearer(this.#plainRatio, measuredMs / predictedMs, ++this.#plainCount);
    }
  }
}

function nearer(known: number, measured: number, count: number): number {
  return known + (Math.min(measured, ratioMax) - known) * Math.max(learningRateMin, 1 / count);
}

function tokensOf(sequences: readonly Sequence[]): number {
  return sequences.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
}

function guessesOf(sequences: readonly Sequence[]): number {
  return sequences.reduce(
    (sum, { speculation }) => sum + (speculation?.acceptedCount ?? 0) + (speculation?.rejectedCount ?? 0),
    0,
  );
}
