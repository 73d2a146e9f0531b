// AnswerMemory: what one key's answers said lately, to guess from: agents repeat their own words, which their clients drop
// from the next prompt or shorten. Owns the tokens and their index, at most so many; knows nothing of texts or requests.
// Before it: server/generation/answer-memories.ts, one for each key; after it: drafter.ts asks it.
import type { Continuation } from './borne-out.ts';
import type { RememberedAnswers } from './request.ts';
import { TokenIndex } from './token-index.ts';

const apart = -1; // after each answer; no token, so nothing is found or guessed across it

interface Answer {
  readonly session: string | null; // with which it is forgotten
  readonly tokens: Int32Array;
  readonly atMs: number;
}

export class AnswerMemory implements RememberedAnswers {
  readonly #tokensMax: number;
  #answers: Answer[] = []; // oldest first
  #text = new Int32Array(1024); // all of them, one after another
  #textCount = 0;
  #index = new TokenIndex();

  constructor(tokensMax: number) {
    this.#tokensMax = tokensMax;
  }

  get tokenCount(): number {
    return this.#textCount;
  }

  /** Of a longer answer than all that may be kept, the end. */
  remember(session: string | null, tokens: readonly number[], atMs: number): void {
    const kept = Int32Array.from(tokens.slice(-Math.max(0, this.#tokensMax - 1)));
    if (kept.length === 0 || this.#tokensMax < 2) return;
    if (this.#textCount + kept.length + 1 > this.#tokensMax) this.#makeRoom(kept.length + 1);
    const answer = { session, tokens: kept, atMs };
    this.#answers.push(answer);
    this.#append(answer);
  }

  /** Everything that this session said. */
  forget(session: string): void {
    this.#keep(this.#answers.filter((answer) => answer.session !== session));
  }

  forgetBefore(atMs: number): void {
    this.#keep(this.#answers.filter((answer) => answer.atMs >= atMs));
  }

  find(query: Int32Array, count: number, countMax: number): readonly Continuation[] {
    const found: Continuation[] = [];
    for (const { next, length } of this.#index.places(this.#text, query, count)) {
      const rest = this.#text.subarray(next, Math.min(next + countMax, this.#textCount));
      const end = rest.indexOf(apart);
      const tokens = end < 0 ? rest.slice() : rest.slice(0, end);
      if (tokens.length > 0) found.push({ length, tokens });
    }
    return found;
  }

  // To half of what may be kept, so that the index is not made anew for each answer.
  #makeRoom(needed: number): void {
    let count = this.#textCount;
    const bound = Math.min(this.#tokensMax / 2, this.#tokensMax - needed);
    let oldest = 0;
    while (count > bound) count -= this.#answers[oldest++]!.tokens.length + 1;
    this.#keep(this.#answers.slice(oldest));
  }

  #keep(answers: Answer[]): void {
    if (answers.length === this.#answers.length) return;
    this.#answers = answers;
    this.#text.fill(0); // what is forgotten is gone
    this.#textCount = 0;
    this.#index = new TokenIndex();
    for (const answer of answers) this.#append(answer);
  }

  #append({ tokens }: Answer): void {
    const count = this.#textCount + tokens.length + 1;
    if (count > this.#text.length) {
      const grown = new Int32Array(Math.max(2 * this.#text.length, count));
      grown.set(this.#text);
      this.#text = grown;
    }
    this.#text.set(tokens, this.#textCount);
    this.#text[count - 1] = apart;
    this.#textCount = count;
    this.#index.extend(this.#text, count);
  }
}
