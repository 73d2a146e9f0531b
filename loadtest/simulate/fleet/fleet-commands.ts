// The command `fleet` for commander: reads flags, runs the study, prints a table or JSON, writes the page. Mounted by ../commands.ts.
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { SimDevice } from '../../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../../kernels/sim/fit-error.ts';
import { FlagError } from '../../base/flag-error.ts';
import type { HearingRule } from '../../base/unheard.ts';
import { type DeviceFlags, deviceOf, withDeviceFlags } from '../device-flags.ts';
import { deviceRules, unheardOf } from '../flag-hearing.ts';
import { notNegative, people, positive } from '../flag-values.ts';
import { refuseUnwritable } from '../result-file.ts';
import type { FailureWave } from './fleet.ts';
import type { FleetPlan, PoolPlan } from './fleet-job.ts';
import { type FleetHead, fleetPage, formatFleet } from './fleet-report.ts';
import { runFleetJobs } from './fleet-study.ts';
import { POLICIES, type PolicyName } from './router.ts';

interface FleetFlags
  extends DeviceFlags,
    Pick<FleetPlan, 'device' | 'trace' | 'sessionsPerNode' | 'minutes' | 'eventDelayMs' | 'seed'> {
  readonly nodes: readonly number[];
  readonly policies: readonly PolicyName[];
  readonly gapMax: number;
  readonly fail: readonly FailureWave[];
  readonly prefillShare?: number;
  readonly linkGbps: number;
  readonly sloTtft: number;
  readonly sloTpot: number;
  readonly jobs: number;
  readonly html?: string;
  readonly json?: boolean;
}

interface Output {
  write(text: string): void;
  note(text: string): void;
}

const nodesMax = 1024;
const minutesMax = 24 * 60;
const linkLatencyUs = 10; // RDMA between hosts: some microseconds

export function addFleet(program: Command, output: Output): void {
  const command = program
    .command('fleet')
    .description(
      'run recorded sessions on many nodes in virtual time, with the routing policies that proxies have',
    )
    .requiredOption('--device <name>', 'what each node is, such as h200')
    .requiredOption('--trace <file>', 'recorded agent sessions')
    .option('--nodes <counts>', 'fleet sizes', nodes, [4, 16])
    .option('--policies <names>', POLICIES.join(', '), policies, [...POLICIES])
    .option('--sessions-per-node <count>', 'sessions at once; ended ones are followed by others', positive, 8)
    .option('--minutes <count>', 'virtual; the first fifth is not counted', positive, 10)
    .option('--gap-max <seconds>', 'longer pauses between turns are cut to it', positive, 60)
    .option(
      '--fail <waves>',
      'nodes that are lost: 20%@4m/2m is a fifth, at minute 4, for 2 minutes; comma',
      waves,
      [],
    )
    .option(
      '--prefill-share <share>',
      'prompts on this share of the nodes, answers on the others',
      notNegative,
    )
    .option('--link-gbps <Gb/s>', 'with --prefill-share: link of a node, one direction', positive, 400)
    .option('--event-delay-ms <ms>', 'from a cached block to the router’s knowing of it', notNegative, 50)
    .option('--slo-ttft <ms>', 'a good turn has its first token by then', positive, 5000)
    .option('--slo-tpot <ms>', 'and this mean time per token', positive, 50)
    .option('--seed <number>', 'of sessions, arrivals and failures', notNegative, 1)
    .option('--jobs <threads>', 'runs at once', people, 1)
    .option('--html <file>', 'write one self-contained page')
    .option('--json', 'print JSON');
  withDeviceFlags(command).action(async (flags: FleetFlags, given: Command) => {
    const node = deviceOf(flags.device, flags);
    refuseUnwritable('html', flags.html);
    const plan = planOf(flags, node);
    const rules = [...fleetRules(flags), ...deviceRules([node])];
    for (const note of unheardOf(given, rules)) output.note(note);
    const jobs = flags.nodes.flatMap((nodeCount) =>
      flags.policies.map((policy) => ({ plan, policy, nodeCount })),
    );
    const threads = Math.min(flags.jobs, availableParallelism());
    const rows = await runFleetJobs(jobs, threads, ({ nodeCount, policy }) =>
      output.note(`${nodeCount} nodes, ${policy} …\n`),
    );
    if (rows.every(({ turnCount }) => turnCount === 0))
      throw new FlagError(
        'minutes',
        String(flags.minutes),
        'long enough for a turn to end while it is counted',
      );
    const head = headOf(flags, node);
    if (flags.html !== undefined) {
      writeFileSync(flags.html, fleetPage(head, rows));
      output.note(`wrote ${flags.html}\n`);
    }
    output.write(flags.json ? `${JSON.stringify(rows, null, 2)}\n` : formatFleet(head, rows));
  });
}

