// WaitingLine: who waits for a seat, most urgent first. Its head leaves in constant time, however many stand behind it: under
// saturation thousands do. Used by scheduler.ts.

const slackMax = 1024; // places of those who left, before the rest moves up

export class WaitingLine<Waiter> {
  #waiters: Waiter[] = [];
  #head = 0; // places before it are empty

  get length(): number {
    return this.#waiters.length - this.#head;
  }

  /** The one at `index`; the most urgent is at 0. */
  at(index: number): Waiter {
    return this.#waiters[this.#head + index]!;
  }

  /** In front of whom it precedes; those of equal urgency keep their order. */
  insert(waiter: Waiter, precedes: (other: Waiter) => boolean): void {
    let place = this.#waiters.length;
    while (place > this.#head && precedes(this.#waiters[place - 1]!)) place--;
    if (place === this.#waiters.length) this.#waiters.push(waiter);
    else this.#waiters.splice(place, 0, waiter);
  }

  removeAt(index: number): void {
    if (index > 0) {
      this.#waiters.splice(this.#head + index, 1);
      return;
    }
    // What has left is let go of, so that it does not outlive its request here.
    this.#waiters[this.#head++] = undefined as never;
    if (this.#head === this.#waiters.length) this.takeAll();
    else if (this.#head > slackMax && this.#head * 2 > this.#waiters.length) {
      this.#waiters = this.#waiters.slice(this.#head);
      this.#head = 0;
    }
  }

  remove(waiter: Waiter): void {
    this.removeAt(this.#waiters.indexOf(waiter, this.#head) - this.#head);
  }

  some(holds: (waiter: Waiter) => boolean): boolean {
    for (let place = this.#head; place < this.#waiters.length; place++)
      if (holds(this.#waiters[place]!)) return true;
    return false;
  }

  /** Empties the line. */
  takeAll(): Waiter[] {
    const all = this.#waiters.slice(this.#head);
    this.#waiters = [];
    this.#head = 0;
    return all;
  }
}
