// Records of all nodes in Redis or Valkey, one kind of them. Owns keys, scripts and bounds: age, count per owner, size of all
// together, the oldest goes first. A record that its owner has deleted leaves a mark for as long as it would have been kept, so
// that no node that was away puts it back. Before it: shared-records.ts; after it: store-link.ts.
import type {
  Found,
  Put,
  RecordAsk,
  RecordBounds,
  RecordLock,
  RecordStore,
  SharedRecord,
} from './record-store.ts';
import type { RunScript } from './store-link.ts';

// Keys: …r:ID a record, …n:NAME whose name it is, …index and …of:OWNER what there is by age, …sizes and …total bytes. They are
// made from one another here, so a script says only the first: one server or a primary with replicas, no Redis Cluster.
const COMMON = `
local base, owner, id, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key, member = base .. 'r:' .. id, owner .. '/' .. id
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local age = string.format('%.3f', time[1] * 1000 + time[2] / 1000) -- as a number it would lose its digits on the way
local function drop(other)
  local at = other:find('/', 1, true)
  local theirs, its = other:sub(1, at - 1), other:sub(at + 1)
  for name in (redis.call('HGET', base .. 'r:' .. its, 'names') or ''):gmatch('[^\\n]+') do
    redis.call('DEL', base .. 'n:' .. name)
  end
  redis.call('DEL', base .. 'r:' .. its)
  redis.call('ZREM', base .. 'index', other)
  redis.call('ZREM', base .. 'of:' .. theirs, its)
  redis.call('DECRBY', base .. 'total', redis.call('HGET', base .. 'sizes', other) or 0)
  redis.call('HDEL', base .. 'sizes', other)
end
`;

// ARGV from 5 on: version, bytes, count for each owner, size of all, names …
const PUT = `${COMMON}
local there = redis.call('HMGET', key, 'owner', 'version')
if there[1] and there[1] ~= owner then return 1 end
if there[2] == 'deleted' then return 2 end
if there[2] and tonumber(there[2]) >= tonumber(ARGV[5]) then return 1 end
local names, size = {}, #ARGV[6]
for i = 9, #ARGV do
  names[#names + 1] = ARGV[i]
  size = size + #ARGV[i]
end
redis.call('HSET', key, 'owner', owner, 'version', ARGV[5], 'bytes', ARGV[6], 'names', table.concat(names, '\\n'))
redis.call('PEXPIRE', key, keep)
for _, name in ipairs(names) do redis.call('SET', base .. 'n:' .. name, member, 'PX', keep) end
redis.call('INCRBY', base .. 'total', size - (redis.call('HGET', base .. 'sizes', member) or 0))
redis.call('HSET', base .. 'sizes', member, size)
redis.call('ZADD', base .. 'index', age, member)
redis.call('ZADD', base .. 'of:' .. owner, age, id)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', base .. 'index', '-inf', now - keep, 'LIMIT', 0, 100)) do drop(old) end
local excess = redis.call('ZCARD', base .. 'of:' .. owner) - ARGV[7]
if excess > 0 then
  for _, old in ipairs(redis.call('ZRANGE', base .. 'of:' .. owner, 0, excess - 1)) do drop(owner .. '/' .. old) end
end
while tonumber(redis.call('GET', base .. 'total')) > tonumber(ARGV[8]) do
  drop(redis.call('ZRANGE', base .. 'index', 0, 0)[1])
end
return 0`;

// ARGV 5: the version that the asker has; 6: who asks; 7: 1 where use keeps it.
const FIND = `${COMMON}
local there = redis.call('HMGET', key, 'owner', 'version', 'holder', 'until')
if there[1] ~= owner then return 0 end
if there[2] == 'deleted' then return 1 end
if ARGV[7] == '1' then
  redis.call('PEXPIRE', key, keep)
  redis.call('ZADD', base .. 'index', 'XX', age, member)
  redis.call('ZADD', base .. 'of:' .. owner, 'XX', age, id)
end
local locked = 0
if there[3] and there[3] ~= ARGV[6] then locked = math.max(0, there[4] - now) end
if there[2] == ARGV[5] then return { locked } end
return { locked, tonumber(there[2]), redis.call('HGET', key, 'bytes') }`;

const DELETE = `${COMMON}
local there = redis.call('HGET', key, 'owner')
if there and there ~= owner then return 0 end
drop(member)
redis.call('HSET', key, 'owner', owner, 'version', 'deleted')
redis.call('PEXPIRE', key, keep)
return 1`;

// ARGV 5: who; 6: for how long; 7: the version that it has, −1 for any.
const LOCK = `${COMMON}
local there = redis.call('HMGET', key, 'owner', 'version')
if there[1] ~= owner then return 1 end
if ARGV[7] ~= '-1' and (there[2] == 'deleted' or tonumber(there[2]) > tonumber(ARGV[7])) then return 0 end
if ARGV[6] ~= '0' then redis.call('HSET', key, 'holder', ARGV[5], 'until', now + ARGV[6])
elseif redis.call('HGET', key, 'holder') == ARGV[5] then redis.call('HDEL', key, 'holder', 'until') end
return 1`;

const NAMED = `
local found = redis.call('GET', ARGV[1] .. 'n:' .. ARGV[3])
if not found or found:sub(1, #ARGV[2] + 1) ~= ARGV[2] .. '/' then return false end
return found:sub(#ARGV[2] + 2)`;

const PUTS: readonly Put[] = ['kept', 'stale', 'deleted'];

export interface RedisRecordsOptions {
  readonly run: RunScript;
  readonly prefix: string; // of all keys
  readonly bounds: RecordBounds;
  readonly useKeeps: boolean; // as a change does
}

export class RedisRecords implements RecordStore {
  readonly #options: RedisRecordsOptions;

  constructor(options: RedisRecordsOptions) {
    this.#options = options;
  }

  async find({ id, owner, version, holder }: RecordAsk): Promise<Found> {
    const found = await this.#run(FIND, { id, owner }, version, holder, this.#options.useKeeps ? 1 : 0);
    if (found === 0) return { kind: 'none' };
    if (found === 1) return { kind: 'deleted' };
    const [lockedMs, there, bytes] = found as [number, number?, Buffer?];
    if (there === undefined || bytes === undefined) return { kind: 'same', lockedMs };
    return { kind: 'record', version: there, bytes, lockedMs };
  }

  async put({ id, owner, version, bytes, names }: SharedRecord): Promise<Put> {
    const { countPerOwnerMax, sizeMax } = this.#options.bounds;
    const put = await this.#run(PUT, { id, owner }, version, bytes, countPerOwnerMax, sizeMax, ...names);
    return PUTS[put as number]!;
  }

  async delete(id: string, owner: string): Promise<void> {
    await this.#run(DELETE, { id, owner });
  }

  async lock(id: string, { owner, holder, ms, version }: RecordLock): Promise<boolean> {
    return (await this.#run(LOCK, { id, owner }, holder, ms, version)) === 1;
  }

  async named(name: string, owner: string): Promise<string | null> {
    const found = await this.#options.run(NAMED, [], [this.#options.prefix, owner, name]);
    return found === null ? null : String(found);
  }

  #run(
    script: string,
    { id, owner }: { readonly id: string; readonly owner: string },
    ...more: readonly (string | number | Uint8Array)[]
  ): Promise<unknown> {
    const { run, prefix, bounds } = this.#options;
    return run(script, [], [prefix, owner, id, bounds.keepMs, ...more]);
  }
}
