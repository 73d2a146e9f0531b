// Drafter: guesses the next tokens of one sequence from what stands in its own text (prompt lookup), in what the same key
// was answered before, or in the answer that the client predicts; a draft model's guesses come from draft-model.ts. A guess
// costs a little compute and never changes the answer: the device draws every token itself and a guess only counts where it
// agrees. How many to guess is speculation.ts's decision.
import { borneOut, type Continuation } from './borne-out.ts';
import { chancesOf, lengthClass } from './guess-chances.ts';
import type { RememberedAnswers } from './request.ts';
import { TokenIndex } from './token-index.ts';

/** Where a guess comes from; each has its own record of how often it was right. */
export type DraftSource = 'prediction' | 'model' | MatchSource;

/** By the tokens that agree before it (lengthClass). */
const matchSources = ['match of 2', 'match of 4', 'match of 8', 'match of 16', 'match of 32'] as const;
type MatchSource = (typeof matchSources)[number];

// A prediction is worth as much as a place before which so many tokens agree, before any do: its client says so.
const PREDICTED_LENGTH = 8;

export interface Draft {
  readonly source: DraftSource;
  readonly tokens: Int32Array; // [≥ 1] guessed, in order
  readonly chances: Float64Array | null; // parallel: of each, those before it being right; null: a model's, of which only its record tells
}

/** Guesses as the device is to verify them. */
export interface SequenceDraft extends Draft {
  readonly masks: readonly (Uint32Array | null)[] | null; // [1 + tokens] what may be drawn in place of each and after the last
}

export class Drafter {
  readonly #prediction: Int32Array | null;
  readonly #predictionIndex: TokenIndex | null;
  readonly #remembered: RememberedAnswers | null;
  readonly #ownIndex = new TokenIndex();
  #locatedCount = 0; // tokens of the sequence when #expected was found
  #expected = 0; // position in the prediction that the output should reach next; −1: lost, look it up
  #agreed = 0; // tokens before it that the output has, too

  constructor(prediction: Int32Array | null, remembered: RememberedAnswers | null = null) {
    this.#remembered = remembered;
    this.#prediction = prediction;
    this.#predictionIndex = prediction === null ? null : new TokenIndex();
    if (prediction !== null) this.#predictionIndex!.extend(prediction, prediction.length);
  }

  /** Up to `countMax` guesses for what follows tokens [0, count), of which the last `count − promptCount` are output. */
  draft(
    tokens: Int32Array,
    { count, promptCount }: { count: number; promptCount: number },
    countMax: number,
  ): Draft | null {
    this.#ownIndex.extend(tokens, count);
    const predicted = this.#predicted(tokens, { count, promptCount }, countMax);
    // What was answered before goes first where it agrees on as much as the text itself.
    const places = [...predicted, ...(this.#remembered?.find(tokens, count, countMax) ?? [])];
    for (const { next, length } of this.#ownIndex.places(tokens, tokens, count))
      places.push({ length, tokens: copyOnward(tokens, next, count, countMax) });
    const found = borneOut(places);
    if (found === null) return null;
    const follows = found.tokens === predicted[0]?.tokens;
    const source = follows ? 'prediction' : matchSources[lengthClass(found.lengths[0]!)]!;
    return { source, tokens: found.tokens, chances: chancesOf(found) };
  }

  /** The place in the prediction where the output stands, if any. */
  #predicted(
    tokens: Int32Array,
    counts: { count: number; promptCount: number },
    countMax: number,
  ): readonly Continuation[] {
    const prediction = this.#prediction;
    if (prediction === null) return [];
    const position = this.#locate(tokens, counts);
    if (position < 0 || position >= prediction.length) return [];
    return [
      { length: PREDICTED_LENGTH + this.#agreed, tokens: prediction.slice(position, position + countMax) },
    ];
  }

  // Where in the prediction the output stands: where it was, as long as they agree; else where its end is found.
  #locate(tokens: Int32Array, { count, promptCount }: { count: number; promptCount: number }): number {
    const outputCount = count - promptCount;
    if (outputCount === 0) return 0;
    if (count === this.#locatedCount) return this.#expected;
    this.#locatedCount = count;
    const prediction = this.#prediction!;
    const found = this.#predictionIndex!.find(prediction, tokens.subarray(promptCount, count), outputCount);
    this.#agreed = found?.length ?? 1;
    if (found !== null) this.#expected = found.next;
    else if (this.#expected >= 0 && tokens[count - 1] === prediction[this.#expected]) this.#expected++;
    else if (prediction[outputCount - 1] === tokens[count - 1] && outputCount <= 2)
      this.#expected = outputCount;
    else this.#expected = -1;
    return this.#expected;
  }
}

// What followed the earlier occurrence. Past the end the guess goes on with itself: that is how loops repeat.
function copyOnward(tokens: Int32Array, next: number, count: number, countMax: number): Int32Array {
  if (next + countMax <= count) return tokens.subarray(next, next + countMax);
  const draft = new Int32Array(countMax);
  for (let index = 0; index < countMax; index++) {
    const position = next + index;
    draft[index] = position < count ? tokens[position]! : draft[position - count]!;
  }
  return draft;
}
