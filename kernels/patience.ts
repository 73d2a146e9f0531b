// How long others are waited for: time in which this process ran. A laptop that slept, a container that was frozen, a
// machine so busy that nobody got a turn: all clocks went on, but who is waited for stood as still as the one who
// waits. Counted as a time-out, such a pause would cost a healthy worker its step. Before it: clock.ts.
import type { Clock, Timer } from './clock.ts';

const sliceCount = 8; // of a wait; each counts if it ended no later than it was long
const latenessMin = 20; // ms that are never too late: timers count in milliseconds

/**
 * Calls `fn` once, after `delayMs` in which the process ran. A slice of it that ended much too late is not counted: nobody
 * can say what of it was a pause, and what the others have done since then has not been read yet.
 */
export function schedulePatiently(clock: Clock, delayMs: number, fn: () => void): Timer {
  const sliceMs = delayMs / sliceCount;
  const latenessMax = Math.max(sliceMs, latenessMin);
  let left = sliceCount;
  let timer: Timer;
  const wait = () => {
    const dueMs = clock.nowMs() + sliceMs;
    timer = clock.schedule(sliceMs, () => {
      if (clock.nowMs() - dueMs <= latenessMax) left--;
      if (left === 0) fn();
      else wait();
    });
  };
  wait();
  return { cancel: () => timer.cancel() };
}
