// Time, injected. WallClock serves people; VirtualClock runs the whole server as fast as it can compute,
// in an order that depends on nothing but the events themselves. No other file reads the time.

/** A pending call; `cancel` is idempotent and harmless after it has fired. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since an arbitrary origin; monotonic, fractional. */
  nowMs(): number;
  /** Calls `fn` once, not before `delayMs` from now and never in the caller's stack. */
  schedule(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` once, as soon as the current stack is done. */
  defer(fn: () => void): void;
}

export class WallClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  schedule(delayMs: number, fn: () => void): Timer {
    const handle = setTimeout(fn, Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }
}

// Its own timer: a simulation makes tens of them for each request.
class Event implements Timer {
  readonly atMs: number;
  readonly order: number; // ties fire in the order they were scheduled
  readonly fn: () => void;
  cancelled = false;

  constructor(atMs: number, order: number, fn: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.fn = fn;
  }

  cancel(): void {
    this.cancelled = true;
  }
}

export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #heap: Event[] = []; // binary min-heap by (atMs, order)

  nowMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, fn: () => void): Timer {
    const event = new Event(this.#nowMs + Math.max(0, delayMs), this.#order++, fn);
    this.#push(event);
    return event;
  }

  defer(fn: () => void): void {
    this.schedule(0, fn);
  }

  /** Fires the next event, advancing time to it; false when none is left. */
  step(): boolean {
    for (let event = this.#pop(); event !== undefined; event = this.#pop()) {
      if (event.cancelled) continue;
      this.#nowMs = event.atMs;
      event.fn();
      return true;
    }
    return false;
  }

  /** Fires events until none is left or the next one lies after `untilMs`; returns how many fired. */
  run(untilMs = Number.POSITIVE_INFINITY): number {
    let fired = 0;
    for (;;) {
      while (this.#heap[0]?.cancelled) this.#pop();
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.step();
      fired++;
    }
    if (Number.isFinite(untilMs)) this.#nowMs = Math.max(this.#nowMs, untilMs);
    return fired;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    let child = heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[child] = heap[parent]!; // the hole moves up, and is filled once
      child = parent;
    }
    heap[child] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let parent = 0;
    for (;;) {
      const left = 2 * parent + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && before(heap[right]!, heap[left]!) ? right : left;
      if (!before(heap[child]!, last)) break;
      heap[parent] = heap[child]!;
      parent = child;
    }
    heap[parent] = last;
    return top;
  }
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
