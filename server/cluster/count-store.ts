// Numbers that nodes count together, in Redis or Valkey: token buckets, whose level flows in by the store's own clock, and sums that
// are forgotten after a while. Owns keys and script. Before it: shared-counts.ts; after it: store-link.ts.
import type { RunScript } from './store-link.ts';

export interface CountAsk {
  readonly name: string;
  readonly perMinute: number | null; // flows into a bucket that holds a minute's worth; null: a sum
  readonly taken: number; // from a bucket: here since it was last asked; of a sum: this node's own part, all of it
}

export interface CountStore {
  /** Takes it all and tells the level of each bucket, the total of each sum. Rejects while the store cannot be reached. */
  exchange(asks: readonly CountAsk[]): Promise<readonly number[]>;
}

const KEPT_MS = 2 * 86_400_000; // a sum: of a day, wherever it begins
const BUCKET_KEPT_MS = 600_000; // longer than it takes to fill

// ARGV: prefix, ms that a sum is kept, ms that a bucket is, who asks; then name, flow a minute or '', amount of each. Numbers go back as texts:
// Redis cuts others to integers.
const EXCHANGE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local told = {}
for i = 5, #ARGV, 3 do
  local key, amount = ARGV[1] .. ARGV[i], tonumber(ARGV[i + 2])
  if ARGV[i + 1] == '' then
    redis.call('HSET', key, ARGV[4], ARGV[i + 2])
    redis.call('PEXPIRE', key, ARGV[2])
    local sum = 0
    for _, part in ipairs(redis.call('HVALS', key)) do sum = sum + part end
    told[#told + 1] = string.format('%.9f', sum)
  else
    local flow = tonumber(ARGV[i + 1])
    local there = redis.call('HMGET', key, 'level', 'at')
    local level = flow
    if there[1] then level = math.min(flow, there[1] + math.max(0, now - there[2]) * flow / 60000) end
    level = math.min(flow, level - amount)
    told[#told + 1] = string.format('%.6f', level)
    redis.call('HSET', key, 'level', told[#told], 'at', string.format('%.0f', now))
    redis.call('PEXPIRE', key, ARGV[3])
  end
end
return told`;

export class RedisCounts implements CountStore {
  readonly #run: RunScript;
  readonly #prefix: string;
  readonly #holder: string;

  /** `holder`: this process; what an earlier one has taken stays taken. */
  constructor(run: RunScript, { prefix, holder }: { readonly prefix: string; readonly holder: string }) {
    this.#run = run;
    this.#prefix = prefix;
    this.#holder = holder;
  }

  async exchange(asks: readonly CountAsk[]): Promise<readonly number[]> {
    const args = asks.flatMap(({ name, perMinute, taken }) => [name, perMinute ?? '', String(taken)]);
    const told = await this.#run(
      EXCHANGE,
      [],
      [...[this.#prefix, KEPT_MS, BUCKET_KEPT_MS, this.#holder], ...args],
    );
    return (told as readonly Buffer[]).map(Number);
  }
}
