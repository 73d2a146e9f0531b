// When a piece of compiling has taken long enough, so that other work goes on in between. Counted, not timed: the
// result does not depend on it, and a test can count, too. Before it: compiler.ts; after it: all that writes rules.
import type { RegexTable } from './byte-regex.ts';

/** Work that yields between its portions. */
export type Portioned<T> = Generator<void, T>;

const portionMax = 500; // steps and expressions together: 1 ms, 5 while the code is new to V8

export class Pace {
  readonly #table: RegexTable;
  #steps = 0;
  #portionStart = 0;

  constructor(table: RegexTable) {
    this.#table = table;
  }

  /** Work of a part that cannot give way itself: whoever asks next does. */
  spend(steps: number): void {
    this.#steps += steps;
  }

  /** After `steps` more things were looked at: true when it is time to give way, which begins another portion. */
  due(steps = 1): boolean {
    this.#steps += steps;
    const done = this.#steps + this.#table.work + this.#table.made;
    if (done - this.#portionStart < portionMax) return false;
    this.#portionStart = done;
    return true;
  }
}

/** For work whose portions nobody waits between. */
export function atOnce<T>(work: Portioned<T>): T {
  for (;;) {
    const turn = work.next();
    if (turn.done) return turn.value;
  }
}
