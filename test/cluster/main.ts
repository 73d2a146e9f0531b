// `make cluster`: Redis or Valkey, Envoy and three nodes on loopback, clients that say what recorded agents said and check every token,
// and one fault after the other: kill -9, a node that stands still, a drained one, the store gone or full, a node cut off from it, bad
// lines, a rolling restart. Then three nodes against one in virtual time. Prints what was promised and what was seen; ends with 1 where
// they differ. SEEDS (1,2,3), ROUNDS (of all faults), DEVICE (sim; cpu for the model itself; mix for one that computes it and two that are
// simulated and say the same) and ONLY (part of a fault's name) may be given.
import { once } from 'node:events';
import { env, exit } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../../kernels/random.ts';
import { walkChat } from './chat-walker.ts';
import { goodputRatio } from './goodput.ts';
import { COUNTS, judgeGoodput, judgeWalks, type Promised, RESUME_MS_MAX } from './judge.ts';
import { recordedSessions } from './recorded.ts';
import { Relay } from './relay.ts';
import { walkResponses } from './responses-walker.ts';
import { envoyProgram, Rig, type RigDevice, redisProgram, type Started } from './rig.ts';
import { HEARD_NOTHING, type Walk, walkSession } from './walker.ts';

const NAMES = ['a', 'b', 'c'] as const;

interface Cluster {
  readonly nodes: Started[]; // [3]
  redis: Started;
  readonly url: string; // of Envoy
  readonly toNodes: readonly Relay[]; // [3] of Envoy
  readonly toStore: readonly Relay[]; // [3] of each node
}

interface Fault {
  readonly name: string;
  /** Tells the nodes whose open plain streams may be cut. */
  readonly inflict: (cluster: Cluster) => Promise<readonly string[]>;
  readonly resumeMsMax: number;
}

const rig = new Rig('dist/sparklane.js');
const seeds = (env['SEEDS'] || '1,2,3').split(',').map(Number);
const DEVICES: Readonly<Record<string, readonly [RigDevice, RigDevice, RigDevice]>> = {
  sim: ['sim', 'sim', 'sim'],
  cpu: ['cpu', 'cpu', 'cpu'],
  mix: ['cpu', 'paced', 'paced'],
};
const devices = DEVICES[env['DEVICE'] || 'sim'];
const lines = new Random(seeds[0]!);
const recorded = recordedSessions();

const faults: readonly Fault[] = [
  {
    ...{ name: 'kill -9 of a node', resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      const victim = await busiest(cluster);
      await ended(cluster.nodes[victim]!, 'SIGKILL');
      await pause(3000);
      await restart(cluster, victim);
      return [NAMES[victim]!];
    },
  },
  {
    ...{ name: 'SIGTERM of a node: it drains', resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      const drained = await busiest(cluster);
      await ended(cluster.nodes[drained]!, 'SIGTERM');
      await restart(cluster, drained);
      return [];
    },
  },
  {
    ...{ name: 'SIGSTOP of a node for 5 s', resumeMsMax: 7000 },
    inflict: async (cluster) => {
      const { child } = cluster.nodes[await busiest(cluster)]!;
      child.kill('SIGSTOP');
      await pause(5000);
      child.kill('SIGCONT');
      return [];
    },
  },
  {
    ...{ name: 'the store is killed, and back empty after 3 s', resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      await ended(cluster.redis, 'SIGKILL');
      await pause(3000);
      cluster.redis = await rig.redis(cluster.redis.port);
      return [];
    },
  },
  {
    ...{ name: 'the store is full for 3 s', resumeMsMax: RESUME_MS_MAX },
    inflict: async ({ redis }) => {
      await rig.tellRedis(redis, 'CONFIG SET maxmemory 1mb');
      await pause(3000);
      await rig.tellRedis(redis, 'CONFIG SET maxmemory 0');
      return [];
    },
  },
  {
    ...{ name: 'a node is cut off from the store for 4 s', resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      const line = cluster.toStore[await busiest(cluster)]!;
      line.silent = true;
      await pause(4000);
      line.silent = false;
      return [];
    },
  },
  {
    ...{ name: 'bad lines: 20 ms each way, 1 % of packets lost, connections too' },
    resumeMsMax: 2 * RESUME_MS_MAX,
    inflict: async ({ toNodes, toStore }) => {
      for (const line of toNodes)
        line.become({ delayMs: 20, stallShare: 0.01, stallMs: 200, cutShare: 0.002 });
      for (const line of toStore) line.become({ delayMs: 20, stallShare: 0.01, stallMs: 200, cutShare: 0 });
      await pause(6000);
      for (const line of [...toNodes, ...toStore]) line.become(null);
      return NAMES;
    },
  },
  {
    ...{ name: 'rolling restart of all nodes', resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      for (const index of NAMES.keys()) {
        await ended(cluster.nodes[index]!, 'SIGTERM');
        await restart(cluster, index);
        await pause(2000); // Envoy sees that it is well
      }
      return [];
    },
  },
];

