// Speculation: how many guessed tokens of a sequence are worth verifying in the next step. Weighs how often guesses
// of this kind were right against what the device says a longer row costs. With nothing to gain it guesses nothing.
import type { StepCosts } from '../../kernels/backend.ts';
import type { Draft, DraftSource } from './drafter.ts';

/** Right and wrong guesses of one source, the recent ones weighing more. */
interface Record {
  right: number;
  wrong: number; // each draft stops being judged at its first wrong guess
}

const decay = 0.9; // per verified draft: about the last ten count
const priorWeight = 2; // imagined guesses behind each prior
/** Matches: as on agents' turns (test/bench/agent-turns.bench.ts), less a tenth where they are short. */
const priors: Readonly<{ [source in DraftSource]: number }> = {
  prediction: 0.85,
  model: 0.7,
  'match of 2': 0.4,
  'match of 4': 0.7,
  'match of 8': 0.8,
  'match of 16': 0.88,
  'match of 32': 0.95,
};
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
  readonly #records: { [source in DraftSource]: Record } = {
    prediction: { right: 0, wrong: 0 },
    model: { right: 0, wrong: 0 },
    'match of 2': { right: 0, wrong: 0 },
    'match of 4': { right: 0, wrong: 0 },
    'match of 8': { right: 0, wrong: 0 },
    'match of 16': { right: 0, wrong: 0 },
    'match of 32': { right: 0, wrong: 0 },
  };
  #probedCount = 0; // output tokens at the last probe
  acceptedCount = 0;
  rejectedCount = 0;

  /** Guesses of the draft to verify now, 0 to its length. `decodingCount` sequences decode in this step, this one included. */
  worthwhileCount(draft: Draft, near: StepCosts, { decodingCount, contextTokens }: DecodeLoad): number {
    const costs = costsBehind(near, contextTokens);
    const rate = this.#rate(draft.source);
    let best = 0;
    let bestSpeed = speedWithout(costs, decodingCount) * gainMin;
    const countMax = Math.min(draft.tokens.length, costs.rowMs.length - 1);
    let expected = 1;
    let chance = 1;
    for (let count = 1; count <= countMax; count++) {
      chance *= rate;
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
    const { right, wrong } = this.#records.model;
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

  /** What became of a draft of `count` guesses: the first `accepted` were right. */
  learn(source: DraftSource, { count, accepted }: { count: number; accepted: number }): void {
    const record = this.#records[source];
    record.right = record.right * decay + accepted;
    record.wrong = record.wrong * decay + (accepted < count ? 1 : 0);
    this.acceptedCount += accepted;
    this.rejectedCount += count - accepted;
  }

  #rate(source: DraftSource): number {
    const { right, wrong } = this.#records[source];
    return (right + priors[source] * priorWeight) / (right + wrong + priorWeight);
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
