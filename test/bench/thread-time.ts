// The time that the calling thread has computed for, which a busy machine does not stretch. Used by benches of the event loop.
import { platform } from 'node:process';
import koffi from 'koffi';

const threadClock = 3; // CLOCK_THREAD_CPUTIME_ID; source: <bits/time.h> of glibc
const time = new BigInt64Array(2); // seconds, nanoseconds
const read = platform === 'linux' ? koffi.load('libc.so.6').func('int clock_gettime(int, void *)') : null;

/** Milliseconds of this thread's computing since it began; wall time where the system does not tell. */
export function threadMs(): number {
  if (read === null) return performance.now();
  read(threadClock, time);
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}
