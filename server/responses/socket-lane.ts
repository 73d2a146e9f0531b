// SocketLane: one conversation of a socket. Owns its queue (first in, first out, one response at a time), the memory of its
// latest response, the warm-up that runs ahead of a turn, and what steering makes of an answer. Knows no frames.
// Before it: socket.ts; after it: plan.ts and run.ts.

import type { Fault } from '../base/errors.ts';
import { freeForm } from '../chat/form.ts';
import { logprobsFault, within } from '../chat/lane-edge.ts';
import { enterLane } from '../lanes/visit.ts';
import { BackgroundResponse, responseLog } from './background.ts';
import { settleRun, storeRun } from './chain.ts';
import type { EventLog } from './event-log.ts';
import type { ResponseEvent } from './events.ts';
import type { Item } from './items.ts';
import { laneTurn, type TurnParts } from './lane-entry.ts';
import { repeatableRequest } from './open-response.ts';
import { headOf, type PlanParts, type ResponsePlan, withPlan } from './plan.ts';
import type { ResponsesService } from './responses-service.ts';
import { ResponseRun, sayRefused } from './run.ts';
import {
  isRepeatable,
  isWarmUp,
  type SocketTurn,
  type TurnHost,
  turnParts,
  withTurnPast,
} from './socket-turn.ts';
import {
  acceptedEvent,
  failedEvent,
  pendingEvent,
  STEERS_MAX,
  type Steer,
  type SteerErrorCode,
} from './steering.ts';

/** The socket as its lanes see it. */
export interface LaneHost extends TurnHost {
  send(event: ResponseEvent | object, lane: SocketLane): void;
  refuse(refused: Fault, lane: SocketLane): void;
  /** A response of the lane has ended; others may start. */
  onFree(): void;
}

interface Memory {
  readonly id: string;
  readonly conversation: readonly Item[];
}

interface Waiting {
  readonly id: string; // response that ended with calls
  readonly conversation: string | undefined; // that it is in
  readonly steers: readonly Steer[];
}

export class SocketLane {
  readonly streamId: string | null;
  readonly #host: LaneHost;
  readonly #queue: SocketTurn[] = [];
  #run: ResponseRun | null = null; // from its plan to its end
  #log: EventLog | null = null; // of #run, where another node may have to go on with it
  #steers: Steer[] = []; // for #run
  #waiting: Waiting | null = null;
  #memory: Memory | null = null;
  #planning = false; // the turn's prompt is being made
  #closed = false;
  #cancelWarmUp: (() => void) | null = null;
  #visit: { cancel(): void } | null = null; // the turn's way into one of the server's lanes (server/lanes)

  constructor(host: LaneHost, streamId: string | null) {
    this.#host = host;
    this.streamId = streamId;
  }

  get busy(): boolean {
    return this.#run !== null || this.#visit !== null || this.#planning;
  }

  get queuedCount(): number {
    return this.#queue.length;
  }

  enqueue(turn: SocketTurn): void {
    this.#queue.push(turn);
  }

  /** The conversation that led to a response, if it is this lane's latest. */
  remembered(id: string): readonly Item[] | null {
    return this.#memory?.id === id ? this.#memory.conversation : null;
  }

  /** Starts the next turn; returns the bytes that no longer wait, or null if nothing did. */
  startNext(): number | null {
    const turn = this.#queue.shift();
    if (turn === undefined) return null;
    this.#start(turn);
    return turn.size;
  }

  /** Whether the response is one that this lane can be steered in. */
  takesSteer(responseId: string): boolean {
    return this.#run?.id === responseId || this.#waiting?.id === responseId;
  }

  steer(steer: Steer): void {
    const run = this.#run;
    const waiting = this.#waiting;
    const count = (run === null ? waiting?.steers : this.#steers)?.length ?? 0;
    if (count >= STEERS_MAX) {
      this.failSteer(steer, { code: 'too_many_steers', message: `${STEERS_MAX} inputs wait already` });
      return;
    }
    if (run !== null) {
      this.#steers.push(steer);
      this.#host.send(acceptedEvent(steer, run.events.nextSequenceNumber()), this);
      run.steer();
      this.#log?.spoil();
      this.#host.service.shared?.responses.changed(run.id, this.#host.owner);
    } else if (waiting !== null) {
      this.#waiting = { ...waiting, steers: [...waiting.steers, steer] };
      this.#host.send(acceptedEvent(steer, 0), this);
      this.#tellPending([steer], 1);
    }
  }

  failSteer(
    steer: { readonly id: string | null; readonly responseId: string; readonly input: unknown },
    error: { readonly code: SteerErrorCode; readonly message: string },
  ): void {
    this.#host.send(failedEvent(steer, error, this.#run?.events.nextSequenceNumber() ?? 0), this);
  }

  pause(): void {
    this.#run?.pause();
  }

  resume(): void {
    this.#run?.resume();
  }

  /** The socket is gone: all work stops, what was computed stays cached. */
  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#steers = [];
    this.#cancelWarmUp?.();
    this.#cancelWarmUp = null;
    this.#visit?.cancel();
    this.#visit = null;
    const run = this.#run;
    if (run?.plan.repeatable === true) {
      this.#host.service.shared?.responses.leave(run.id, this.#host.owner);
      this.#log?.end(); // who reads it goes on with it
    }
    run?.cancel();
  }

