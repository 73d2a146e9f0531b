// Lane: one lane of a server, and what all of them need. Types only. Made by lanes.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { Random } from '../../kernels/random.ts';
import type { Log } from '../base/log.ts';
import type { SharedCounts } from '../cluster/shared-counts.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { UpstreamWire } from '../upstream/wire.ts';
import type { LaneGate } from './gate.ts';
import type { LaneConfig, LanesFile } from './lanes-file.ts';
import type { LaneObserver } from './observer.ts';
import type { PolicySource } from './policy-source.ts';

export interface LanesHost {
  readonly file: LanesFile;
  readonly policies: PolicySource;
  readonly wireTo: (lane: string) => UpstreamWire; // of lanes with an upstream
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly random: Random;
  readonly log: Log;
  readonly observer: LaneObserver;
  readonly shared?: SharedLimits | null; // rates and budgets are those of all nodes
}

export interface SharedLimits {
  readonly counts: Pick<SharedCounts, 'share' | 'forget'>;
  readonly owners: readonly string[]; // that may have spent something elsewhere
}

export interface Lane {
  readonly name: string;
  readonly config: LaneConfig;
  readonly style: string;
  readonly gate: LaneGate;
  readonly upstream: UpstreamClient | null;
}
