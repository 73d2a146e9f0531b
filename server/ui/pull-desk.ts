// Pulls that the page has asked for: one at a time, with what came of the latest ones. Fetching itself is the hub's. Before it:
// pull-routes.ts; after it: PageHub, which the program gives.
import { type Fault, fault } from '../base/errors.ts';
import type { ListedModel } from '../hub/listed-cache.ts';
import type { LivePull } from './page/live-report.ts';

/** The hub as the page may use it. */
export interface PageHub {
  /** Whole models in the cache. */
  readonly cached: () => readonly ListedModel[];
  /** Resolves with where it lies; rejects with why not. Sizes in bytes. */
  readonly pull: (
    name: string,
    watch: {
      readonly signal: AbortSignal;
      readonly onSize: (sizes: { doneSize: number; totalSize: number }) => void;
    },
  ) => Promise<string>;
}

const PULLS_MAX = 8; // remembered

export class PullDesk {
  readonly #hub: PageHub;
  readonly #pulls: LivePull[] = []; // the latest first
  #running: AbortController | null = null;

  constructor(hub: PageHub) {
    this.#hub = hub;
  }

  get pulls(): readonly LivePull[] {
    return this.#pulls;
  }

  get cached(): readonly ListedModel[] {
    return this.#hub.cached();
  }

  /** Null: it has begun. */
  start(name: string): Fault | null {
    if (this.#running !== null) {
      return fault('queue_full', 'another model is being pulled', { retryAfterMs: 10_000 });
    }
    const running = new AbortController();
    this.#running = running;
    this.#pulls.unshift({ name, doneSize: 0, totalSize: 0, state: 'running', note: '' });
    this.#pulls.splice(PULLS_MAX);
    const watch = {
      signal: running.signal,
      onSize: ({ doneSize, totalSize }: { doneSize: number; totalSize: number }) =>
        this.#change({ doneSize, totalSize }),
    };
    this.#hub.pull(name, watch).then(
      (path) => this.#end({ state: 'done', note: path }),
      (error: unknown) => this.#end({ state: 'failed', note: (error as Error).message }),
    );
    return null;
  }

  /** What has arrived is kept: pulling it again goes on from there. False: none is running. */
  cancel(): boolean {
    const running = this.#running;
    running?.abort();
    return running !== null;
  }

  #change(change: Partial<LivePull>): void {
    this.#pulls[0] = { ...this.#pulls[0]!, ...change };
  }

  #end(change: Partial<LivePull>): void {
    this.#running = null;
    this.#change(change);
  }
}
