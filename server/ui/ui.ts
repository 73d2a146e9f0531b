// The page's part of a server: what hears the engine for it, its routes, its live stream. Owns their wiring; the rest of the
// server knows none of it. Before it: compose.ts; after it: routes.ts and live-hub.ts.
import type { Clock } from '../../kernels/clock.ts';
import { deviceCatalogue } from '../../kernels/registry.ts';
import { NOBODY, ownerAt } from '../base/owner.ts';
import type { Config } from '../config/config.ts';
import type { EngineObserver } from '../engine/observer.ts';
import type { HttpCall } from '../http/http-call.ts';
import type { Route } from '../http/route.ts';
import type { Lanes } from '../lanes/lanes.ts';
import type { ServerMetrics } from '../metrics/metrics.ts';
import type { SessionTable } from '../sessions/session-table.ts';
import type { Assets } from './assets.ts';
import { labRoutes } from './lab-routes.ts';
import { LiveHub } from './live-hub.ts';
import { LiveRecorder } from './live-recorder.ts';
import type { LiveParts } from './live-state.ts';
import { observerPair } from './observer-pair.ts';
import { type PageHub, PullDesk } from './pull-desk.ts';
import { pullRoutes } from './pull-routes.ts';
import { ReportShelf, reportsDirectory } from './report-shelf.ts';
import { answerShell, uiRoutes } from './routes.ts';

/** What only the program itself can give. */
export interface PageParts {
  readonly assets: Assets | null; // null: the page was not compiled
  readonly runSelf?: ((args: readonly string[]) => Promise<void>) | null; // this program once more
  readonly hub?: PageHub; // without it nothing is pulled
}

export interface UiParts {
  readonly config: Config;
  readonly version: string;
  readonly chat: boolean; // the model has a template for conversations
  readonly page: PageParts;
  readonly freshId: () => string;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
}

/** What is there once the server is wired. */
export type UiServer = Pick<LiveParts, 'engine' | 'device' | 'residents'> & {
  readonly lanes: Lanes | null;
  readonly sessions: () => SessionTable;
};

const TEXT_TOKENS = 512; // of a session, shown to its owner

export class Ui {
  readonly #parts: UiParts;
  readonly #recorder: LiveRecorder;
  #hub: LiveHub | null = null;

  constructor(parts: UiParts) {
    this.#parts = parts;
    this.#recorder = new LiveRecorder(parts.clock);
  }

  /** Instead of the metrics, which it tells everything. */
  get observer(): EngineObserver {
    return observerPair(this.#parts.metrics, this.#recorder);
  }

  readonly answerPage = (call: HttpCall): void => answerShell(call, this.#parts.page.assets);

  /** Once. */
  routes(server: UiServer): readonly Route[] {
    const { config, version, chat, page, clock, metrics, freshId } = this.#parts;
    const { apiKeys } = config;
    const showsText = config.uiText === 'on' && apiKeys.length > 0;
    const desk = page.hub === undefined ? null : new PullDesk(page.hub);
    const hub = new LiveHub(
      {
        ...{ clock, recorder: this.#recorder },
        ...{ engine: server.engine, device: server.device, lanes: server.lanes },
        sessions: () => server.sessions().all,
        owners: apiKeys.length === 0 ? [NOBODY] : apiKeys.map((_, index) => ownerAt(index)),
        disk: { sizeMax: config.kvDiskSizeMax, size: () => metrics.archiveSize },
        pulls: () => desk?.pulls ?? [],
        residents: server.residents,
      },
      config,
    );
    this.#hub = hub;
    metrics.watch('ui_viewers', 'Pages that watch', () => hub.viewerCount);
    const lab = labRoutes({
      plan: () => server.device.backend.plan ?? null,
      catalogue: deviceCatalogue,
      reports: new ReportShelf(reportsDirectory(config.cacheDirectory)),
      style: () => Buffer.from(page.assets?.get('report.css')?.body ?? []).toString(),
      runSelf: page.runSelf ?? null,
      freshName: () => freshId().replace(/\W/g, ''),
    });
    const own = uiRoutes({
      assets: page.assets,
      live: hub,
      about: () => ({
        ...{ version, chat, shows_text: showsText },
        block_size: server.device.backend.limits.blockSize,
      }),
      sessions: (owner) =>
        server
          .sessions()
          .list(owner)
          .map((session) => ({
            id: session.id,
            tokens: session.tokenCount,
            text: showsText ? session.tail(TEXT_TOKENS) : null,
          })),
    });
    return [...lab, ...pullRoutes(desk), ...own];
  }

  /** Ends the live streams. Idempotent. */
  close(): void {
    this.#hub?.close();
  }
}
