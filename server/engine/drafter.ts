// Drafter: guesses the next tokens of one sequence from what stands in its own text (prompt lookup), in what the same key
// was answered before, or in the answer that the client predicts; a draft model's guesses come from draft-model.ts. A guess
// costs a little compute and never changes the answer: the device draws every token itself and a guess only counts where it
// agrees. How many to guess is speculation.ts's decision.
import type { RememberedAnswers } from './request.ts';
import { TokenIndex } from './token-index.ts';

/** Where a guess comes from; each has its own record of how often it was right. */
export type DraftSource = 'prediction' | 'model' | MatchSource;

/** The more tokens agree before it, the likelier what followed them follows again. */
type MatchSource = 'match of 2' | 'match of 4' | 'match of 8' | 'match of 16' | 'match of 32';

export interface Draft {
  readonly source: DraftSource;
  readonly tokens: Int32Array; // [≥ 1] guessed, in order
}

export class Drafter {
  readonly #prediction: Int32Array | null;
  readonly #predictionIndex: TokenIndex | null;
  readonly #remembered: RememberedAnswers | null;
  readonly #ownIndex = new TokenIndex();
  #locatedCount = 0; // tokens of the sequence when #expected was found
  #expected = 0; // position in the prediction that the output should reach next; −1: lost, look it up

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
    if (this.#prediction !== null) {
      const position = this.#locate(tokens, { count, promptCount });
      if (position >= 0 && position < this.#prediction.length) {
        return { source: 'prediction', tokens: this.#prediction.slice(position, position + countMax) };
      }
    }
    this.#ownIndex.extend(tokens, count);
    const match = this.#ownIndex.find(tokens, tokens, count);
    const earlier = this.#remembered?.find(tokens, count, countMax) ?? null;
    if (earlier !== null && earlier.length >= (match?.length ?? 0))
      return { source: sourceOf(earlier.length), tokens: earlier.tokens };
    if (match === null) return null;
    return { source: sourceOf(match.length), tokens: copyOnward(tokens, match.next, count, countMax) };
  }

  // Where in the prediction the output stands: where it was, as long as they agree; else where its end is found.
  #locate(tokens: Int32Array, { count, promptCount }: { count: number; promptCount: number }): number {
    const outputCount = count - promptCount;
    if (outputCount === 0) return 0;
    if (count === this.#locatedCount) return this.#expected;
    this.#locatedCount = count;
    const prediction = this.#prediction!;
    const found = this.#predictionIndex!.find(prediction, tokens.subarray(promptCount, count), outputCount);
    if (found !== null) this.#expected = found.next;
    else if (this.#expected >= 0 && tokens[count - 1] === prediction[this.#expected]) this.#expected++;
    else if (prediction[outputCount - 1] === tokens[count - 1] && outputCount <= 2)
      this.#expected = outputCount;
    else this.#expected = -1;
    return this.#expected;
  }
}

function sourceOf(length: number): MatchSource {
  if (length < 4) return 'match of 2';
  if (length < 8) return 'match of 4';
  if (length < 16) return 'match of 8';
  return length < 32 ? 'match of 16' : 'match of 32';
}

// What followed the earlier occurrence. Past the end the guess goes on with itself: that is how loops repeat.
function copyOnward(tokens: Int32Array, next: number, count: number, countMax: number): Int32Array {
  const draft = new Int32Array(countMax);
  for (let index = 0; index < countMax; index++) {
    const position = next + index;
    draft[index] = position < count ? tokens[position]! : draft[position - count]!;
  }
  return draft;
}
