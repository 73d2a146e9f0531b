// Fleets: what routing policies do to caches, what a lost node costs, what goes over links between pools; and that a run is its seed.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice } from '../../../../kernels/sim/device.ts';
import { type FleetOptions, simulateFleet } from '../../../../loadtest/simulate/fleet/fleet.ts';
import type { FleetJob } from '../../../../loadtest/simulate/fleet/fleet-job.ts';
import { fleetSessions } from '../../../../loadtest/simulate/fleet/fleet-load.ts';
import type { FleetNode } from '../../../../loadtest/simulate/fleet/fleet-node.ts';
import { runFleetJobs } from '../../../../loadtest/simulate/fleet/fleet-study.ts';
import { KvLinks } from '../../../../loadtest/simulate/fleet/kv-links.ts';
import { PrefixIndex, pathsOf } from '../../../../loadtest/simulate/fleet/prefix-index.ts';
import { FleetRouter, POLICIES, type PolicyName } from '../../../../loadtest/simulate/fleet/router.ts';
import type { SimLoad, SimTurn } from '../../../../loadtest/simulate/load.ts';
import { BlockPool } from '../../../../server/engine/block-pool.ts';
import { PrefixCache } from '../../../../server/engine/prefix-cache.ts';

const shape = namedShape('llama-3.1-8b');
const device = planSimDevice({ device: 'h100', shape, precision: 'fp8', blockSize: 64 });

// Ten sessions of twelve turns, each 512 tokens longer than the one before.
const grown = (outputTokens: number): SimLoad => ({
  label: 'grown',
  notes: [],
  *clients() {
    for (let session = 0; session < 10; session++) {
      const turns = Array.from(
        { length: 12 },
        (_, turn): SimTurn => ({
          gapMs: 2000,
          outputTokens,
          prompt: Array.from({ length: turn + 4 }, (__, part) => [session * 100 + part, 512]).flat(),
        }),
      );
      yield { atMs: 0, turns: turns.values() };
    }
  },
});

function run(policy: PolicyName, more: Partial<FleetOptions> = {}) {
  return simulateFleet({
    ...{ device, nodeCount: 4, pools: null, policy, sessionCount: 12, durationMs: 80_000, warmupMs: 30_000 },
    ...{ sessions: fleetSessions(grown(16), 1, 60_000), waves: [], eventDelayMs: 20, seed: 1 },
    ...{ slo: { ttftMsMax: 1000, tpotMsMax: 50 }, ...more },
  });
}

const cachedShare = ({ tally: { total } }: ReturnType<typeof run>): number => total.cached / total.prompt;

test('sessions that stay on their node, or follow their prefix, find it; those that wander compute it again', () => {
  const shares = Object.fromEntries(POLICIES.map((policy) => [policy, cachedShare(run(policy))]));
  expect(shares['session-hash']).toBeGreaterThan(0.8);
  expect(shares['prefix-aware']).toBeGreaterThan(0.8);
  expect(shares['round-robin']).toBeLessThan(shares['session-hash']! - 0.15);
  expect(shares['least-load']).toBeLessThan(shares['session-hash']! - 0.15);
});

test('a run is its seed', () => {
  const facts = (seed: number) => {
    const { tally, imbalance, kvEventCount } = run('prefix-aware', { seed });
    return JSON.stringify([tally.total, tally.windows, imbalance, kvEventCount]);
  };
  expect(facts(1)).toBe(facts(1));
  expect(facts(1)).not.toBe(facts(2));
});

test('what was open on lost nodes is asked again and answered; what they had cached is computed again', () => {
  const quiet = run('session-hash', { sessions: fleetSessions(grown(512), 1, 60_000) });
  const waves = [{ atMs: 50_000, share: 0.5, downMs: 20_000 }];
  const lost = run('session-hash', { waves, sessions: fleetSessions(grown(512), 1, 60_000) });
  expect([quiet.tally.retryCount, quiet.lostCount, lost.lostCount]).toEqual([0, 0, 2]);
  expect(lost.tally.retryCount).toBeGreaterThan(0);
  expect(cachedShare(lost)).toBeLessThan(cachedShare(quiet));
  // Sessions go on: the fleet answers nearly as many turns.
  expect(lost.tally.total.turns).toBeGreaterThan(0.8 * quiet.tally.total.turns);
  const share = (atMs: number) => lost.tally.windows.find((window) => window.atMs === atMs)!.cachedShare!;
  expect(share(56_000)).toBeLessThan(share(50_000));
});

test('of a lost node’s sessions each goes elsewhere, all others stay', () => {
  const nodes = Array.from({ length: 8 }, (_, index) => ({ index, alive: true, openCount: 0 }));
  const router = new FleetRouter('session-hash', new PrefixIndex(8, new VirtualClock(), 0));
  const placed = () =>
    Array.from(
      { length: 400 },
      (_, session) => router.choose(nodes as unknown as FleetNode[], { session, paths: [] })!.index,
    );
  const before = placed();
  expect(new Set(before).size).toBe(8);
  nodes[3]!.alive = false;
  for (const [session, node] of placed().entries()) {
    if (before[session] === 3) expect(node).not.toBe(3);
    else expect(node).toBe(before[session]);
  }
});