// Refuses here what would fail in a thread.
function planOf(flags: FleetFlags, { kind }: SimDevice): FleetPlan {
  const { device, prefillShare } = flags;
  if (flags.minutes > minutesMax)
    throw new FlagError('minutes', String(flags.minutes), `at most ${minutesMax}`);
  for (const { atMs } of flags.fail)
    if (atMs >= flags.minutes * 60_000)
      throw new FlagError('fail', `minute ${atMs / 60_000}`, `before the end, minute ${flags.minutes}`);
  let pools: PoolPlan | null = null;
  if (prefillShare !== undefined) {
    if (prefillShare <= 0 || prefillShare >= 1)
      throw new FlagError('prefill-share', String(prefillShare), 'a share between 0 and 1');
    if (Math.min(...flags.nodes) < 2)
      throw new FlagError('nodes', String(flags.nodes), 'two at least, one a pool');
    if (kind !== 'gpu')
      throw new DoesNotFitError(
        'pools of wafers are not modelled: a wafer computes prompts where it answers',
      );
    pools = { prefillShare, gbPerSecond: flags.linkGbps / 8, latencyUs: linkLatencyUs };
  }
  return {
    ...{
      device,
      flags: deviceFlagsOf(flags),
      trace: flags.trace,
      pools,
      waves: flags.fail,
      seed: flags.seed,
    },
    ...{ sessionsPerNode: flags.sessionsPerNode, minutes: flags.minutes, gapMaxSeconds: flags.gapMax },
    eventDelayMs: flags.eventDelayMs,
    slo: { ttftMsMax: flags.sloTtft, tpotMsMax: flags.sloTpot },
  };
}

// Plain data, for threads.
function deviceFlagsOf(flags: FleetFlags): DeviceFlags {
  return JSON.parse(JSON.stringify(flags)) as DeviceFlags;
}

function fleetRules({ prefillShare, policies: names }: FleetFlags): HearingRule[] {
  const aware = names.includes('prefix-aware');
  return [
    { flags: ['linkGbps'], heard: prefillShare !== undefined, of: 'pools of their own (--prefill-share)' },
    { flags: ['eventDelayMs'], heard: aware, of: 'the policy prefix-aware' },
  ];
}

function headOf(flags: FleetFlags, { shape, precision, name }: SimDevice): FleetHead {
  const { sessionsPerNode, minutes, gapMax, fail, prefillShare } = flags;
  const waveNotes = fail.map(
    ({ share, atMs, downMs }) =>
      `${(share * 100).toFixed(0)} % of the nodes are lost at minute ${atMs / 60_000} and come back empty after ${downMs / 60_000} min`,
  );
  const poolNote =
    prefillShare === undefined
      ? []
      : [
          `nodes: those that compute prompts + those that answer; KV goes between them at ${flags.linkGbps} Gb/s`,
        ];
  return {
    title: `${shape.name} ${precision}, each node ${name}, ${sessionsPerNode} recorded sessions a node at once`,
    notes: [
      `${minutes} virtual minutes, the first fifth not counted; pauses over ${gapMax} s are cut to it`,
      'not validated: no published row is of a fleet; what a node is held to, `predict` says',
      `good: first token within ${flags.sloTtft} ms and ${flags.sloTpot} ms a token, from the intended send`,
      ...poolNote,
      ...waveNotes,
    ],
    waves: fail,
  };
}

function nodes(text: string): number[] {
  return text.split(',').map((part) => {
    const count = people(part.trim());
    if (count > nodesMax) throw new InvalidArgumentError(`at most ${nodesMax} nodes are modelled`);
    return count;
  });
}

function policies(text: string): PolicyName[] {
  return text.split(',').map((part) => {
    const found = POLICIES.find((name) => name === part.trim());
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`expected one or more of ${POLICIES.join(', ')}`);
  });
}

function waves(text: string): FailureWave[] {
  return text.split(',').map((part) => {
    const match = /^(\d{1,2})%@(\d+(?:\.\d+)?)m\/(\d+(?:\.\d+)?)m$/.exec(part.trim());
    const [share, at, down] = (match ?? []).slice(1).map(Number);
    if (share === undefined || share === 0)
      throw new InvalidArgumentError('expected SHARE%@MINUTEm/MINUTESm: 20%@4m/2m');
    return { share: share / 100, atMs: at! * 60_000, downMs: down! * 60_000 };
  });
}
