// File descriptors: how many this process may have, how many it has, and the words for too few. A server that runs out
// cannot accept connections, and uWebSockets.js says nothing then. Used by serve.ts and program.ts; Linux only, elsewhere
// nothing is known and nothing is said.
import { readdirSync, readFileSync } from 'node:fs';
import type { Clock } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config/config.ts';

// Beside connections: modules and libraries, the model, worker threads, the archive, outcomes, upstreams.
const OWN_COUNT = 128;
const WATCH_MS = 5000;
const LOW_SHARE = 0.9; // of what is allowed

export const TOO_FEW =
  'no file descriptor is left; raise the bound of this shell (ulimit -n), 1024 is enough for most';

/** Of this process; null where the system does not tell. */
export function descriptorCountMax(read: (path: string) => string = readText): number | null {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(read('/proc/self/limits'));
    return found === null ? null : Number(found[1]);
  } catch {
    return null; // no such file: another system
  }
}

/** Warns at once where all connections together would be more than is allowed, and later whenever few are left. */
export function watchDescriptors(config: Config, { clock, log }: { clock: Clock; log: Log }): () => void {
  const allowed = descriptorCountMax();
  if (allowed === null) return () => {};
  if (allowed < config.connectionCountMax + OWN_COUNT) {
    log.warn('file descriptors may run out: raise ulimit -n, or lower --connections', {
      allowed,
      wanted: config.connectionCountMax + OWN_COUNT,
    });
  }
  let low = false;
  let timer = clock.schedule(WATCH_MS, look);
  function look(): void {
    const open = openCount() ?? allowed!;
    const isLow = open >= allowed! * LOW_SHARE;
    if (isLow && !low)
      log.warn('file descriptors run out: connections will not be accepted', { open, allowed });
    low = isLow;
    timer = clock.schedule(WATCH_MS, look);
  }
  return () => timer.cancel();
}

/** Null when not even one is left to look with. */
function openCount(): number | null {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
