// `make cluster`: Redis or Valkey, Envoy and three nodes on loopback, clients that check every token, and one fault after the other:
// kill -9, a node that stands still, a drained one, the store gone or full, a node cut off from it, bad lines, a rolling restart.
// Prints what was promised and what was seen; ends with 1 where they differ. SEEDS (1,2,3), ROUNDS (of all faults), DEVICE (sim, or
// cpu for the model itself) and ONLY (part of a fault's name) may be given.
import { once } from 'node:events';
import { env, exit } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../../kernels/random.ts';
import { Relay } from './relay.ts';
import { walkResponses } from './responses-walker.ts';
import { envoyProgram, Rig, redisProgram, type Started } from './rig.ts';
import { type Chat, chat, walkSession } from './walker.ts';

const SESSIONS = 4;
const RESPONSES = 2; // sockets, and as many in the background
const CHATS = 3; // at a time
const RESUME_MS_MAX = 2000;
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
  readonly killed: readonly string[]; // nodes whose open plain streams may be cut
  readonly inflict: (cluster: Cluster) => Promise<void>;
  readonly resumeMsMax: number;
}

const rig = new Rig();
const seeds = (env['SEEDS'] || '1,2,3').split(',').map(Number);
const device = env['DEVICE'] === 'cpu' ? 'cpu' : 'sim';
const lines = new Random(seeds[0]!);

const faults: readonly Fault[] = [
  {
    ...{ name: 'kill -9 of a node', killed: ['a'], resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      await ended(cluster.nodes[0]!, 'SIGKILL');
      await pause(3000);
      await restart(cluster, 0);
    },
  },
  {
    ...{ name: 'SIGTERM of a node: it drains', killed: [], resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      await ended(cluster.nodes[1]!, 'SIGTERM');
      await restart(cluster, 1);
    },
  },
  {
    ...{ name: 'SIGSTOP of a node for 5 s', killed: [], resumeMsMax: 7000 },
    inflict: async ({ nodes }) => {
      nodes[2]!.child.kill('SIGSTOP');
      await pause(5000);
      nodes[2]!.child.kill('SIGCONT');
    },
  },
  {
    ...{ name: 'the store is killed, and back empty after 3 s', killed: [], resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      await ended(cluster.redis, 'SIGKILL');
      await pause(3000);
      cluster.redis = await rig.redis(cluster.redis.port);
    },
  },
  {
    ...{ name: 'the store is full for 3 s', killed: [], resumeMsMax: RESUME_MS_MAX },
    inflict: async ({ redis }) => {
      await rig.tellRedis(redis, 'CONFIG SET maxmemory 1mb');
      await pause(3000);
      await rig.tellRedis(redis, 'CONFIG SET maxmemory 0');
    },
  },
  {
    ...{ name: 'a node is cut off from the store for 4 s', killed: [], resumeMsMax: RESUME_MS_MAX },
    inflict: async ({ toStore }) => {
      toStore[1]!.silent = true;
      await pause(4000);
      toStore[1]!.silent = false;
    },
  },
  {
    ...{ name: 'bad lines: 20 ms each way, 1 % of packets lost, connections too', killed: NAMES },
    resumeMsMax: 2 * RESUME_MS_MAX,
    inflict: async ({ toNodes, toStore }) => {
      for (const line of toNodes)
        line.become({ delayMs: 20, stallShare: 0.01, stallMs: 200, cutShare: 0.002 });
      for (const line of toStore) line.become({ delayMs: 20, stallShare: 0.01, stallMs: 200, cutShare: 0 });
      await pause(6000);
      for (const line of [...toNodes, ...toStore]) line.become(null);
    },
  },
  {
    ...{ name: 'rolling restart of all nodes', killed: [], resumeMsMax: RESUME_MS_MAX },
    inflict: async (cluster) => {
      for (const index of NAMES.keys()) {
        await ended(cluster.nodes[index]!, 'SIGTERM');
        await restart(cluster, index);
        await pause(2000); // Envoy sees that it is well
      }
    },
  },
];

async function main(): Promise<number> {
  const missing = [
    redisProgram === null && 'redis-server or valkey-server',
    envoyProgram === null && 'envoy',
  ];
  for (const name of missing) if (name) console.log(`skipped: there is no ${name} (REDIS_BIN, ENVOY_BIN)`);
  if (missing.some(Boolean)) return 0;
  console.log('starting a store, three nodes and Envoy …');
  const redis = await rig.redis();
  const toStore = await Promise.all(NAMES.map(() => Relay.to(redis.port, lines)));
  const nodes = await Promise.all(NAMES.map((name, index) => startNode(name, toStore[index]!)));
  const toNodes = await Promise.all(nodes.map(({ port }) => Relay.to(port, lines)));
  const { url } = await rig.envoy(toNodes.map(({ port }) => port));
  const cluster: Cluster = { nodes, redis, url, toNodes, toStore };
  const alone = await rig.node('alone', { redis: null, compiled: true, device });
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
  console.log(broken === 0 ? 'every promise held' : `${broken} promises were broken`);
  return broken === 0 ? 0 : 1;
}

