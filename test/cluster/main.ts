// `make cluster`: Redis or Valkey, Envoy and three nodes on loopback, clients that check every token, and one fault after the other:
// kill -9, a node that stands still, a drained one, the store gone, a rolling restart. Prints what was promised and what was seen;
// ends with 1 where they differ. SEED and ROUNDS (of all faults) may be given.
import { once } from 'node:events';
import { env, exit } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { envoyProgram, Rig, redisProgram, type Started } from './rig.ts';
import { type Chat, chat, type Heard, type Walk, walkSession } from './walker.ts';

const SESSIONS = 6;
const CHATS = 3; // at a time
const RESUME_MS_MAX = 2000;
const NAMES = ['a', 'b', 'c'] as const;

interface Cluster {
  readonly nodes: Started[]; // [3]
  redis: Started;
  readonly url: string; // of Envoy
}

interface Fault {
  readonly name: string;
  readonly killed: readonly string[]; // nodes whose open plain streams may be cut
  readonly inflict: (cluster: Cluster) => Promise<void>;
  readonly resumeMsMax: number;
}

const rig = new Rig();
const seed = Number(env['SEED'] || 1);

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
  const nodes = await Promise.all(NAMES.map((name) => rig.node(name, { redis: redis.url, compiled: true })));
  const cluster: Cluster = { nodes, redis, url: (await rig.envoy(nodes.map(({ port }) => port))).url };
  const alone = await rig.node('alone', { redis: null, compiled: true });
  let broken = 0;
  for (let round = 0; round < Number(env['ROUNDS'] || 1); round++) {
    for (const [index, fault] of faults.entries()) {
      broken += await play(cluster, alone.url, fault, 1000 * seed + 100 * round + 10 * index);
    }
  }
  console.log(broken === 0 ? 'every promise held' : `${broken} promises were broken`);
  return broken === 0 ? 0 : 1;
}

/** How many promises were broken. */
async function play(cluster: Cluster, alone: string, fault: Fault, from: number): Promise<number> {
  const seeds = Array.from({ length: SESSIONS }, (_, index) => from + index);
  const expected = await Promise.all(seeds.map(async (one) => (await walkSession(alone, one, 0)).heard));
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
  const walking = seeds.map((one) => walkSession(cluster.url, one, 500));
  await pause(700);
  await fault.inflict(cluster);
  const walks = await Promise.all(walking);
  over = true;
  await Promise.all(talking);
  return judge(fault, { walks, expected, chats, failures });
}

function judge(
  fault: Fault,
  seen: {
    readonly walks: readonly Walk[];
    readonly expected: readonly Heard[];
    readonly chats: readonly Chat[];
    readonly failures: readonly string[];
  },
): number {
  const { walks, expected, chats, failures } = seen;
  const altered = walks.filter(
    ({ heard }, index) => JSON.stringify(heard) !== JSON.stringify(expected[index]),
  ).length;
  const resumed = walks.flatMap(({ resumedMs }) => resumedMs);
  const slowest = Math.max(0, ...resumed);
  const cut = chats.filter(({ whole }) => !whole);
  const cutElsewhere = cut.filter(({ node }) => !fault.killed.includes(node)).length;
  const promises: readonly (readonly [string, boolean])[] = [
    [`${walks.length} sessions, ${altered} lost or altered a token`, altered === 0],
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
  console.log(`\n${fault.name}`);
  for (const [what, held] of promises) console.log(`  ${held ? 'held  ' : 'BROKEN'} ${what}`);
  return promises.filter(([, held]) => !held).length;
}

async function ended({ child }: Started, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}

async function restart({ nodes, redis }: Cluster, index: number): Promise<void> {
  nodes[index] = await rig.node(NAMES[index]!, {
    redis: redis.url,
    port: nodes[index]!.port,
    compiled: true,
  });
}

const code = await main().finally(() => rig.end());
exit(code);