async function main(): Promise<number> {
  if (devices === undefined) {
    console.log(`DEVICE is one of ${Object.keys(DEVICES).join(', ')}`);
    return 1;
  }
  const missing = [
    redisProgram === null && 'redis-server or valkey-server',
    envoyProgram === null && 'envoy',
  ];
  for (const name of missing) if (name) console.log(`skipped: there is no ${name} (REDIS_BIN, ENVOY_BIN)`);
  if (missing.some(Boolean)) return 0;
  console.log('starting a store, three nodes and Envoy …');
  const redis = await rig.redis();
  const toStore = await Promise.all(NAMES.map(() => Relay.to(redis.port, lines)));
  const nodes = await Promise.all(NAMES.map((_, index) => startNode(index, toStore[index]!)));
  const toNodes = await Promise.all(nodes.map(({ port }) => Relay.to(port, lines)));
  const { url } = await rig.envoy(toNodes.map(({ port }) => port));
  const cluster: Cluster = { nodes, redis, url, toNodes, toStore };
  const alone = await rig.node('alone', { redis: null, device: devices[0] });
  let broken = 0;
  const only = env['ONLY'] ?? '';
  for (const seed of seeds) {
    for (let round = 0; round < Number(env['ROUNDS'] || 1); round++) {
      for (const [index, fault] of faults.entries()) {
        if (!fault.name.includes(only)) continue;
        broken += await play(cluster, alone.url, fault, 1000 * seed + 100 * round + 10 * index);
      }
    }
  }
  for (const relay of [...toStore, ...toNodes]) relay.close();
  if (only === '')
    broken += told('three nodes against one, in virtual time', judgeGoodput(await goodputRatio(seeds)));
  console.log(broken === 0 ? 'every promise held' : `${broken} promises were broken`);
  return broken === 0 ? 0 : 1;
}

function startNode(index: number, { port }: Relay, at?: number): Promise<Started> {
  const given = at === undefined ? {} : { port: at };
  const device = devices![index]!;
  return rig.node(NAMES[index]!, { ...given, redis: `redis://127.0.0.1:${port}`, device });
}

/** All that is walked at the same time: native sessions, sockets of the Responses API, responses in the background, chats. */
function walksOf(url: string, from: number, pauseMs: number): Promise<Walk>[] {
  const planOf = (index: number) => {
    const turns = recorded[(from + index) % recorded.length]!;
    return { seed: from + 10 * index, turns, pauseMs };
  };
  const { sessions, sockets, background, chats } = COUNTS;
  return Array.from({ length: sessions + sockets + background + chats }, (_, index) => {
    const plan = planOf(index);
    if (index < sessions) return walkSession(url, plan);
    if (index < sessions + sockets) return walkResponses(url, { ...plan, mode: 'socket' });
    if (index < sessions + sockets + background) return walkResponses(url, { ...plan, mode: 'background' });
    return walkChat(url, plan);
  });
}

/** How many promises were broken. */
async function play(cluster: Cluster, alone: string, fault: Fault, from: number): Promise<number> {
  const expected = await Promise.all(walksOf(alone, from, 0));
  const walking = Promise.allSettled(walksOf(cluster.url, from, 400));
  await pause(700);
  const killed = await fault.inflict(cluster);
  const walks = await walking;
  const lost = walks.flatMap((walk) => (walk.status === 'rejected' ? [String(walk.reason)] : []));
  const heard = walks.map((walk) => (walk.status === 'fulfilled' ? walk.value : HEARD_NOTHING));
  return told(
    `${fault.name} (from ${from})`,
    judgeWalks({ ...fault, killed }, { walks: heard, expected, lost }),
  );
}

/** Prints promises; how many were broken. */
function told(what: string, promises: readonly Promised[]): number {
  console.log(`\n${what}`);
  for (const [said, held] of promises) console.log(`  ${held ? 'held  ' : 'BROKEN'} ${said}`);
  return promises.filter(([, held]) => !held).length;
}

/** The node that computes most: whose loss most clients feel. */
async function busiest({ nodes }: Cluster): Promise<number> {
  const counts = await Promise.all(
    nodes.map(async ({ url }) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(/^sparklane_requests_running (\d+)/m.exec(text)?.[1] ?? 0);
    }),
  );
  return counts.indexOf(Math.max(...counts));
}

async function ended({ child }: Started, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}

async function restart({ nodes, toStore }: Cluster, index: number): Promise<void> {
  nodes[index] = await startNode(index, toStore[index]!, nodes[index]!.port);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  once(process, signal).then(() => {
    rig.end();
    exit(130);
  });
}
const code = await main().finally(() => rig.end());
exit(code);
