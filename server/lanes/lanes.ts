// Lanes: the lanes of one server with their gates, upstreams and the budget, and the door to them. Owns their life; what a
// single request goes through is visit.ts's. Before it: the edge (chat/lane-edge.ts, responses/*); after it: visit.ts.
import { UpstreamClient } from '../upstream/client.ts';
import { Budget } from './budget.ts';
import { LaneGate } from './gate.ts';
import type { Lane, LanesHost } from './lane.ts';
import { AUTO, type LaneConfig, styleOf } from './lanes-file.ts';
import { Router } from './router.ts';

export interface LaneReport {
  readonly name: string;
  readonly running: number;
  readonly waiting: number;
  readonly circuit: string; // '' without an upstream
}

export class Lanes {
  readonly #host: LanesHost;
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly router: Router;
  readonly budget: Budget;
  #draining = false;

  constructor(host: LanesHost) {
    const { file, policies, epochMs, shared = null } = host;
    this.#host = host;
    this.router = new Router(policies, file.sessionCountMax);
    this.budget = new Budget(
      file.budgetPerKeyAndDay ?? null,
      epochMs,
      shared?.counts ?? null,
      shared?.owners ?? [],
    );
    this.#lanes = new Map(
      Object.entries(file.lanes).map(([name, config]) => [name, laneOf(name, config, host)]),
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

  get host(): LanesHost {
    return this.#host;
  }

  /** The lane, or auto, that a request's `model` means; null: none of ours. The server's own model is its local lane. */
  meaning(model: string | null | undefined, ownModel: string): string | null {
    if (model == null || model === '') return this.#host.file.default;
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

  close(): void {
    for (const { upstream } of this.#lanes.values()) upstream?.close();
  }
}

function laneOf(name: string, config: LaneConfig, host: LanesHost): Lane {
  const { clock, random, wireTo, observer, shared = null } = host;
  const { concurrency, queueLength, queueWaitMs, ...rates } = config.limits;
  const gate = new LaneGate(
    {
      ...{ ...rates, concurrency, queueLengthMax: queueLength, queueWaitMsMax: queueWaitMs },
      ...(shared !== null && { shared: { lane: name, count: shared.counts.share } }),
    },
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