  #start(asked: SocketTurn): void {
    const turn = { ...asked, request: repeatableRequest(asked.request, this.#host.service) };
    // Its prompt begins as the warm-up's does: what that has computed is found in the cache.
    this.#cancelWarmUp?.();
    this.#cancelWarmUp = null;
    let inside = true;
    this.#planning = true;
    withTurnPast(turn, this.#host, () => {
      this.#planning = false;
      if (!this.#closed) this.#begin(turn);
      if (!inside && !this.busy) this.#host.onFree();
    });
    inside = false;
  }

  #begin(turn: SocketTurn): void {
    const { service } = this.#host;
    const parts = this.#partsOf(turn);
    const meant = service.lanes?.meaning(turn.request.model, service.model.name) ?? null;
    if (!parts.ok) this.#refuseTurn(turn, parts.fault);
    else if (meant === null) {
      const repeatable = isRepeatable(turn, service);
      this.#planned(turn, { ...parts.value, warmUp: isWarmUp(turn), repeatable }, service);
    } else if (isWarmUp(turn)) {
      // It belongs to no turn yet, so it is not routed: what it computes is what the server's own model will need.
      const request = { ...turn.request, model: null };
      this.#planned(turn, { ...parts.value, request, warmUp: true }, service);
    } else if (turn.request.background === true) this.#delegate(turn, parts.value, meant);
    else this.#enter(turn, parts.value, meant);
  }

