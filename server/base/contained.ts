// What one caller brought about and throws is that caller's: it is logged, and nobody else hears of it. Used where the sockets, the
// timers and other threads call in, outside of which there is only the process. The engine's own steps are not contained: what they
// hold is everybody's.
import type { Log } from './log.ts';

/** Of kernels/clock.ts, on which nothing here depends. */
interface Calls {
  nowMs(): number;
  schedule(delayMs: number, fn: () => void): { cancel(): void };
  defer(fn: () => void): void;
}

/** Runs `act`; what it throws goes to `onThrow` and no further. */
export function contained(act: () => void, onThrow: (error: unknown) => void): void {
  try {
    act();
  } catch (error) {
    onThrow(error);
  }
}

/** The same time; what is called back throws into the log. */
export function containedClock(clock: Calls, log: Pick<Log, 'error'>): Calls {
  const logged = (act: () => void) => () => contained(act, (err) => log.error('a timer failed', { err }));
  return {
    nowMs: () => clock.nowMs(),
    schedule: (delayMs, fn) => clock.schedule(delayMs, logged(fn)),
    defer: (fn) => clock.defer(logged(fn)),
  };
}
