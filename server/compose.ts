// One whole server from its parts: device → engine → app → transport. Owns the order of start and stop; makes no
// device and opens no file (device/device.ts does), so that the same server runs over a simulated device, a virtual clock
// and a transport of memory. Before it: cli/serve.ts and tests; after it: app.ts.
import type { Backend } from '../kernels/backend.ts';
import type { Clock } from '../kernels/clock.ts';
import type { Random } from '../kernels/random.ts';
import type { Model } from '../models/model.ts';
import { createApp, type OtherModels } from './app.ts';
import { containedClock } from './base/contained.ts';
import type { Log } from './base/log.ts';
import { addEngineGauges } from './cluster/engine-gauges.ts';
import { loadsRoute } from './cluster/loads.ts';
import type { Cluster } from './cluster/open-cluster.ts';
import type { Config } from './config/config.ts';
import { adminRoutes, faultRoute } from './device/admin.ts';
import { CurrentDevice, type DeviceChoice } from './device/current-device.ts';
import type { DecoderDevice } from './device/decoder-device.ts';
import type { OpenDevice } from './device/device.ts';
import type { DecoderEmbeddings } from './embeddings/open-embeddings.ts';
import type { BlockArchive } from './engine/block-archive.ts';
import { DraftModel } from './engine/draft-model.ts';
import { Engine } from './engine/engine.ts';
import type { Route } from './http/route.ts';
import type { Lanes } from './lanes/lanes.ts';
import type { Transport } from './listeners/transport.ts';
import type { ServerMetrics } from './metrics/metrics.ts';
import type { Outcomes } from './outcomes/outcomes.ts';
import { taskRoutes } from './outcomes/routes.ts';
import type { SharedParts } from './serving/model-service.ts';
import { engineBounds, textsOf } from './serving/served-decoder.ts';
import type { Residence, Shelf } from './shelf/shelf.ts';
import type { Telemetry } from './telemetry/open-telemetry.ts';
import type { EncodeElsewhere } from './text/long-texts.ts';
import type { LiveResident } from './ui/page/live-report.ts';
import { type PageParts, Ui } from './ui/ui.ts';

export interface ServerParts {
  readonly config: Config;
  readonly version: string;
  readonly model: Model;
  readonly backend: Backend; // closed by the server's stop(), or once another one has taken its place
  readonly draftBackend?: Backend | null; // likewise; a draft model's, with as many replicas and slots
  readonly description?: string; // of the backend, for people; its name unless given
  readonly openBackend?: (choice: DeviceChoice) => Promise<OpenDevice>; // POST /admin/backend; without it the backend stays
  readonly archive?: ServerArchive | null; // likewise
  readonly lanes?: Lanes | null; // likewise; without them every request goes to the model
  readonly outcomes?: Outcomes | null; // likewise; without it no task is recorded
  readonly shelf?: Shelf; // closed by stop()
  readonly decoder?: DecoderDevice | null; // whose backend is `backend`, where that comes and goes
  readonly openOthers?: ((shared: SharedParts) => OtherModels) | null; // beside the model; without them it is alone
  readonly embeddings?: DecoderEmbeddings | null; // without them the model does not embed
  readonly encodeElsewhere?: EncodeElsewhere; // long texts; without it all are tokenised here
  readonly page?: PageParts; // without it there is no page
  readonly kvEvents?: { close(): void } | null; // likewise
  readonly telemetry?: Telemetry | null; // likewise
  readonly cluster?: Cluster | null; // likewise; through which what it keeps outlives its node
  readonly transport: Transport; // likewise
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly random: Random;
  readonly freshId: () => string; // never repeats, nobody can guess it
  readonly log: Log;
  readonly metrics: ServerMetrics;
}

/** KV blocks outside of the device (archive/kv-archive.ts); `close` calls back once everything is written. */
export interface ServerArchive extends BlockArchive {
  close(done: () => void): void;
}

export interface RunningServer {
  readonly url: string; // http://host:port
  readonly port: number;
  readonly engine: Engine;
  readonly device: CurrentDevice;
  /** Refuses new work, lets open work end within `drainTimeoutMs`, then closes everything. Idempotent. */
  stop(): Promise<void>;
}

