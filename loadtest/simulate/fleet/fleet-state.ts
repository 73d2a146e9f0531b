// FleetState: what turns of a fleet are played in: nodes, router, links, tally. Before it: fleet.ts, which makes it.
import type { VirtualClock } from '../../../kernels/clock.ts';
import type { FleetNode } from './fleet-node.ts';
import type { FleetTally } from './fleet-tally.ts';
import type { KvLinks } from './kv-links.ts';
import type { PrefixIndex } from './prefix-index.ts';
import type { FleetRouter } from './router.ts';

export interface FleetState {
  readonly clock: VirtualClock;
  readonly prompts: readonly FleetNode[]; // nodes that compute prompts
  readonly answers: readonly FleetNode[] | null; // that go on with them; null: the same
  readonly router: FleetRouter;
  readonly index: PrefixIndex;
  readonly links: KvLinks | null;
  readonly kvBytesPerToken: number;
  readonly blockSize: number;
  readonly tally: FleetTally;
  readonly computedTokens: Float64Array; // [node] of prompts
  nextSeed: number;
}
