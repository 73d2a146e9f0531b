// Visit: one request's way into a lane: routed, its cost reserved, let in or queued or sent to the other lane, and its
// upstream opened. Owns that it is in at most one lane at a time, and that it gives back what it held, whatever happens.
// Before it: lanes.ts; after it: entry.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { UpstreamAnswer } from '../upstream/answer.ts';
import type { Reservation } from './budget.ts';
import type { LaneConversation } from './conversation.ts';
import { LaneEntry } from './entry.ts';
import type { QueuePlace, Ticket } from './gate.ts';
import type { Lane } from './lane.ts';
import type { Lanes } from './lanes.ts';
import { AUTO, costOf, type UpstreamDialect } from './lanes-file.ts';
import type { RoutedTask } from './router.ts';

export interface LaneAsk {
  readonly requestId: string;
  readonly owner: string; // whose API key
  readonly model: string; // a lane, or auto
  readonly conversation: LaneConversation;
  readonly sessionKey: string | null;
  readonly taskId?: string | null; // as its client calls the task
  /** What an upstream is asked, or what of the request it would not understand. */
  readonly upstreamBody: (of: UpstreamOf) => Parsed<string>;
}

export interface UpstreamOf {
  readonly model: string; // as it calls it
  readonly system: string; // before what the client told; '' is nothing
  readonly dialect: UpstreamDialect;
}

export interface LaneListener {
  onPlace(place: QueuePlace & { readonly lane: string }): void;
  onEntered(entry: LaneEntry): void; // once, or
  onRefused(refused: Fault): void; // once
}

/** The listener is told once that the request is in or why not, maybe in the caller's stack, and its place meanwhile. */
export function enterLane(lanes: Lanes, ask: LaneAsk, listener: LaneListener): Visit {
  const visit = new Visit(lanes, ask, listener);
  visit.begin();
  return visit;
}

class Visit {
  readonly #lanes: Lanes;
  readonly #ask: LaneAsk;
  readonly #listener: LaneListener;
  readonly #task: RoutedTask;
  readonly #startMs: number;
  readonly #routeMs: number;
  #note: string | null = null; // why another lane answers
  #hasBeenElsewhere = false; // once is enough
  #overflowFrom: string | null = null;
  #full: Lane | null = null; // had no seat, but has a queue, should the other lane be of no use
  #waitedMs = 0;
  #leave: (() => void) | null = null; // gives back whatever is held right now
  #over = false;

  constructor(lanes: Lanes, ask: LaneAsk, listener: LaneListener) {
    const { clock } = lanes.host;
    this.#startMs = clock.nowMs();
    this.#lanes = lanes;
    this.#ask = ask;
    this.#listener = listener;
    this.#task = lanes.router.route(ask.model, ask.conversation, ask.sessionKey);
    this.#routeMs = clock.nowMs() - this.#startMs;
  }

  get task(): RoutedTask {
    return this.#task;
  }

  begin(): void {
    const lane = this.#lanes.get(this.#task.decision.lane);
    if (this.#lanes.draining) this.#refuse(lane, fault('draining', 'the server is shutting down'));
    else this.#try(lane);
  }

  /** Nobody wants to come in any more. Idempotent, harmless once it is in. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#leave?.();
  }

  #try(lane: Lane): void {
    const ask = { owner: this.#ask.owner, tokens: this.#tokens };
    const reservation = this.#lanes.budget.reserve(ask.owner, this.#costIn(lane));
    if (reservation === null) {
      this.#fallBack(lane, this.#budgetFault());
      return;
    }
    this.#leave = () => reservation.settle(0);
    const ticket = lane.gate.tryEnter(ask);
    if (ticket !== null) this.#admitted(lane, ticket, reservation);
    else this.#wait(lane, reservation);
  }

  #wait(lane: Lane, reservation: Reservation): void {
    const { overflow } = lane.config;
    const { name, gate } = lane;
    const ask = { owner: this.#ask.owner, tokens: this.#tokens };
    const retryAfterMs = Math.ceil(gate.estimateMs(ask));
    if (typeof overflow !== 'string' && !this.#hasBeenElsewhere) {
      this.#full = lane;
      this.#elsewhere(lane, overflow.to);
      return;
    }
    if (overflow === 'reject') {
      const message = `the lane ${name} has no room and takes nobody to wait`;
      this.#refuse(lane, fault('rate_limit_exceeded', message, { retryAfterMs }));
      return;
    }
    const waiting = gate.wait(ask, {
      onTicket: (ticket, waitedMs) => {
        this.#waitedMs += waitedMs;
        this.#admitted(lane, ticket, reservation);
      },
      onTooLong: ({ position, estimatedWaitMs }) => {
        this.#full = null; // one queue is enough
        const message = `waited ${lane.config.limits.queueWaitMs} ms for the lane ${name}, now at place ${position}`;
        this.#refuse(lane, fault('queue_full', message, { retryAfterMs: estimatedWaitMs }));
      },
      onPlace: (place) => this.#listener.onPlace({ ...place, lane: name }),
    });
    if (waiting === null) {
      const message = `${lane.config.limits.queueLength} requests wait for the lane ${name} already`;
      this.#refuse(lane, fault('queue_full', message, { retryAfterMs }));
      return;
    }
    this.#leave = () => {
      waiting.cancel();
      reservation.settle(0);
    };
  }

  #admitted(lane: Lane, ticket: Ticket, reservation: Reservation): void {
    const giveBack = () => {
      ticket.leave(0);
      reservation.settle(0);
    };
    this.#leave = giveBack;
    if (lane.upstream === null) {
      this.#enter(lane, { ticket, reservation, answer: null });
      return;
    }
    const { upstream } = lane.config;
    const { model, dialect } = upstream!;
    const body = this.#ask.upstreamBody({ model, dialect, system: this.#systemIn(lane) });
    if (!body.ok) {
      this.#full = null;
      this.#refuse(lane, body.fault);
      return;
    }
    const opening = lane.upstream.open(body.value, {
      onOpen: (answer) => this.#enter(lane, { ticket, reservation, answer }),
      onFault: (refused, elsewhere) => {
        const { overflow } = lane.config;
        if (elsewhere && typeof overflow !== 'string' && !this.#hasBeenElsewhere) {
          this.#elsewhere(lane, overflow.to);
          return;
        }
        if (elsewhere) {
          this.#fallBack(lane, refused);
          return;
        }
        this.#full = null; // the request is at fault, wherever it goes
        this.#refuse(lane, refused);
      },
    });
    this.#leave = () => {
      opening.cancel();
      giveBack();
    };
  }

  /** Whoever let us choose is answered by the lane that is named for this, with a note; others are told how long. */
  #fallBack(lane: Lane, refused: Fault): void {
    const { fallback } = lane.config;
    if (fallback === undefined || this.#ask.model !== AUTO || this.#hasBeenElsewhere) {
      this.#refuse(lane, refused);
      return;
    }
    this.#note = `${fallback} answers for ${lane.name}: ${refused.message}`;
    this.#elsewhere(lane, fallback);
  }

