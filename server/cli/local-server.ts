// A server in this process, with everything a real one has: model, device, listener, log to standard error. Owns
// where ids, seeds and times come from. Before it: serve.ts and connect.ts; after it: device/device.ts and compose.ts.
import { randomBytes, randomFillSync } from 'node:crypto';
import { Random } from '../../kernels/random.ts';
import { adapterChoice } from '../../models/checkpoint/lora.ts';
import { loadModel, type Model } from '../../models/model.ts';
import { type OpenArchiveParts, openArchive } from '../archive/open-archive.ts';
import { containedClock } from '../base/contained.ts';
import { createLog, type Log } from '../base/log.ts';
import { ownersOf } from '../base/owner.ts';
import { packageVersion } from '../base/package-version.ts';
import { blockCounters } from '../cluster/block-counters.ts';
import { type OpenBlocksParts, openSharedBlocks } from '../cluster/open-blocks.ts';
import { openCluster } from '../cluster/open-cluster.ts';
import { openKvEvents } from '../cluster/open-kv-events.ts';
import { type RunningServer, type ServerArchive, startServer } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { openDevice, warnOfDivergence } from '../device/device.ts';
import { openDraftDevice } from '../device/draft-device.ts';
import { openLanes } from '../lanes/open-lanes.ts';
import { openListener } from '../listeners/open-listener.ts';
import { ServerMetrics } from '../metrics/metrics.ts';
import { openOutcomes } from '../outcomes/outcomes.ts';
import { TaskTracker } from '../outcomes/tracker.ts';
import { openTelemetry } from '../telemetry/open-telemetry.ts';
import { TextThread } from '../text/text-thread.ts';
import { pageAssets } from '../ui/assets.ts';
import { hubOf, withLocalModels } from './hub-model.ts';
import { openShelf } from './model-shelf.ts';
import { progressBar } from './progress.ts';
import type { Host } from './terminal.ts';

export interface LocalServer extends RunningServer {
  readonly model: Model;
  readonly version: string;
  readonly description: string; // of the device, for people: precision, sizes
  readonly otherNames: readonly string[]; // of the models beside it
  readonly log: Log;
}

const ID_BYTES = 12; // 96 random bits: not to be guessed, never twice

/** Rejects with what is wrong with the model, the device or the address. */
export async function startLocalServer(given: Config, host: Host): Promise<LocalServer> {
  const { terminal, clock, epochMs, memorySize = Number.POSITIVE_INFINITY } = host;
  const config = await withLocalModels(given, host);
  const log = createLog({ level: config.logLevel, write: (line) => terminal.note(line), epochMs });
  const model = loadModel(config.model, () => new Date(epochMs()), config.lora.map(adapterChoice));
  const transport = await openListener(config, { clock, env: host.env, log });
  const random = new Random(config.seed ?? randomBytes(4).readUInt32LE());
  const bar = progressBar(host, `building ${model.name}`);
  warnOfDivergence(config, log);
  const parts = { clock, log, memorySize, onProgress: () => {} };
  const building = { ...parts, onProgress: bar.onProgress };
  const device = await openDevice(config, model, building).finally(() => bar.end());
  const draft = await openDraftDevice(config, model, device.backend, parts);
  const version = packageVersion();
  const freshId = idsOf(config);
  const metrics = new ServerMetrics({ nodeMetrics: true });
  const identity = { version, clock, epochMs, random, freshId, log };
  const { otherNames, ...shelved } = await openShelf(
    { config, model, first: device },
    { ...identity, metrics, device: parts },
  );
  const { kvIdentity } = device;
  const kept = { config, model, backend: shelved.backend, kvIdentity, clock, epochMs, log, version, metrics };
  const archive = openBlocks({ ...kept, processorName: host.processorName ?? '' });
  const kvEvents = await openKvEvents(config, { clock, epochMs, log });
  metrics.blocks = kvEvents?.watch ?? null;
  const cluster = openCluster({
    ...{ config, modelName: model.name, kvIdentity, freshSeed: () => random.seed(), freshId: randomId },
    ...{ clock, log },
  });
  const outcomes = await openOutcomes({
    ...{ config, clock, epochMs, log, metrics },
    freshId: randomId, // a record outlives a run that repeats its ids
  });
  const lanes =
    config.lanes === null
      ? null
      : openLanes({
          ...{ path: config.lanes, env: host.env, epochMs, random, log, metrics },
          clock: containedClock(clock, log),
          shared: cluster === null ? null : { counts: cluster.counts, owners: ownersOf(config.apiKeys) },
          observers: outcomes === null ? [] : [new TaskTracker(outcomes)],
        });
  const server = await startServer({
    ...identity,
    config,
    model,
    ...shelved,
    draftBackend: draft?.backend ?? null,
    description: device.description,
    archive,
    lanes,
    outcomes,
    kvEvents,
    telemetry: await openTelemetry({ env: host.env, version, epochMs, log }),
    cluster,
    encodeElsewhere: new TextThread({ model: config.model }, epochMs),
    ...(config.ui === 'on' && {
      page: { assets: host.pageAssets ?? pageAssets(), runSelf: host.runSelf ?? null, hub: hubOf(host) },
    }),
    transport,
    metrics,
  });
  const drafted = draft === null ? '' : `; drafts by ${draft.description}`;
  return { ...server, model, version, otherNames, description: `${device.description}${drafted}`, log };
}

/** Where KV blocks live on: on disk, at other nodes, or nowhere. */
function openBlocks(
  parts: Omit<OpenArchiveParts & OpenBlocksParts, 'freshId' | 'near' | 'observer'> & {
    readonly metrics: ServerMetrics;
  },
): ServerArchive | null {
  const { metrics } = parts;
  // Files outlive a run that repeats its ids.
  const near = openArchive({ ...parts, freshId: randomId, observer: metrics });
  return openSharedBlocks({ ...parts, near, observer: blockCounters(metrics.registry) }) ?? near;
}

/** Ids of a node among several begin with its name (resp_NODE.…), by which proxies find it. */
function idsOf({ seed, node }: Config): () => string {
  const ownId = seed === null ? randomId : repeatableIds(seed);
  return node === null ? ownId : () => `${node}.${ownId()}`;
}

/** Bytes are drawn for many ids at a time: one by one each would take 7 µs, and a request may bring thousands of items. */
function randomIds(): () => string {
  const drawn = Buffer.alloc(256 * ID_BYTES);
  let at = drawn.length;
  return () => {
    if (at === drawn.length) {
      randomFillSync(drawn);
      at = 0;
    }
    at += ID_BYTES;
    return drawn.toString('base64url', at - ID_BYTES, at);
  };
}

const randomId = randomIds();

/** With --seed a run can be repeated byte for byte; its ids can then be guessed, which is for tests only. */
function repeatableIds(seed: number): () => string {
  const random = new Random(seed ^ 0x5eed);
  return () => Array.from({ length: 3 }, () => random.seed().toString(36).padStart(7, '0')).join('');
}
