// Router: which node a turn goes to, as proxies choose: in turn, by open requests, by the session's name, or by what nodes have
// cached. Only nodes that are there are asked. Before it: fleet.ts.
import { mix32 } from '../../../kernels/random.ts';
import type { FleetNode } from './fleet-node.ts';
import type { PrefixIndex } from './prefix-index.ts';

export const POLICIES = ['round-robin', 'least-load', 'session-hash', 'prefix-aware'] as const;
export type PolicyName = (typeof POLICIES)[number];

export interface Routed {
  readonly session: number; // whose turn it is
  readonly paths: readonly number[]; // of its prompt's blocks; empty where the policy does not look at them
}

export class FleetRouter {
  readonly #policy: PolicyName;
  readonly #index: PrefixIndex;
  #turn = 0;

  constructor(policy: PolicyName, index: PrefixIndex) {
    this.#policy = policy;
    this.#index = index;
  }

  get readsPrefixes(): boolean {
    return this.#policy === 'prefix-aware';
  }

  /** Null: no node of these is there. */
  choose(nodes: readonly FleetNode[], routed: Routed): FleetNode | null {
    const alive = nodes.filter((node) => node.alive);
    if (alive.length === 0) return null;
    const start = this.#turn++ % alive.length; // equals are taken in turn
    const inTurn = [...alive.slice(start), ...alive.slice(0, start)];
    if (this.#policy === 'round-robin') return inTurn[0]!;
    return best(inTurn, this.#scoreOf(alive, routed));
  }

  #scoreOf(alive: readonly FleetNode[], { session, paths }: Routed): (node: FleetNode) => number {
    if (this.#policy === 'least-load') return ({ openCount }) => -openCount;
    // Rendezvous: of a lost node's sessions each goes to another one, all others stay.
    if (this.#policy === 'session-hash') return ({ index }) => mix32(mix32(session + 1) ^ (index + 1));
    const openMax = Math.max(1, ...alive.map(({ openCount }) => openCount));
    return ({ index, openCount }) => {
      const found = paths.length === 0 ? 0 : this.#index.matched(index, paths) / paths.length;
      return prefixWeight * found + loadWeight * (1 - openCount / openMax);
    };
  }
}

// Of llm-d's default scorers: prefix 3, queue 2.
const prefixWeight = 3;
const loadWeight = 2;

function best(nodes: readonly FleetNode[], scoreOf: (node: FleetNode) => number): FleetNode {
  let chosen = nodes[0]!;
  let score = scoreOf(chosen);
  for (const node of nodes) {
    const other = scoreOf(node);
    if (other > score) [chosen, score] = [node, other];
  }
  return chosen;
}