  /** What is held in one lane is given back before the other one is asked. */
  #elsewhere(lane: Lane, to: string): void {
    this.#leave?.();
    this.#leave = null;
    this.#hasBeenElsewhere = true;
    this.#overflowFrom = lane.name;
    this.#try(this.#lanes.get(to));
  }

  #enter(
    lane: Lane,
    held: {
      readonly ticket: Ticket;
      readonly reservation: Reservation;
      readonly answer: UpstreamAnswer | null;
    },
  ): void {
    this.#over = true;
    this.#leave = null;
    const { router, host } = this.#lanes;
    router.enter(this.#task, this.#ask.sessionKey);
    const { requestId, owner, sessionKey, taskId = null, model, conversation } = this.#ask;
    const { decision, signals } = this.#task;
    const openMs = Math.max(0, host.clock.nowMs() - this.#startMs - this.#routeMs - this.#waitedMs);
    const report = {
      ...{ requestId, owner, sessionKey, taskId, asked: model, decision, signals },
      lane: lane.name,
      overflowFrom: this.#overflowFrom,
      waitedMs: this.#waitedMs,
      routeMs: this.#routeMs,
      openMs,
      note: this.#note,
    };
    host.observer.onRouted(report);
    const watch = host.observer.watch?.(report, conversation) ?? null;
    const { taskClass, rule, move, from, reason } = decision;
    host.log.info('routed', {
      ...{ id: requestId, owner, asked: model, lane: lane.name, taskClass, rule, move, from, reason },
      ...(this.#overflowFrom !== null && { overflowFrom: this.#overflowFrom }),
      ...{ waitedMs: Math.round(this.#waitedMs), routeMs: Number(this.#routeMs.toFixed(3)) },
      ...(this.#note !== null && { note: this.#note }),
    });
    const system = this.#systemIn(lane);
    this.#listener.onEntered(new LaneEntry({ ...held, lane, report, system, watch }, host));
  }

  #refuse(lane: Lane, refused: Fault): void {
    this.#leave?.();
    this.#leave = null;
    const full = this.#full;
    if (full !== null) {
      this.#full = null;
      this.#overflowFrom = null;
      this.#note = null;
      this.#try(full);
      return;
    }
    this.#over = true;
    const { log, observer } = this.#lanes.host;
    const { requestId: id, owner } = this.#ask;
    observer.onRefused(lane.name, refused.code);
    log.info('refused by a lane', {
      id,
      owner,
      lane: lane.name,
      code: refused.code,
      retryAfterMs: refused.retryAfterMs,
    });
    this.#listener.onRefused(refused);
  }

  #systemIn(lane: Lane): string {
    const { handOff } = this.#task;
    return [lane.style, handOff].filter((part) => part !== '').join('\n\n');
  }

  get #tokens(): number {
    const { contextTokens, outputTokensMax } = this.#task.signals;
    return contextTokens + (outputTokensMax ?? this.#lanes.host.file.outputTokensAssumed);
  }

  #costIn({ config }: Lane): number {
    const { contextTokens, outputTokensMax } = this.#task.signals;
    const output = outputTokensMax ?? this.#lanes.host.file.outputTokensAssumed;
    return costOf(config.price, { prompt: contextTokens, cached: 0, output });
  }

  #budgetFault(): Fault {
    const { budget, host } = this.#lanes;
    const spent = budget.spent(this.#ask.owner).toFixed(4);
    const message = `the key has used ${spent} of ${budget.limit} ${host.file.currency} today`;
    return fault('insufficient_quota', message, { retryAfterMs: budget.renewsMs });
  }
}
