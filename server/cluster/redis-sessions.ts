// Sessions of all nodes in Redis or Valkey: for each its latest state, whose it is, and the number of times it has changed nodes.
// That number is the fence: what an earlier holder still writes is refused. Owns keys and scripts; knows no session. Before it:
// session-directory.ts; after it: store-link.ts.
import type { RunScript } from './store-link.ts';

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
}

export interface StoredSession {
  readonly fence: number; // of this node's turn with it
  readonly owner: string; // a digest of the key
  readonly state: Uint8Array;
  readonly keepMs: number; // without a change
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

export class RedisSessions implements SessionStore {
  readonly #run: RunScript;
  readonly #prefix: string;

  /** `prefix` of all keys: model and precision, so that only like nodes share. */
  constructor(run: RunScript, prefix: string) {
    this.#run = run;
    this.#prefix = prefix;
  }

  async save(id: string, { fence, owner, state, keepMs }: StoredSession): Promise<boolean> {
    return (await this.#run(SAVE, [this.#keyOf(id)], [fence, owner, state, keepMs])) === 1;
  }

  async take(id: string, owner: string): Promise<TakenSession | null> {
    const found = await this.#run(TAKE, [this.#keyOf(id)], [owner]);
    if (!Array.isArray(found)) return null;
    const [fence, state] = found as [number, Buffer];
    return { fence, state };
  }

  async forget(id: string, fence: number): Promise<void> {
    await this.#run(FORGET, [this.#keyOf(id)], [fence]);
  }

  #keyOf(id: string): string {
    return `${this.#prefix}${id}`;
  }
}