function startNode(name: string, { port }: Relay, at?: number): Promise<Started> {
  const given = at === undefined ? {} : { port: at };
  return rig.node(name, { ...given, redis: `redis://127.0.0.1:${port}`, compiled: true, device });
}

interface Told {
  readonly heard: unknown;
  readonly resumedMs: readonly number[];
}

/** All that is walked at the same time: native sessions, sockets of the Responses API, responses in the background. */
function walksOf(url: string, from: number, pauseMs: number): Promise<Told>[] {
  const sessions = Array.from({ length: SESSIONS }, (_, index) => walkSession(url, from + index, pauseMs));
  const responses = Array.from({ length: 2 * RESPONSES }, (_, index) => {
    const mode = index % 2 === 0 ? 'socket' : 'background';
    return walkResponses(url, { seed: from + index, mode, pauseMs });
  });
  return [...sessions, ...responses];
}

/** How many promises were broken. */
async function play(cluster: Cluster, alone: string, fault: Fault, from: number): Promise<number> {
  const expected = await Promise.all(walksOf(alone, from, 0));
  let over = false;
  const chats: Chat[] = [];
  const failures: string[] = [];
  const talk = async (one: number): Promise<void> => {
    for (let turn = one; !over; turn += CHATS) {
      await chat(cluster.url, from + turn).then(
        (said) => chats.push(said),
        (error: Error) => failures.push(error.message),
      );
    }
  };
  const talking = Array.from({ length: CHATS }, (_, one) => talk(one));
  const walking = Promise.allSettled(walksOf(cluster.url, from, 500));
  await pause(700);
  await fault.inflict(cluster);
  const walks = await walking;
  over = true;
  await Promise.all(talking);
  const lost = walks.flatMap((walk) => (walk.status === 'rejected' ? [String(walk.reason)] : []));
  const told = walks.map((walk) =>
    walk.status === 'fulfilled' ? walk.value : { heard: null, resumedMs: [] },
  );
  return judge({ fault, from }, { walks: told, expected, lost, chats, failures });
}

function judge(
  { fault, from }: { readonly fault: Fault; readonly from: number },
  seen: {
    readonly walks: readonly Told[];
    readonly expected: readonly Told[];
    readonly lost: readonly string[];
    readonly chats: readonly Chat[];
    readonly failures: readonly string[];
  },
): number {
  const { walks, expected, lost, chats, failures } = seen;
  const isAltered = ({ heard }: Told, index: number) =>
    JSON.stringify(heard) !== JSON.stringify(expected[index]!.heard);
  const altered = walks.filter(isAltered).length;
  const resumed = walks.flatMap(({ resumedMs }) => resumedMs);
  const slowest = Math.max(0, ...resumed);
  const cut = chats.filter(({ whole }) => !whole);
  const cutElsewhere = cut.filter(({ node }) => !fault.killed.includes(node)).length;
  const promises: readonly (readonly [string, boolean])[] = [
    [
      `${SESSIONS} sessions, ${RESPONSES} sockets, ${RESPONSES} in the background: ${altered} lost or altered a token${
        lost[0] === undefined ? '' : ` (${lost[0]})`
      }`,
      altered === 0,
    ],
    [`${resumed.length} resumed, the slowest after ${Math.round(slowest)} ms`, slowest <= fault.resumeMsMax],
    [
      `${chats.length} chats, ${cut.length} cut, ${cutElsewhere} of nodes that were not killed`,
      cutElsewhere === 0,
    ],
    [
      `${failures.length} chats refused${failures[0] === undefined ? '' : `: ${failures[0]}`}`,
      failures.length === 0,
    ],
  ];
  console.log(`\n${fault.name} (from ${from})`);
  for (const [what, held] of promises) console.log(`  ${held ? 'held  ' : 'BROKEN'} ${what}`);
  return promises.filter(([, held]) => !held).length;
}

async function ended({ child }: Started, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}

async function restart({ nodes, toStore }: Cluster, index: number): Promise<void> {
  nodes[index] = await startNode(NAMES[index]!, toStore[index]!, nodes[index]!.port);
}

const code = await main().finally(() => rig.end());
exit(code);
