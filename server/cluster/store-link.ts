// The connection to Redis or Valkey through which nodes share what they know, on the package ioredis. Owns whether the store is
// there, and says so in the log; a store that does not answer in time is not there. Knows no key. Before it: open-cluster.ts;
// after it: redis-sessions.ts and redis-records.ts.
import { Redis } from 'ioredis';
import type { Log } from '../base/log.ts';

/** Whether the store can be reached, for whoever keeps something there. */
export interface StoreLink {
  readonly up: boolean;
  /** `onUp` each time that it is there, `onDown` once for each outage. */
  watch(watcher: StoreWatcher): void;
}

export interface StoreWatcher {
  onUp(): void; // it may have come back empty
  onDown(): void;
}

/** What a script answers; rejects while the store is gone. */
export type RunScript = (
  script: string,
  keys: readonly string[],
  args: readonly (string | number | Uint8Array)[],
) => Promise<unknown>;

const TIMEOUT_MS = 1500; // a store that is slower is not there
const RETRY_MS_MAX = 1000;

export class RedisLink implements StoreLink {
  readonly #redis: Redis;
  readonly #watchers: StoreWatcher[] = []; // a few, each of which is there for good
  #up = false;

  /** `log`: null where another link to the same store says how it is. */
  constructor({ url, log }: { readonly url: string; readonly log: Log | null }) {
    this.#redis = new Redis(url, {
      enableOfflineQueue: false, // what cannot be written now is told again once it can
      maxRetriesPerRequest: 0,
      connectTimeout: TIMEOUT_MS,
      commandTimeout: TIMEOUT_MS,
      retryStrategy: (attempt) => Math.min(50 * attempt, RETRY_MS_MAX),
    });
    let reason = 'the connection was closed';
    let told = false;
    this.#redis.on('error', (error: Error) => {
      reason = error.message;
    });
    this.#redis.on('close', () => {
      this.#up = false;
      if (told) return;
      told = true;
      log?.warn('the nodes’ store is gone: this node goes on alone', { reason });
      for (const { onDown } of this.#watchers) onDown();
    });
    this.#redis.on('ready', () => {
      this.#up = true;
      told = false;
      log?.info('the nodes’ store is there');
      for (const { onUp } of this.#watchers) onUp();
    });
  }

  get up(): boolean {
    return this.#up;
  }

  watch({ onUp, onDown }: StoreWatcher): void {
    this.#watchers.push({ onUp: () => onUp(), onDown: () => onDown() });
    if (this.#up) onUp();
  }

  /** Integers, bytes and lists of them, as Redis answers them. */
  readonly run: RunScript = async (script, keys, args) => {
    const sent = args.map((arg) =>
      arg instanceof Uint8Array ? Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength) : arg,
    );
    try {
      return await this.#redis.callBuffer('EVAL', script, keys.length, ...keys, ...sent);
    } catch (error) {
      // It would be waited for once more by everybody else.
      if ((error as Error).message === 'Command timed out' && this.#up) this.#redis.disconnect(true);
      throw error;
    }
  };

  close(): void {
    this.#redis.disconnect();
  }
}
