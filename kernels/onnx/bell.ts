// The bell that wakes a worker for its next step: a count of rings in shared memory. Who rings counts first and wakes then, and may be
// held up between the two (a busy machine): by then the worker may have seen the count, carried the step out, and be asleep again.
// So to be woken is nothing by itself. Used by worker-link.ts and worker.ts.

/** `counts[at]` is the bell. */
export function ring(counts: Int32Array, at: number): void {
  Atomics.add(counts, at, 1);
  Atomics.notify(counts, at);
}

/** Sleeps until somebody has rung since the count was `seen`; the count then. */
export function waitForRing(counts: Int32Array, at: number, seen: number): number {
  for (;;) {
    const count = Atomics.load(counts, at);
    if (count !== seen) return count;
    Atomics.wait(counts, at, seen);
  }
}
