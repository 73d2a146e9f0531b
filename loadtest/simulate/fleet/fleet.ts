// Fleet: many nodes in one virtual time, each the engine that serves on a simulated device, behind one router; recorded sessions as
// users; nodes that are lost and come back; or prompts and answers on pools of their own. Deterministic by its seed.
import { VirtualClock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import type { SimDevice } from '../../../kernels/sim/device.ts';
import { gpuKvBytesPerToken } from '../../../kernels/sim/gpu/gpu-device.ts';
import { promptTokens } from '../load.ts';
import type { SloBounds } from '../tally.ts';
import type { FleetSession, FleetSessions } from './fleet-load.ts';
import { FleetNode } from './fleet-node.ts';
import type { FleetState } from './fleet-state.ts';
import { FleetTally } from './fleet-tally.ts';
import { KvLinks } from './kv-links.ts';
import { PrefixIndex } from './prefix-index.ts';
import { FleetRouter, type PolicyName } from './router.ts';
import { playTurn } from './turn.ts';

/** A share of the nodes is lost at once, and comes back empty. */
export interface FailureWave {
  readonly atMs: number;
  readonly share: number; // of the nodes, in (0, 1)
  readonly downMs: number;
}

/** Prompts on some nodes, answers on others, KV over links in between. */
export interface Pools {
  readonly prefillCount: number;
  readonly decodeCount: number;
  readonly decodeDevice: SimDevice;
  readonly gbPerSecond: number; // of a node's link, one direction
  readonly latencyUs: number;
}

export interface FleetOptions {
  readonly device: SimDevice;
  readonly nodeCount: number; // of whole nodes; with pools: not read
  readonly pools: Pools | null;
  readonly policy: PolicyName;
  readonly sessions: FleetSessions;
  readonly sessionCount: number; // at once, on all nodes together
  readonly durationMs: number; // virtual
  readonly warmupMs: number; // not counted
  readonly waves: readonly FailureWave[];
  readonly eventDelayMs: number; // from a cached block to the router's knowing of it
  readonly slo: SloBounds;
  readonly seed: number;
}

export interface FleetResult {
  readonly tally: FleetTally;
  readonly countedMs: number;
  readonly imbalance: number; // prompt tokens computed by the busiest node over the mean
  readonly kvEventCount: number;
  readonly links: { readonly bytes: number; readonly waitedMs: number } | null;
  readonly lostCount: number; // nodes, over all waves
}

const windowCount = 40;

export function simulateFleet(options: FleetOptions): FleetResult {
  const clock = new VirtualClock();
  const { pools, durationMs, warmupMs } = options;
  const tally = new FleetTally(options.slo);
  const state = stateOf(options, clock, tally);
  for (let at = 1; at <= windowCount; at++) {
    const atMs = (at * durationMs) / windowCount;
    clock.schedule(atMs, () => tally.close(atMs));
  }
  clock.schedule(warmupMs, () => {
    tally.counting = true;
    state.computedTokens.fill(0);
  });
  const nodes = [...state.prompts, ...(state.answers ?? [])];
  let lostCount = 0;
  const random = new Random(options.seed);
  for (const wave of options.waves) {
    clock.schedule(wave.atMs, () => {
      lostCount += loseSome(nodes, wave, { clock, random });
    });
  }
  // Users do not come all at one moment.
  for (const session of options.sessions.first(options.sessionCount)) {
    clock.schedule(random.next() * spreadMs, () => runSession(state, session, options.sessions));
  }
  while (clock.nowMs() < durationMs && clock.step());
  const prompts = state.prompts.map(({ index }) => state.computedTokens[index]!);
  const mean = prompts.reduce((sum, tokens) => sum + tokens, 0) / prompts.length;
  return {
    tally,
    countedMs: durationMs - warmupMs,
    imbalance: mean === 0 ? 1 : Math.max(...prompts) / mean,
    kvEventCount: state.index.eventCount,
    links: pools === null ? null : { bytes: state.links!.bytes, waitedMs: state.links!.waitedMs },
    lostCount,
  };
}

const spreadMs = 30_000;

function stateOf(options: FleetOptions, clock: VirtualClock, tally: FleetTally): FleetState {
  const { device, pools, policy, eventDelayMs } = options;
  const promptCount = pools?.prefillCount ?? options.nodeCount;
  const answerCount = pools?.decodeCount ?? 0;
  const all = promptCount + answerCount;
  const index = new PrefixIndex(all, clock, eventDelayMs);
  const node = (at: number, role: FleetNode['role'], on: SimDevice) =>
    new FleetNode({ index: at, role }, on, { clock, blocks: index.watch(at) });
  const role = pools === null ? 'whole' : 'prefill';
  return {
    clock,
    prompts: Array.from({ length: promptCount }, (_, at) => node(at, role, device)),
    answers:
      pools === null
        ? null
        : Array.from({ length: answerCount }, (_, at) =>
            node(promptCount + at, 'decode', pools.decodeDevice),
          ),
    router: new FleetRouter(policy, index),
    index,
    links: pools === null ? null : new KvLinks(all, clock, pools),
    kvBytesPerToken: device.kind === 'gpu' ? gpuKvBytesPerToken(device.setup) : 0,
    blockSize: device.limits.blockSize,
    tally,
    computedTokens: new Float64Array(all),
    nextSeed: 1,
  };
}

function loseSome(
  nodes: readonly FleetNode[],
  { share, downMs }: FailureWave,
  { clock, random }: { readonly clock: VirtualClock; readonly random: Random },
): number {
  const alive = nodes.filter((node) => node.alive);
  const count = Math.min(alive.length - 1, Math.round(share * nodes.length));
  for (let lost = 0; lost < count; lost++) {
    const [node] = alive.splice(random.integer(0, alive.length - 1), 1);
    node!.lose();
    clock.schedule(downMs, () => node!.revive());
  }
  return Math.max(0, count);
}

// Its turns one after the other; when they are through, another session takes its place.
function runSession(state: FleetState, session: FleetSession, sessions: FleetSessions): void {
  const { id, turns, from } = session;
  const salt = String(id);
  const play = (at: number): void => {
    const turn = turns[at];
    if (turn === undefined) {
      state.clock.defer(() => runSession(state, sessions.next(), sessions));
      return;
    }
    const tokens = promptTokens(turn).slice();
    playTurn(state, { session: id, salt, tokens, outputTokens: turn.outputTokens }, () => {
      const gapMs = turns[at + 1]?.gapMs ?? 0;
      state.clock.schedule(gapMs, () => play(at + 1));
    });
  };
  play(from);
}
