// Sessions of all nodes in Redis or Valkey: for each its latest state, whose it is, and the number of times it has changed nodes.
// That number is the fence: what an earlier holder still writes is refused. A change says which state it goes on from, so that what was
// lost meanwhile is seen. Owns keys and scripts; knows no session. Before it: session-directory.ts; after it: store-link.ts.
import { COLUMNS, type SessionBytes, type SessionChange } from './session-bytes.ts';
import type { RunScript } from './store-link.ts';

export interface TakenSession {
  readonly fence: number;
  readonly state: SessionBytes;
  readonly drawn: Uint8Array; // what was told by draw() since the latest state
}

/** `stale`: another node has it by now. `lost`: what it goes on from is not there; all of it has to be told. */
export type Saved = 'kept' | 'stale' | 'lost';

/** What nodes share of sessions. Each rejects while the store cannot be reached. */
export interface SessionStore {
  save(id: string, entry: StoredSession): Promise<Saved>;
  /** Tokens of the answer to its question, unless another state of it has been told since, or what comes before them is missing. */
  draw(id: string, piece: DrawnPiece): Promise<void>;
  /**
   * The session is this node's from now on; null: there is none of this owner. `behind`: what is there has fewer tokens than
   * `position`, and stays whose it is.
   */
  take(id: string, owner: string, position: number): Promise<TakenSession | 'behind' | null>;
  /** Unless another node has it by now. */
  forget(id: string, fence: number): Promise<void>;
}

export interface StoredSession {
  readonly fence: number; // of this node's turn with it
  readonly owner: string; // a digest of the key
  readonly after: number | null; // the state that `change` goes on from; null: from none, it is all there is
  readonly number: number; // of this state, within the turn
  readonly position: number; // tokens that it has
  readonly change: SessionChange;
  readonly keepMs: number; // without a change
}

export interface DrawnPiece {
  readonly fence: number;
  readonly number: number; // of the state with the question
  readonly keepMs: number;
  readonly start: number; // bytes before
  readonly bytes: Uint8Array;
}

// KEYS: the session, its columns, what is drawn. ARGV: fence, owner, ms, state before or '', state, head, position; then start and bytes of each column.
// A full store asks a script's first change only.
const SAVE = `
local there = redis.call('HMGET', KEYS[1], 'fence', 'number')
if tonumber(there[1] or '0') > tonumber(ARGV[1]) then return 'stale' end
if ARGV[4] ~= '' then
  if there[1] ~= ARGV[1] or there[2] ~= ARGV[4] then return 'lost' end
  for i = 2, #KEYS - 1 do
    if redis.call('STRLEN', KEYS[i]) < tonumber(ARGV[4 + 2 * i]) then return 'lost' end
  end
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'owner', ARGV[2], 'number', ARGV[5], 'head', ARGV[6], 'position', ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[#KEYS])
for i = 2, #KEYS - 1 do
  local start, bytes = ARGV[4 + 2 * i], ARGV[5 + 2 * i]
  if start == '0' then redis.call('SET', KEYS[i], bytes) else redis.call('SETRANGE', KEYS[i], start, bytes) end
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return 'kept'`;
// KEYS: the session, what is drawn. ARGV: fence, state, ms, start, bytes.
const DRAW = `
local there = redis.call('HMGET', KEYS[1], 'fence', 'number')
if there[1] ~= ARGV[1] or there[2] ~= ARGV[2] then return 0 end
if redis.call('STRLEN', KEYS[2]) < tonumber(ARGV[4]) then return 0 end
redis.call('SETRANGE', KEYS[2], ARGV[4], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1`;
// ARGV: owner, position.
const TAKE = `
local found = redis.call('HMGET', KEYS[1], 'owner', 'head', 'position')
if found[1] ~= ARGV[1] or not found[2] then return false end
if tonumber(found[3] or '0') < tonumber(ARGV[2]) then return 'behind' end
local taken = { redis.call('HINCRBY', KEYS[1], 'fence', 1), found[2] }
for i = 2, #KEYS do taken[i + 1] = redis.call('GET', KEYS[i]) or '' end
return taken`;
// ARGV: fence.
const FORGET = `
if redis.call('HGET', KEYS[1], 'fence') == ARGV[1] then redis.call('DEL', unpack(KEYS)) end
return 1`;

export class RedisSessions implements SessionStore {
  readonly #run: RunScript;
  readonly #prefix: string;

  /** `prefix` of all keys: model and precision, so that only like nodes share. */
  constructor(run: RunScript, prefix: string) {
    this.#run = run;
    this.#prefix = prefix;
  }

  async save(id: string, entry: StoredSession): Promise<Saved> {
    const { fence, owner, keepMs, after, number, position, change } = entry;
    const columns = change.columns.flatMap(({ start, bytes }) => [start, bytes]);
    const args = [fence, owner, keepMs, after ?? '', number, change.head, position, ...columns];
    return String(await this.#run(SAVE, this.#keysOf(id), args)) as Saved;
  }

  async draw(id: string, { fence, number, keepMs, start, bytes }: DrawnPiece): Promise<void> {
    const [key, ...others] = this.#keysOf(id);
    await this.#run(DRAW, [key!, others.at(-1)!], [fence, number, keepMs, start, bytes]);
  }

  async take(id: string, owner: string, position: number): Promise<TakenSession | 'behind' | null> {
    const found = await this.#run(TAKE, this.#keysOf(id), [owner, position]);
    if (!Array.isArray(found)) return found === null ? null : 'behind';
    const [fence, head, ...columns] = found as [number, Buffer, ...Buffer[]];
    return { fence, state: { head, columns: columns.slice(0, COLUMNS) }, drawn: columns[COLUMNS]! };
  }

  async forget(id: string, fence: number): Promise<void> {
    await this.#run(FORGET, this.#keysOf(id), [fence]);
  }

  /** The session's own, one for each column, and that of what is drawn. */
  #keysOf(id: string): string[] {
    const key = `${this.#prefix}${id}`;
    return [key, ...Array.from({ length: COLUMNS }, (_, column) => `${key}:${column}`), `${key}:drawn`];
  }
}