test('equals are taken in turn; open requests decide for least load', () => {
  const nodes = [0, 1, 2].map((index) => ({ index, alive: true, openCount: 0 })) as unknown as FleetNode[];
  const router = new FleetRouter('round-robin', new PrefixIndex(3, new VirtualClock(), 0));
  const turn = { session: 0, paths: [] };
  expect([1, 2, 3, 4].map(() => router.choose(nodes, turn)!.index)).toEqual([0, 1, 2, 0]);
  nodes[0]!.openCount = 2;
  nodes[2]!.openCount = 1;
  const least = new FleetRouter('least-load', new PrefixIndex(3, new VirtualClock(), 0));
  expect([1, 2].map(() => least.choose(nodes, turn)!.index)).toEqual([1, 1]);
  for (const node of nodes) node.alive = false;
  expect(least.choose(nodes, turn)).toBeNull();
});

test('transfers wait for each other at either end, and for nothing else', () => {
  const clock = new VirtualClock();
  const links = new KvLinks(4, clock, { gbPerSecond: 1, latencyUs: 0 });
  const arrived: [string, number][] = [];
  const send = (name: string, from: number, to: number) =>
    links.send(from, to, 10e6, () => arrived.push([name, clock.nowMs()])); // 10 ms each
  send('a', 0, 2);
  send('same source', 0, 3);
  send('same target', 1, 2);
  clock.run();
  expect(arrived).toEqual([
    ['a', 10],
    ['same source', 20],
    ['same target', 20],
  ]);
  expect([links.bytes, links.waitedMs]).toEqual([30e6, 20]);
});

test('a router hears of blocks late, and knows them by what the engine calls them', () => {
  const clock = new VirtualClock();
  const index = new PrefixIndex(2, clock, 50);
  const cache = new PrefixCache(new BlockPool(8), 4, index.watch(1));
  const tokens = Int32Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const first = cache.insert(cache.root('me'), tokens, 0, cache.allocate());
  cache.insert(first, tokens, 4, cache.allocate());
  const paths = pathsOf(tokens, 'me', 4);
  expect(paths).toHaveLength(2);
  expect(index.matched(1, paths)).toBe(0);
  clock.run();
  expect([index.matched(1, paths), index.matched(0, paths)]).toEqual([2, 0]);
  expect(index.matched(1, pathsOf(tokens, 'you', 4))).toBe(0);
  cache.clear();
  expect(index.matched(1, paths)).toBe(0);
});

test('what is cached after all was forgotten comes as late as everything else', () => {
  const clock = new VirtualClock();
  const index = new PrefixIndex(1, clock, 50);
  const cache = new PrefixCache(new BlockPool(8), 4, index.watch(0));
  const tokens = Int32Array.from([1, 2, 3, 4]);
  const paths = pathsOf(tokens, 'me', 4);
  const store = () => cache.insert(cache.root('me'), tokens, 0, cache.allocate());
  const known: number[] = [];
  store();
  clock.schedule(40, () => {
    cache.clear();
    store();
  });
  for (const atMs of [60, 89, 91]) clock.schedule(atMs, () => known.push(index.matched(0, paths)));
  clock.run();
  expect(known).toEqual([0, 0, 1]);
});

test('on pools of their own answers are not held up by prompts, and only KV that is not there goes over the link', () => {
  const decodeDevice = planSimDevice({
    ...{ device: 'h100', shape, precision: 'fp8', blockSize: 64, chunkTokens: device.limits.slotTokensMax },
  });
  const link = { gbPerSecond: 50, latencyUs: 10 };
  const pools = { prefillCount: 2, decodeCount: 2, decodeDevice, ...link };
  const split = run('session-hash', { pools });
  const whole = run('session-hash');
  expect(split.tally.tpot.quantileMs(0.99)!).toBeLessThan(whole.tally.tpot.quantileMs(0.99)!);
  expect(split.tally.total.turns).toBeGreaterThan(100);
  const { bytes } = split.links!;
  const perToken = 2 * 32 * 8 * 128;
  expect(bytes).toBeGreaterThan(0);
  // A whole prompt each turn would be several times as much.
  expect(bytes).toBeLessThan(0.5 * split.tally.total.prompt * perToken);
});

test('rows are the same in threads', async () => {
  const plan: FleetJob['plan'] = {
    ...{ device: 'h200', flags: { model: 'qwen3-coder-30b-a3b', precision: 'fp8' }, pools: null, waves: [] },
    ...{ trace: 'loadtest/traces/agent-sessions-40.rle.jsonl.gz', sessionsPerNode: 3, minutes: 1 },
    ...{ gapMaxSeconds: 10, eventDelayMs: 50, slo: { ttftMsMax: 5000, tpotMsMax: 50 }, seed: 1 },
  };
  const jobs: FleetJob[] = (['round-robin', 'session-hash'] as const).map((policy) => {
    return { plan, policy, nodeCount: 2 };
  });
  const here = await runFleetJobs(jobs, 1, () => {});
  const there = await runFleetJobs(jobs, 2, () => {});
  expect(there).toEqual(here);
  expect(here.map(({ policy }) => policy)).toEqual(['round-robin', 'session-hash']);
});
