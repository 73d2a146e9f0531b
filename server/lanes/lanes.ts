// Lanes: the lanes of one server with their gates, upstreams and the budget, and the door to them. Owns their life; what a
// single request goes through is visit.ts's. Before it: the edge (lane-edge.ts, responses/*); after it: visit.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { Random } from '../../kernels/random.ts';
import type { Log } from '../log.ts';
import { UpstreamClient } from '../upstream/client.ts';
import type { UpstreamWire } from '../upstream/wire.ts';
import { Budget } from './budget.ts';
import { LaneGate } from './gate.ts';
import { AUTO, type LaneConfig, type LanesFile, styleOf } from './lanes-file.ts';
import type { LaneObserver } from './observer.ts';
import type { PolicySource } from './policy-source.ts';
import { Router } from './router.ts';
import { type LaneAsk, type LaneListener, Visit } from './visit.ts';

export interface LanesWorld {
  readonly file: LanesFile;
  readonly policies: PolicySource;
  readonly wireTo: (lane: string) => UpstreamWire; // of lanes with an upstream
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly random: Random;
  readonly log: Log;
  readonly observer: LaneObserver;
}

export interface Lane {
  readonly name: string;
  readonly config: LaneConfig;
  readonly style: string;
  readonly gate: LaneGate;
  readonly upstream: UpstreamClient | null;
}

export interface LaneReport {
  readonly name: string;
  readonly running: number;
  readonly waiting: number;
  readonly circuit: string; // '' without an upstream
}

export class Lanes {
  readonly #world: LanesWorld;
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly router: Router;
  readonly budget: Budget;
  #draining = false;

  constructor(world: LanesWorld) {
    const { file, policies, epochMs } = world;
    this.#world = world;
    this.router = new Router(policies, file.sessionCountMax);
    this.budget = new Budget(file.budgetPerKeyAndDay ?? null, epochMs);
    this.#lanes = new Map(
      Object.entries(file.lanes).map(([name, config]) => [name, laneOf(name, config, world)]),
    );
  }

  /** What clients may name as a model, beside the server's own. */
  get models(): readonly string[] {
    return [...this.#lanes.keys(), AUTO];
  }

  get report(): readonly LaneReport[] {
    return [...this.#lanes.values()].map(({ name, gate, upstream }) => ({
      name,
      ...gate.report,
      circuit: upstream?.circuit ?? '',
    }));
  }

  /** Whether this server's own model answers there. */
  isLocal(name: string): boolean {
    return this.#lanes.get(name)?.upstream === null;
  }

  get(name: string): Lane {
    return this.#lanes.get(name)!;
  }

  get world(): LanesWorld {
    return this.#world;
  }

  /** The lane, or auto, that a request's `model` means; null: none of ours. The server's own model is its local lane. */
  meaning(model: string | null | undefined, ownModel: string): string | null {
    if (model == null || model === '') return this.#world.file.default;
    if (model === AUTO || this.#lanes.has(model)) return model;
    if (model !== ownModel) return null;
    return [...this.#lanes.values()].find(({ upstream }) => upstream === null)?.name ?? null;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Nobody comes in any more; who is in, or waits, goes on. */
  drain(): void {
    this.#draining = true;
  }

  /** The listener is told once that the request is in or why not, maybe in the caller's stack, and its place meanwhile. */
  enter(ask: LaneAsk, listener: LaneListener): Visit {
    const visit = new Visit(this, ask, listener);
    visit.begin();
    return visit;
  }

  close(): void {
    for (const { upstream } of this.#lanes.values()) upstream?.close();
  }
}

function laneOf(name: string, config: LaneConfig, world: LanesWorld): Lane {
  const { clock, random, wireTo, observer } = world;
  const { concurrency, queueLength, queueWaitMs, ...rates } = config.limits;
  const gate = new LaneGate(
    { ...rates, concurrency, queueLengthMax: queueLength, queueWaitMsMax: queueWaitMs },
    clock,
  );
  const upstream =
    config.upstream === undefined
      ? null
      : new UpstreamClient({
          lane: name,
          wire: wireTo(name),
          bounds: config.upstream,
          clock,
          random,
          onAttempt: (outcome) => observer.onAttempt(name, outcome),
        });
  return { name, config, style: styleOf(name, config), gate, upstream };
}
