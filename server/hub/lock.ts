// One puller of a model at a time: a file that says who pulls and is touched while they live. Owns what is stale: its
// process is gone, or nobody has touched it for a while. Before it: pull.ts; after it: the file system.
import { mkdir, readFile, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock, Timer } from '../../kernels/clock.ts';

export interface LockParts {
  readonly clock: Clock;
  readonly epochMs: () => number;
  readonly self: LockOwner;
  readonly isAlive: (pid: number) => boolean; // a process of this machine
}

export interface LockOwner {
  readonly pid: number;
  readonly host: string;
  readonly token: string; // of this one lock
}

export interface Lock {
  /** Idempotent. Resolves also when another has taken it. */
  release(): Promise<void>;
}

const TOUCH_MS = 5000;
const STALE_MS = 60_000; // untouched for this long: a machine that is off, a process number that is another's now

/**
 * Takes the lock, or resolves with who has it. `onLost` is called if another takes it for stale, as after a machine
 * has slept. Rejects with what the file system says.
 */
export async function takeLock(
  path: string,
  parts: LockParts,
  onLost: () => void,
): Promise<{ lock: Lock } | { holder: string }> {
  await mkdir(dirname(path), { recursive: true });
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await writeFile(path, JSON.stringify(parts.self), { flag: 'wx' });
      return { lock: new HeldLock(path, parts, onLost) };
    } catch (error) {
      if ((error as { code?: string }).code !== 'EEXIST') throw error;
    }
    const seen = await readOwner(path);
    if (seen === null) continue; // released just now
    if (!(await isStale(path, seen.owner, parts))) return { holder: holderText(seen.owner) };
    await moveAside(path, seen.text, parts);
  }
  return { holder: 'another process' };
}

class HeldLock implements Lock {
  readonly #path: string;
  readonly #parts: LockParts;
  readonly #onLost: () => void;
  #timer: Timer | null = null;
  #over = false;

  constructor(path: string, parts: LockParts, onLost: () => void) {
    this.#path = path;
    this.#parts = parts;
    this.#onLost = onLost;
    this.#schedule();
  }

  async release(): Promise<void> {
    this.#over = true;
    this.#timer?.cancel();
    if (await this.#isOurs()) await unlink(this.#path).catch(() => {}); // already gone is as good
  }

  #schedule(): void {
    this.#timer = this.#parts.clock.schedule(TOUCH_MS, () => void this.#touch());
  }

  async #touch(): Promise<void> {
    const ours = await this.#isOurs();
    if (this.#over) return;
    if (!ours) {
      this.#over = true;
      this.#onLost();
      return;
    }
    const now = this.#parts.epochMs() / 1000;
    await utimes(this.#path, now, now).catch(() => {}); // the next touch finds out
    if (!this.#over) this.#schedule();
  }

  async #isOurs(): Promise<boolean> {
    return (await readOwner(this.#path))?.owner?.token === this.#parts.self.token;
  }
}

async function readOwner(path: string): Promise<{ text: string; owner: LockOwner | null } | null> {
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    const { pid, host, token } = JSON.parse(text) as Partial<LockOwner>;
    const known = Number.isSafeInteger(pid) && typeof host === 'string' && typeof token === 'string';
    return { text, owner: known ? { pid: pid!, host, token } : null };
  } catch {
    return { text, owner: null }; // being written, or cut
  }
}

async function isStale(path: string, owner: LockOwner | null, parts: LockParts): Promise<boolean> {
  if (owner !== null && owner.host === parts.self.host && !parts.isAlive(owner.pid)) return true;
  const found = await stat(path).catch(() => null);
  return found === null || parts.epochMs() - found.mtimeMs > STALE_MS;
}

/** Of several that find it stale one moves it; who moved a fresh one by mistake puts it back. */
async function moveAside(path: string, staleText: string, { self }: LockParts): Promise<void> {
  const aside = `${path}.${self.token}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  const text = await readFile(aside, 'utf8').catch(() => staleText);
  if (text !== staleText) await writeFile(path, text, { flag: 'wx' }).catch(() => {}); // taken anew meanwhile
  await unlink(aside).catch(() => {});
}

function holderText(owner: LockOwner | null): string {
  return owner === null ? 'another process' : `process ${owner.pid} on ${owner.host}`;
}
