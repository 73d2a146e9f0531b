// Speculation: how many guessed tokens of a sequence are worth verifying in the next step. Weighs how often guesses
// of this kind were right against what the device says a longer row costs. With nothing to gain it guesses nothing.
import type { StepCosts } from '../../kernels/backend.ts';
import type { Draft, DraftSource } from './drafter.ts';

/** Right and wrong guesses of one source, the recent ones weighing more. */
interface Record {
  right: number;
  wrong: number; // each draft stops being judged at its first wrong guess
  expected: number; // of those judged, how many their chances had let expect right
}

const decay = 0.9; // per verified draft: about the last ten count
const priorWeight = 2; // imagined guesses behind each prior, and right ones as expected behind each chance
const modelPrior = 0.7;
const trustMin = 0.35; // places that hold so much less than they promise are only tried from time to time
const chanceMax = 0.998;

/** What guessing costs where guesses are computed, per sequence. */
export interface Guessing {
  readonly countMax: number;
  readonly roundMs: number; // each guess
  readonly slowness: number; // of steps with guesses, against what all costs say
  readonly rate: number; // share of guesses that were right, of all sequences
}

const gainMin = 1.03; // expected speed-up below which a guess is not worth its risk
const probeInterval = 64; // a source that stopped paying is tried once in so many tokens

/** What a step decodes. */
export interface DecodeLoad {
  readonly decodingCount: number; // sequences
  readonly contextTokens: number; // of the one that guesses; the others are taken to have as much
}

export class Speculation {
  readonly #records = new Map<DraftSource, Record>();
  #probedCount = 0; // output tokens at the last probe
  acceptedCount = 0;
  rejectedCount = 0;

  /** Guesses of the draft to verify now, 0 to its length. `decodingCount` sequences decode in this step, this one included. */
  worthwhileCount(draft: Draft, near: StepCosts, { decodingCount, contextTokens }: DecodeLoad): number {
    const costs = costsBehind(near, contextTokens);
    let best = 0;
    let bestSpeed = speedWithout(costs, decodingCount) * gainMin;
    const countMax = Math.min(draft.tokens.length, costs.rowMs.length - 1);
    let expected = 1;
    let chance = 1;
    for (let count = 1; count <= countMax; count++) {
      chance *= this.#chance(draft, count - 1);
      expected += chance;
      const speed =
        (decodingCount - 1 + expected) / (batchMs(costs, decodingCount - 1) + costs.rowMs[count]!);
      if (speed <= bestSpeed) continue;
      best = count;
      bestSpeed = speed;
    }
    return best;
  }

  /** Tokens that a model had best guess for the next step, and what that saves per token drawn. */
  worthGuessing(
    { countMax, roundMs, slowness, rate: prior }: Guessing,
    near: StepCosts,
    { decodingCount, contextTokens }: DecodeLoad,
  ): { readonly count: number; readonly savedMs: number } {
    const costs = costsBehind(near, contextTokens);
    const { right, wrong } = this.#record('model');
    const rate = (right + prior * priorWeight) / (right + wrong + priorWeight);
    const plainMs = batchMs(costs, decodingCount) / decodingCount;
    const best = { count: 0, savedMs: 0 };
    let expected = 1;
    let chance = 1;
    for (let count = 1; count <= Math.min(countMax, costs.rowMs.length - 1); count++) {
      chance *= rate;
      expected += chance;
      const guessedMs = ((costs.rowMs[count]! + count * roundMs) * slowness) / expected;
      if (guessedMs * gainMin > plainMs || plainMs - guessedMs <= best.savedMs) continue;
      best.count = count;
      best.savedMs = plainMs - guessedMs;
    }
    return best;
  }

  /** Guesses to verify although they do not seem worth it, 0 or 1, at the `outputCount`-th token of the answer. */
  probeCount(draft: Draft, outputCount: number): number {
    if (outputCount < this.#probedCount + probeInterval) return 0;
    this.#probedCount = outputCount;
    return Math.min(1, draft.tokens.length);
  }

  /** What became of a draft, or of its first `count` guesses: the first `accepted` were right. */
  learn(
    { source, chances }: Pick<Draft, 'source' | 'chances'>,
    { count, accepted }: { count: number; accepted: number },
  ): void {
    const record = this.#record(source);
    const judgedCount = Math.min(count, accepted + 1);
    const expected = chances?.subarray(0, judgedCount).reduce((sum, chance) => sum + chance, 0) ?? 0;
    record.right = record.right * decay + accepted;
    record.wrong = record.wrong * decay + (accepted < count ? 1 : 0);
    record.expected = record.expected * decay + expected;
    this.acceptedCount += accepted;
    this.rejectedCount += count - accepted;
  }

  /** Of guess `index`: as often as its source was right, or as often as its places say, if that has held lately. */
  #chance({ source, chances }: Draft, index: number): number {
    const { right, wrong, expected } = this.#record(source);
    if (chances !== null) {
      const trust = (right + priorWeight) / (expected + priorWeight);
      return trust < trustMin ? 0 : Math.min(chanceMax, chances[index]! * trust);
    }
    return (right + modelPrior * priorWeight) / (right + wrong + priorWeight);
  }

  #record(source: DraftSource): Record {
    const known = this.#records.get(source);
    if (known !== undefined) return known;
    const record = { right: 0, wrong: 0, expected: 0 };
    this.#records.set(source, record);
    return record;
  }
}

/** The same costs behind so much context. */
function costsBehind(costs: StepCosts, contextTokens: number): StepCosts {
  const { context } = costs;
  if (context === undefined) return costs;
  const further = contextTokens - context.tokens;
  return {
    decodeMs: costs.decodeMs.map((ms, i) => Math.max(0, ms + further * (i + 1) * context.decodeMs)),
    rowMs: costs.rowMs.map((ms, i) => Math.max(0, ms + further * context.rowMs[i]!)),
  };
}

function speedWithout(costs: StepCosts, decodingCount: number): number {
  return decodingCount / batchMs(costs, decodingCount);
}

/** Milliseconds of one step that decodes `count` sequences together; beyond the measured ones by the last slope. */
function batchMs({ decodeMs }: StepCosts, count: number): number {
  if (count === 0) return 0;
  const known = decodeMs[count - 1];
  if (known !== undefined) return known;
  const last = decodeMs.at(-1)!;
  return (last * count) / decodeMs.length;
}