  /** `over`: after which the lane is busy with its answer, or was refused. */
  #planned(turn: SocketTurn, parts: PlanParts, service: ResponsesService, over: () => void = () => {}): void {
    let inside = true;
    this.#planning = true;
    withPlan(parts, service, (planned) => {
      this.#planning = false;
      if (!this.#closed) {
        if (!planned.ok) this.#refuseTurn(turn, planned.fault);
        else if (parts.warmUp) this.#warmUp(planned.value);
        else this.#answer(turn, planned.value, service);
      }
      over();
      if (!inside && !this.busy) this.#host.onFree();
    });
    inside = false;
  }

  #partsOf(turn: SocketTurn): ReturnType<typeof turnParts> {
    return turnParts(turn, this.#host, (from) => this.#takeWaiting(from));
  }

  /** Into one of the server's lanes, then on as ever. */
  #enter(turn: SocketTurn, parts: TurnParts, model: string): void {
    const { service } = this.#host;
    const routed = laneTurn(parts, service);
    if (!routed.ok) {
      this.#refuseTurn(turn, routed.fault);
      return;
    }
    const { logprobs, sessionKey, delegated, ask } = routed.value;
    let inside = false;
    const leave = () => {
      inside = true;
      this.#visit = null;
    };
    let release = () => {};
    const settle = () => {
      if (this.#run === null) {
        release();
        this.#host.onFree();
      } else service.delegations.delivered(sessionKey, delegated);
    };
    const visit = enterLane(service.lanes!, ask(model, `ws_${service.freshId()}`), {
      onPlace: ({ lane, position, estimatedWaitMs }) => {
        const place = { lane, position, estimated_wait_ms: estimatedWaitMs };
        this.#host.send({ type: 'sparklane.queued', ...place }, this);
      },
      onEntered: (entry) => {
        leave();
        release = () => entry.release();
        const unable = logprobs ? logprobsFault(entry) : null;
        if (unable !== null) this.#refuseTurn(turn, unable);
        else {
          const repeatable = isRepeatable(turn, service) && entry.answer === null;
          const planned = { ...parts, ...routed.value, warmUp: false, repeatable };
          this.#planned(turn, planned, within(service, entry), settle);
          return;
        }
        settle();
      },
      onRefused: (refused) => {
        leave();
        this.#refuseTurn(turn, refused);
        this.#host.onFree();
      },
    });
    if (!inside) this.#visit = visit;
  }

  /** The lane of the socket is free again at once; the end is told when it comes, if the socket is still there. */
  #delegate(turn: SocketTurn, parts: TurnParts, model: string): void {
    const { service } = this.#host;
    const background = new BackgroundResponse(
      {
        ...{ ...parts, model },
        requestId: `ws_${service.freshId()}`,
        onEnd: (response) => this.#host.send({ type: 'sparklane.background.done', response }, this),
      },
      service,
      service.lanes!,
    );
    const refused = background.begin();
    if (refused !== null) this.#refuseTurn(turn, refused);
    else this.#host.send({ type: 'sparklane.background.started', response: background.response }, this);
  }

  #refuseTurn({ request, from }: SocketTurn, refused: Fault): void {
    const { service } = this.#host;
    const parentId = from?.id ?? request.previous_response_id ?? null;
    if (parentId !== null && this.#memory?.id === parentId) this.#memory = null;
    if (refused.code === 'context_length_exceeded') {
      sayRefused(headOf(request, service, { previousId: parentId }), refused, service, (event) =>
        this.#host.send(event, this),
      );
    } else this.#host.refuse(refused, this);
  }

  /** Told at once, computed when nobody else needs the device: its client waits for the word before it goes on. */
  #warmUp(plan: ResponsePlan): void {
    const { service } = this.#host;
    const run = this.#newRun(plan, service, () => {});
    run.acknowledge();
    this.#memory = { id: run.id, conversation: run.conversation };
    if (plan.head.request.store !== false) {
      storeRun(run, service);
      service.store.settle(run.id);
    }
    service.answering.withForm(plan.form, () => {}); // its turn finds the grammar made
    const started = plan.prepared.ready(freeForm).start({ onDelta: () => {}, onEnd: () => {} });
    if (started.ok) this.#cancelWarmUp = () => started.cancel();
  }

  #answer(turn: SocketTurn, plan: ResponsePlan, service: ResponsesService): void {
    const { owner } = this.#host;
    const stored = turn.request.store !== false;
    const run = this.#newRun(plan, service, () => this.#onEnd(run, turn));
    this.#run = run;
    this.#log = plan.repeatable ? responseLog(service) : null;
    service.answering.withForm(plan.form, (form) => {
      if (run.over) return; // the socket went while the grammar was compiled
      if (stored) storeRun(run, service, this.#log);
      const refused = form.ok ? run.start(form.value) : form.fault;
      if (refused === null) return;
      service.answering.route?.release();
      if (stored) service.store.delete(run.id, owner);
      this.#run = null;
      this.#refuseTurn(turn, refused);
      this.#failSteers('response_failed', refused.message);
      this.#host.onFree();
    });
  }

  #newRun(plan: ResponsePlan, service: ResponsesService, onEnd: () => void): ResponseRun {
    return new ResponseRun(plan, service, {
      onEvent: (event) => {
        this.#log?.add(event);
        this.#host.send(event, this);
      },
      onBeat: (event) => this.#host.send(event, this),
      onEnd,
    });
  }

  #onEnd(run: ResponseRun, turn: SocketTurn): void {
    if (this.#run !== run) return; // refused before it began
    const { status, output } = run.events;
    const conversation = run.conversation;
    this.#run = null;
    this.#log?.end();
    this.#log = null;
    if (turn.request.store !== false) settleRun(run, this.#host.service);
    if (status === 'completed' || status === 'incomplete') {
      this.#memory = { id: run.id, conversation };
      this.#continue(run, turn, output);
    } else {
      this.#memory = null;
      this.#failSteers('response_failed', `the response ended as ${status}`);
    }
    this.#host.onFree();
  }

  /** What the accepted inputs become: the next response, or company of the outputs that its calls need. */
  #continue(run: ResponseRun, { request }: SocketTurn, output: readonly Item[]): void {
    const steers = this.#steers;
    if (steers.length === 0) return;
    this.#steers = [];
    const calls = output.filter((item) => item.type.endsWith('_call') && item['status'] !== 'incomplete');
    if (calls.length > 0) {
      this.#waiting = { id: run.id, conversation: run.plan.conversation?.id, steers };
      this.#tellPending(steers, run.events.nextSequenceNumber());
      return;
    }
    const input = steers.flatMap(({ items }) => items);
    // Before whatever else waits in the lane: that was sent later.
    this.#queue.unshift({ request, size: 0, from: { id: run.id, history: run.conversation, input } });
  }

  #tellPending(steers: readonly Steer[], firstNumber: number): void {
    const conversation = this.#memory?.conversation ?? [];
    const answered = new Set(
      conversation.filter(({ type }) => type.endsWith('_call_output')).map((item) => item['call_id']),
    );
    const calls = conversation.filter(
      (item) => item.type.endsWith('_call') && !answered.has(item['call_id']),
    );
    for (const [index, steer] of steers.entries()) {
      this.#host.send(pendingEvent(steer, { calls, sequenceNumber: firstNumber + index }), this);
    }
  }

  /** Inputs that waited for this very continuation come before its own; any other continuation leaves them out. */
  #takeWaiting(from: string | null): readonly Item[] {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) return [];
    const { id, conversation, steers } = waiting;
    if (from === id || from === conversation) return steers.flatMap(({ items }) => items);
    const error = { code: 'not_continued', message: `${id} was not continued` } as const;
    for (const steer of steers) this.failSteer(steer, error);
    return [];
  }

  #failSteers(code: SteerErrorCode, message: string): void {
    for (const steer of this.#steers.splice(0)) this.failSteer(steer, { code, message });
  }
}
