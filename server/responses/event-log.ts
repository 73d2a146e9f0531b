// EventLog: the events of a response that goes on without its caller, for whoever watches it, from wherever it was left.
// Owns them up to a size, the oldest go first; an event's place is its sequence number. Before it: background.ts fills it;
// after it: watch.ts reads it.
import type { ResponseEvent } from './events.ts';

export interface KeptEvents {
  readonly first: number; // sequence number of events[0]
  readonly events: readonly ResponseEvent[];
}

export class EventLog {
  readonly #sizeMax: number;
  readonly #events: ResponseEvent[] = [];
  readonly #followers = new Set<() => void>(); // bounded by the connections of the server
  #first = 0; // sequence number of #events[0]
  #size = 0; // characters
  #ended = false;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  /** That of another node, ended. */
  static of({ first, events }: KeptEvents): EventLog {
    const log = new EventLog(Number.POSITIVE_INFINITY);
    log.#first = first;
    for (const event of events) log.add(event);
    log.end();
    return log;
  }

  get kept(): KeptEvents {
    return { first: this.#first, events: this.#events };
  }

  get ended(): boolean {
    return this.#ended;
  }

  get size(): number {
    return this.#size;
  }

  add(event: ResponseEvent): void {
    if (this.#first === Number.POSITIVE_INFINITY) return;
    this.#events.push(event);
    this.#size += event.json.length;
    while (this.#size > this.#sizeMax && this.#events.length > 1) {
      this.#size -= this.#events.shift()!.json.length;
      this.#first++;
    }
    this.#wake();
  }

  /** Nothing comes after it. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Its numbers do not count any more: whoever reads it from now on is told that it is gone. */
  spoil(): void {
    this.#first = Number.POSITIVE_INFINITY;
    this.#events.length = 0;
    this.#size = 0;
    this.#wake();
  }

  /** The event of that number; null: not yet; 'gone': no longer kept. */
  at(number: number): ResponseEvent | null | 'gone' {
    if (number < this.#first) return 'gone';
    return this.#events[number - this.#first] ?? null;
  }

  /** Calls whenever there is more, or the end. Returns how to stop that. */
  follow(onMore: () => void): () => void {
    this.#followers.add(onMore);
    return () => this.#followers.delete(onMore);
  }

  #wake(): void {
    for (const onMore of [...this.#followers]) onMore();
  }
}
