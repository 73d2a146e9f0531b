// KV blocks of all nodes in Redis or Valkey: a value a block, the order of their use, their sizes. Owns keys and scripts, and the bound:
// what was used least goes first, what nobody has used for a while goes by itself, and a store that is full gets room back. Knows no
// form of a record. Before it: shared-blocks.ts; after it: store-link.ts.
import { type BlockRecord, type BlockStore, StoreFullError } from './block-store.ts';
import type { RunScript } from './store-link.ts';

const GIVEN_ROOM_MS = 2000; // no more is given meanwhile, however many nodes are refused
const MARK_MS = 60_000; // a time to run out, whose rest says when it began

// KEYS: the order of use (score: ms), sizes, bytes of all. ARGV: prefix, ms that a block is kept.
const HEAD = `
local prefix, keepMs = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function drop(name)
  local size = redis.call('HGET', KEYS[2], name) or 0
  redis.call('UNLINK', prefix .. name)
  redis.call('ZREM', KEYS[1], name)
  redis.call('HDEL', KEYS[2], name)
  return tonumber(size)
end
-- Later than whatever came before, also within a millisecond.
local latest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local mark = math.max(now, tonumber(latest or 0) + (2 * #ARGV + 1) / 1000)
-- Blocks are of no use without those before them, which therefore go later.
local function use(name, rank)
  if redis.call('PEXPIRE', prefix .. name, keepMs) == 0 then return false end
  redis.call('ZADD', KEYS[1], string.format('%.3f', mark - rank / 1000), name)
  return true
end
`;
// From ARGV[3]: names.
const COUNT = `
for i = 3, #ARGV do
  if redis.call('EXISTS', ARGV[1] .. ARGV[i]) == 0 then return i - 3 end
end
return #ARGV - 2`;
// From ARGV[3]: names.
const READ = `${HEAD}
local found = {}
for i = 3, #ARGV do
  found[i - 2] = redis.call('GET', prefix .. ARGV[i])
  if found[i - 2] then use(ARGV[i], i) end
end
return found`;
// ARGV: bytes of all at most, count of used ones, their names; then name and value of each.
const WRITE = `${HEAD}
local sizeMax, usedCount = tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('SETRANGE', KEYS[3], 0, '') -- changes nothing; a full store asks a script's first change only
local size = tonumber(redis.call('GET', KEYS[3]) or '')
if not size or redis.call('PTTL', KEYS[3]) > 0 then -- room was given
  size = 0
  for _, one in ipairs(redis.call('HVALS', KEYS[2])) do size = size + one end
end
for i = 1, usedCount do use(ARGV[4 + i], i) end
for i = 5 + usedCount, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  if not use(name, usedCount + i) then
    size = size - drop(name) + #value
    redis.call('SET', prefix .. name, value, 'PX', keepMs)
    redis.call('HSET', KEYS[2], name, #value)
    use(name, usedCount + i)
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - keepMs, 'LIMIT', 0, 1000)) do
  size = size - drop(name)
end
while size > sizeMax do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)
  if not oldest[1] then break end
  size = size - drop(oldest[1])
end
redis.call('SET', KEYS[3], string.format('%.0f', size))
return 1`;
// Only commands that give room back: a store that is full allows no others. The bytes are counted anew; the time that they are
// kept marks when room was given, by whatever node: it is for all.
const GIVE_ROOM = `${HEAD}
if redis.call('PTTL', KEYS[3]) > ${MARK_MS - GIVEN_ROOM_MS} then return 0 end
local count = math.ceil(redis.call('ZCARD', KEYS[1]) / 8)
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, count - 1)) do drop(name) end
redis.call('PEXPIRE', KEYS[3], ${MARK_MS})
return count`;
// ARGV[3]: name.
const FORGET = `${HEAD}
drop(ARGV[3])
redis.call('DEL', KEYS[3])
return 1`;

export interface RedisBlocksOptions {
  readonly prefix: string;
  readonly sizeMax: number; // bytes of all blocks of all nodes
  readonly keepMs: number; // without use
}

export class RedisBlocks implements BlockStore {
  readonly #run: RunScript;
  readonly #options: RedisBlocksOptions;
  readonly #keys: readonly string[];

  constructor(run: RunScript, options: RedisBlocksOptions) {
    this.#run = run;
    this.#options = options;
    this.#keys = ['used', 'sizes', 'size'].map((name) => `${options.prefix}${name}`);
  }

  async count(names: readonly string[]): Promise<number> {
    return (await this.#ask(COUNT, names)) as number;
  }

  async read(names: readonly string[]): Promise<readonly (Uint8Array | null)[]> {
    return (await this.#ask(READ, names)) as readonly (Buffer | null)[];
  }

  async write(records: readonly BlockRecord[], used: readonly string[]): Promise<void> {
    const values = records.flatMap(({ name, bytes }) => [name, bytes]);
    try {
      await this.#ask(WRITE, [this.#options.sizeMax, used.length, ...used, ...values]);
    } catch (error) {
      if (!(error as Error).message.includes('OOM')) throw error;
      await this.#ask(GIVE_ROOM, []);
      throw new StoreFullError((error as Error).message);
    }
  }

  async forget(name: string): Promise<void> {
    await this.#ask(FORGET, [name]);
  }

  #ask(script: string, args: readonly (string | number | Uint8Array)[]): Promise<unknown> {
    const { prefix, keepMs } = this.#options;
    return this.#run(script, this.#keys, [`${prefix}block:`, keepMs, ...args]);
  }
}
