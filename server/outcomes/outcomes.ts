// Outcomes: the record of tasks of one server, open: its queue, its metrics, whose tasks are whose. Owns what is kept of an
// API key (a hash) and how it is opened and closed. Before it: cli/local-server.ts; after it: routes.ts and tracker.ts.
import { createHash } from 'node:crypto';
import type { Clock } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import { ownedKey } from '../base/owner.ts';
import type { Config } from '../config/config.ts';
import type { ServerMetrics } from '../metrics/metrics.ts';
import { type OutcomeMetrics, outcomeMetrics } from './outcome-metrics.ts';
import { Recorder } from './recorder.ts';
import { openStoreThread, type StorePort } from './store-port.ts';

export interface OutcomesParts {
  readonly port: StorePort;
  readonly config: Pick<Config, 'apiKeys' | 'outcomesQueueMax' | 'outcomesText'>;
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly freshId: () => string; // never repeats, nobody can guess it
  readonly log: Log;
  readonly metrics: Pick<ServerMetrics, 'registry'>;
}

export class Outcomes {
  readonly recorder: Recorder;
  readonly metrics: OutcomeMetrics;
  readonly clock: Clock;
  readonly epochMs: () => number;
  readonly freshId: () => string;
  readonly keepText: boolean;
  readonly #apiKeys: readonly string[];

  constructor({ port, config, clock, epochMs, freshId, log, metrics }: OutcomesParts) {
    this.metrics = outcomeMetrics(metrics.registry);
    this.clock = clock;
    this.epochMs = epochMs;
    this.freshId = freshId;
    this.keepText = config.outcomesText === 'on';
    this.#apiKeys = config.apiKeys;
    const queueLengthMax = config.outcomesQueueMax;
    this.recorder = new Recorder({ port, clock, epochMs, log, metrics: this.metrics, queueLengthMax });
  }

  /** Follows the key, not its place in the list, and does not tell it. */
  ownerIdOf(owner: string): string {
    const key = ownedKey(this.#apiKeys, owner);
    if (key === null) return '';
    return createHash('sha256')
      .update(`sparklane outcomes\0${key}`)
      .digest('base64url')
      .slice(0, OWNER_LENGTH);
  }

  /** Everything that was observed is written first. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.schedule(CLOSE_MS, resolve);
      this.recorder.close(() => {
        timer.cancel();
        resolve();
      });
    });
  }
}

const OWNER_LENGTH = 22; // 132 bits
const CLOSE_MS = 5000; // a disk that is slower loses what is not written
const DAY_MS = 86_400_000;

/** Null where no record is wanted. Rejects with OutcomesError where the file cannot be used. */
export async function openOutcomes(
  parts: Omit<OutcomesParts, 'port' | 'config'> & { readonly config: Config },
): Promise<Outcomes | null> {
  const { config, log, epochMs } = parts;
  const { outcomesDb: path, outcomesDays, outcomesRowsMax: rowsMax } = config;
  if (path === null) return null;
  const bounds = { ageMsMax: outcomesDays * DAY_MS, rowsMax };
  const { port, putAside, rowCount } = await openStoreThread({ path, bounds, epochMs: epochMs() }, (reason) =>
    log.error('tasks are recorded no longer', { path, reason }),
  );
  if (putAside !== null) log.warn('the record of tasks was broken; a new one is begun', { path, putAside });
  log.info('tasks are recorded', { path, rowCount, keepText: config.outcomesText });
  return new Outcomes({ ...parts, port });
}
