// KV events as the options ask for them: the watch of the engine's blocks, and the sockets that tell of it. Owns that both fit.
// Before it: cli/local-server.ts; after it: kv-events.ts and kv-publisher.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config/config.ts';
import { KvEvents } from './kv-events.ts';
import { KvPublisher } from './kv-publisher.ts';

export interface OpenKvEvents {
  readonly watch: KvEvents;
  close(): void;
}

const BATCHES_WAITING_MAX = 1024;

/** Null unless --kv-events. Rejects with KvEventsError. */
export async function openKvEvents(
  config: Pick<Config, 'kvEvents' | 'kvEventsReplay' | 'kvEventsTopic' | 'kvEventsKept'>,
  { clock, epochMs, log }: { readonly clock: Clock; readonly epochMs: () => number; readonly log: Log },
): Promise<OpenKvEvents | null> {
  if (config.kvEvents === null) return null;
  const publisher = await KvPublisher.open({
    publishTo: config.kvEvents,
    replayAt: config.kvEventsReplay,
    topic: config.kvEventsTopic ?? '',
    batchesWaitingMax: BATCHES_WAITING_MAX,
    onError: (reason) => log.warn('a KV event was not told', { reason }),
  });
  const watch = new KvEvents({
    ...{ clock, epochMs, batchesKept: config.kvEventsKept },
    onBatch: publisher.publish,
  });
  publisher.serve((sequence) => watch.since(sequence));
  return { watch, close: () => publisher.close() };
}
