// DriverPlan: how a workload is played. A type only. Before it: measure/campaign.ts makes one; used by driver.ts and
// live-session.ts.
import type { Load } from '../../workload/arrival.ts';
import type { WorkShare } from '../../workload/share.ts';

export interface DriverPlan {
  readonly load: Load;
  readonly durationMs: number; // no turn is intended after this, from the start of the run
  readonly sessionsMax: number; // no more sessions than this
  readonly sessionsInFlightMax: number; // an arrival over this is shed, and the run is void
  readonly turnTimeoutMs: number; // from the dispatch
  readonly leadMs: number; // a session's connection is opened this long before its first turn
  readonly share?: WorkShare; // of the sessions and their arrivals that this driver plays; default: all
  readonly salt: number; // makes this run's content differ from that of other runs of the same workload
}