/** The address is in use, or not this machine's. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
}

/** Rejects with AddressError when the address cannot be bound; the backend is closed then. */
export async function startServer(parts: ServerParts): Promise<RunningServer> {
  const { config, model, backend, transport, clock, log, metrics, archive = null, outcomes = null } = parts;
  const { draftBackend = null, page } = parts;
  for (const warning of model.warnings) log.warn(warning);
  const draftModel = draftBackend === null ? null : openDraftModel(draftBackend, parts);
  const ui = page === undefined ? null : new Ui({ ...parts, page, chat: model.chatTemplate !== null });
  const observer = ui?.observer ?? metrics;
  const engine = new Engine(backend, clock, engineBounds(config, backend), observer, archive, draftModel);
  parts.decoder?.attach(engine, (next) => engineBounds(config, next));
  const device = new CurrentDevice({
    first: { backend, description: parts.description ?? backend.name },
    choice: config,
    open: parts.openBackend ?? null,
    archived: archive !== null,
    boundsFor: (next) => engineBounds(config, next),
    clock,
    log,
  });
  metrics.watchDevice(() => device.backend);
  metrics.watchRequestErrors((err) => log.error('a request met a fault of the server', { err }));
  const routes = [
    ...ownRoutes(parts, { device, engine }),
    ...(ui?.routes({
      ...{ engine, device, lanes: parts.lanes ?? null },
      sessions: () => app.sessions,
      residents: () => residentsOf(parts, app.others),
    }) ?? []),
  ];
  const app = createApp({
    ...parts,
    ...{ backend: device, clock: containedClock(clock, log) }, // callers' timers, not the engine's
    routes,
    ...(ui !== null && { answerPage: ui.answerPage }),
    ...(parts.telemetry != null && { onAnswer: parts.telemetry.onAnswer }),
    openEmbeddings: parts.embeddings?.open ?? null,
    resident: parts.decoder?.resident ?? null,
    engine,
    openText: textsOf(model),
  });
  const listening = await transport
    .listen(config.host, config.port, app.handlers)
    .catch(async (error: Error) => {
      await closeDevices(device, parts); // and what else would keep the process
      throw new AddressError(error.message, { cause: error });
    });
  let stopped: Promise<void> | null = null;
  return {
    ...listening,
    url: urlOf(config.host, listening.port),
    engine,
    device,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };

  async function stop(): Promise<void> {
    transport.stopListening();
    ui?.close();
    await app.drain();
    transport.close();
    await app.others?.close();
    parts.lanes?.close();
    await outcomes?.close();
    if (archive !== null) await closed(archive, clock);
    await parts.telemetry?.close();
    await closeDevices(device, parts);
  }
}

/** Of the device, of tasks, of routers before this node. */
function ownRoutes(
  parts: ServerParts,
  { device, engine }: { readonly device: CurrentDevice; readonly engine: Engine },
): readonly Route[] {
  return [
    ...adminRoutes({ device, engine }),
    ...(parts.config.deviceFaults === 'on' ? [faultRoute({ device })] : []),
    workerRoute(parts, device),
    ...taskRoutes(parts.outcomes ?? null),
  ];
}

/** Models that come and go, as people are told. */
function residentsOf(
  { shelf, decoder, embeddings }: ServerParts,
  others: OtherModels | null,
): readonly LiveResident[] {
  const own = [decoder?.resident, embeddings?.resident].filter((one) => one != null);
  return [
    ...own.map((one) => residentOf(one.name, one.size, shelf!.stateOf(one))),
    ...(others?.catalogue.models ?? []).map(({ listed, residence }) =>
      residentOf(listed.name, listed.fileSize, residence),
    ),
  ];
}

function residentOf(name: string, size: number, residence: Residence): LiveResident {
  const { kind } = residence;
  const note = kind === 'loading' ? residence.progress : kind === 'failed' ? residence.reason : '';
  return { name, size, state: kind, note };
}

async function closeDevices(device: CurrentDevice, parts: ServerParts): Promise<void> {
  const { draftBackend, shelf, kvEvents, cluster, decoder, embeddings } = parts;
  shelf?.close();
  kvEvents?.close();
  cluster?.close();
  const others = [draftBackend?.close(), decoder?.close(), embeddings?.resident.unload()];
  await Promise.all([device.close(), ...others]);
}

/** What routers before several nodes ask and read: /v1/loads, and gauges. */
function workerRoute(
  { metrics, model, config, clock, epochMs, version }: ServerParts,
  device: CurrentDevice,
): Route {
  const limits = () => device.backend.limits;
  const engine = { report: () => metrics.kv, blockSize: () => limits().blockSize };
  addEngineGauges({
    ...{ registry: metrics.registry, modelName: model.name, vllm: config.engineMetrics === 'vllm' },
    ...engine,
    blockCount: () => limits().blockCount,
  });
  return loadsRoute({
    ...{ clock, epochMs, version, ...engine },
    seatCount: () => limits().replicaCount * limits().slotCount,
    totals: () => metrics.tokens,
  });
}

function openDraftModel(backend: Backend, { clock, log, metrics }: ServerParts): DraftModel {
  return new DraftModel(backend, clock, ({ code, message }) => {
    log.error('the draft model is off: its device has failed', { code, reason: message });
    metrics.onDraftModelLost(code);
  });
}

const ARCHIVE_CLOSE_MS = 10_000; // a disk that is slower loses what is not written

function closed(archive: ServerArchive, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.schedule(ARCHIVE_CLOSE_MS, resolve);
    archive.close(() => {
      timer.cancel();
      resolve();
    });
  });
}

function urlOf(host: string, port: number): string {
  const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}
