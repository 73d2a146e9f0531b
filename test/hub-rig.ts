// A puller in this process on a mirror of its own and a cache of its own; waits are over at once.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { type PulledModel, type PullParts, pullModel } from '../server/hub/pull.ts';
import { systemDisk } from '../server/hub/pull-disk.ts';
import { parseReference } from '../server/hub/reference.ts';
import { type UndiciFetch, undiciFetch } from '../server/hub/undici-fetch.ts';
import { EagerClock } from './eager-clock.ts';
import { HubMirror } from './hub-mirror.ts';

export const SILENCE_MS = 30_000;
export const TOUCH_MS = 5000;

export class HubRig {
  mirror!: HubMirror;
  cacheDirectory!: string;
  clock!: EagerClock;
  connection!: UndiciFetch;
  notes: string[] = [];
  #pullers = 0;

  pull(name: string, changes: Partial<PullParts> & { readonly token?: string } = {}): Promise<PulledModel> {
    const { token = null, ...world } = changes;
    const puller = ++this.#pullers;
    return pullModel(parseReference(name)!, {
      settings: {
        endpoint: this.mirror.endpoint,
        cacheDirectory: this.cacheDirectory,
        token,
        offline: false,
      },
      fetch: this.connection.fetch,
      clock: this.clock,
      epochMs: () => Date.now(),
      note: (text) => this.notes.push(text),
      signal: new AbortController().signal,
      disk: systemDisk,
      self: { pid: puller, host: 'here', token: `puller-${puller}` },
      isAlive: () => true,
      checkSettings: () => {},
      checkArchitecture: () => {},
      progress: { onPlan: () => {}, onSize: () => {} },
      ...world,
    });
  }
}

/** Call at the top of a test file; each test has a fresh mirror and cache below `directory`. */
export function hubRig(directory: string): HubRig {
  const rig = new HubRig();
  beforeEach(async () => {
    rig.mirror = await HubMirror.open();
    rig.cacheDirectory = mkdtempSync(join(directory, 'cache-'));
    rig.clock = new EagerClock([SILENCE_MS, TOUCH_MS]);
    rig.connection = undiciFetch({});
    rig.notes = [];
  });
  afterEach(async () => {
    await rig.connection.close();
    await rig.mirror.close();
  });
  return rig;
}
