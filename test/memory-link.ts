// The link to a store that nodes share, in memory: it can go and come back. For tests.
import type { StoreLink, StoreWatcher } from '../server/cluster/store-link.ts';

export class MemoryLink implements StoreLink {
  up = true;
  readonly #watchers: StoreWatcher[] = [];

  watch(watcher: StoreWatcher): void {
    this.#watchers.push(watcher);
    if (this.up) watcher.onUp();
  }

  goes(): void {
    this.up = false;
    for (const watcher of this.#watchers) watcher.onDown();
  }

  comes({ empty = false } = {}): void {
    this.up = true;
    if (empty) this.clear();
    for (const watcher of this.#watchers) watcher.onUp();
  }

  /** What it keeps is lost. */
  clear(): void {}

  reach(): void {
    if (!this.up) throw new Error('the store is gone');
  }
}
