// Sessions of all nodes in Redis or Valkey, on the package ioredis: for each its latest state, whose it is, and the number of
// times it has changed nodes. That number is the fence: what an earlier holder still writes is refused. Owns keys and scripts;
// knows no session. Before it: session-directory.ts.
import { Redis } from 'ioredis';

export interface TakenSession {
  readonly fence: number;
  readonly state: Uint8Array;
}

/** What nodes share of sessions. Each rejects while the store cannot be reached. */
export interface SessionStore {
  /** False: another node has it by now. */
  save(id: string, entry: StoredSession): Promise<boolean>;
  /** The session is this node's from now on; null: there is none of this owner. */
  take(id: string, owner: string): Promise<TakenSession | null>;
  /** Unless another node has it by now. */
  forget(id: string, fence: number): Promise<void>;
  close(): void;
}

export interface StoredSession {
  readonly fence: number; // of this node's turn with it
  readonly owner: string; // a digest of the key
  readonly state: Uint8Array;
  readonly keepMs: number; // without a change
}

export interface RedisSessionsOptions {
  readonly url: string; // redis://host:port/database, rediss:// with TLS
  readonly prefix: string; // of all keys: model and precision, so that only like nodes share
  readonly onUp: () => void; // connected, also again
  readonly onDown: (reason: string) => void; // once for each outage
}

// KEYS: the session. ARGV: fence, owner, state, ms.
const SAVE = `
local fence = tonumber(redis.call('HGET', KEYS[1], 'fence') or '0')
if fence > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'owner', ARGV[2], 'state', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`;
// ARGV: owner.
const TAKE = `
local found = redis.call('HMGET', KEYS[1], 'owner', 'state')
if found[1] ~= ARGV[1] then return false end
return { redis.call('HINCRBY', KEYS[1], 'fence', 1), found[2] }`;
// ARGV: fence.
const FORGET = `
if redis.call('HGET', KEYS[1], 'fence') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`;

const TIMEOUT_MS = 2000; // a store that is slower is not there
const RETRY_MS_MAX = 1000;

export class RedisSessions implements SessionStore {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor({ url, prefix, onUp, onDown }: RedisSessionsOptions) {
    this.#prefix = prefix;
    this.#redis = new Redis(url, {
      enableOfflineQueue: false, // what cannot be written now is told again once it can
      maxRetriesPerRequest: 0,
      connectTimeout: TIMEOUT_MS,
      commandTimeout: TIMEOUT_MS,
      retryStrategy: (attempt) => Math.min(50 * attempt, RETRY_MS_MAX),
    });
    let down = false;
    let reason = 'the connection was closed';
    this.#redis.on('error', (error: Error) => {
      reason = error.message;
    });
    this.#redis.on('close', () => {
      if (!down) onDown(reason);
      down = true;
    });
    this.#redis.on('ready', () => {
      down = false;
      onUp();
    });
  }

  async save(id: string, { fence, owner, state, keepMs }: StoredSession): Promise<boolean> {
    const bytes = Buffer.from(state.buffer, state.byteOffset, state.byteLength);
    return (await this.#redis.eval(SAVE, 1, this.#keyOf(id), fence, owner, bytes, keepMs)) === 1;
  }

  async take(id: string, owner: string): Promise<TakenSession | null> {
    const found = await this.#redis.callBuffer('EVAL', TAKE, 1, this.#keyOf(id), owner);
    if (!Array.isArray(found)) return null;
    const [fence, state] = found as [number, Buffer];
    return { fence, state };
  }

  async forget(id: string, fence: number): Promise<void> {
    await this.#redis.eval(FORGET, 1, this.#keyOf(id), String(fence));
  }

  close(): void {
    this.#redis.disconnect();
  }

  #keyOf(id: string): string {
    return `${this.#prefix}${id}`;
  }
}
