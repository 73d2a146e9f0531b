// BackgroundResponse: a response that goes on without its caller, through its lane's queue to its end, and comes back to
// its conversation. Owns its events for watchers, and that it counts as delegated work of its session while it runs.
// Before it: routes.ts and socket-lane.ts; after it: lanes/lanes.ts and run.ts.
import { type Fault, fault } from '../base/errors.ts';
import { logprobsFault, within } from '../chat/lane-edge.ts';
import type { QueuePlace } from '../lanes/gate.ts';
import type { Lanes } from '../lanes/lanes.ts';
import { enterLane } from '../lanes/visit.ts';
import { settleRun } from './chain.ts';
import { resultItem } from './delegations.ts';
import { EventLog } from './event-log.ts';
import type { Item } from './items.ts';
import { type LaneTurn, laneTurn, type TurnParts } from './lane-entry.ts';
import { type OpenResponse, openResponse, repeatableRequest } from './open-response.ts';
import { headOf, type ResponsePlan, withPlan } from './plan.ts';
import { NOTHING_YET, type ResponseHead, type ResponseObject, responseObject } from './response-object.ts';
import type { ResponsesService } from './responses-service.ts';
import { ResponseRun, sayRefused } from './run.ts';

export interface BackgroundParts extends TurnParts {
  readonly requestId: string;
  readonly model: string; // a lane, or auto
  readonly told?: ToldBefore; // by another node, which is gone
  readonly onEnd: (response: ResponseObject) => void; // once
}

/** What has been said of it already. */
export interface ToldBefore {
  readonly id: string;
  readonly createdAt: number;
  readonly previousId: string | null;
  readonly delegated: readonly Item[];
}

const LOGS_PER_STORE = 16; // a log may take this part of the store's size

export class BackgroundResponse {
  readonly log: EventLog;
  readonly #parts: BackgroundParts;
  readonly #service: ResponsesService;
  readonly #lanes: Lanes | null; // null: the model answers
  readonly #head: ResponseHead;
  #lane: string;
  #turn: LaneTurn | null = null;
  #place: (QueuePlace & { readonly lane: string }) | null = null;
  #run: ResponseRun | null = null;
  #isUpstream = false; // an upstream answers, whose words nobody can say again
  #leave: (() => void) | null = null; // the queue, or the lane
  #ended: ResponseObject | null = null; // without a run: refused or cancelled before it began

  constructor(given: BackgroundParts, service: ResponsesService, lanes: Lanes | null) {
    const request = repeatableRequest(given.request, service);
    const parts = { ...given, request };
    this.#parts = parts;
    this.#service = service;
    this.#lanes = lanes;
    this.#lane = parts.model;
    const model = { ...service.answering.model, name: parts.model };
    const named = { ...service, answering: { ...service.answering, model } };
    this.#head = headOf(request, lanes === null ? service : named, parts.told);
    this.log = responseLog(service);
  }

  get id(): string {
    return this.#head.id;
  }

  get over(): boolean {
    return this.#ended !== null || this.#run?.over === true;
  }

  get response(): ResponseObject {
    if (this.#ended !== null) return this.#ended;
    if (this.#run !== null) return this.#run.events.response;
    const place = this.#place;
    const head = { ...this.#head, model: this.#lane };
    const queued = responseObject(head, { ...NOTHING_YET, status: 'queued' });
    if (place === null) return queued;
    const { lane, position, estimatedWaitMs } = place;
    return { ...queued, queue: { lane, position, estimated_wait_ms: estimatedWaitMs } } as ResponseObject;
  }

  /** Stores it and sends it on its way. A fault: it was refused at once, and nothing of it stays. */
  begin(): Fault | null {
    const { store } = this.#service;
    const { owner, history } = this.#parts;
    const turn = laneTurn(this.#parts, this.#service);
    if (!turn.ok) return turn.fault;
    this.#turn = turn.value;
    const isRepeatable = this.#service.repeats !== null;
    const kept = store.add({
      id: this.id,
      owner,
      input: turn.value.input,
      history,
      response: () => this.response,
      output: () => this.#run?.events.output ?? [],
      isOver: () => this.over,
      cancel: () => this.cancel(),
      log: this.log,
      ...(isRepeatable && { open: () => this.#open() }),
    });
    if (!kept)
      return fault('queue_full', 'background: there is no room to store the answer until it is read');
    if (this.#lanes !== null) return this.#enter(turn.value, this.#lanes);
    this.#answer(this.#service);
    return null;
  }

  #enter(turn: LaneTurn, lanes: Lanes): Fault | null {
    const { owner, requestId, model } = this.#parts;
    lanes.router.delegate(turn.sessionKey, 1);
    let refusedAtOnce: Fault | null = null;
    let begun = false;
    const visit = enterLane(lanes, turn.ask(model, requestId), {
      onPlace: (place) => {
        this.#place = place;
      },
      onEntered: (entry) => {
        this.#lane = entry.lane.name;
        this.#isUpstream = entry.answer !== null;
        this.#service.shared?.responses.changed(this.id, owner);
        this.#leave = () => entry.release();
        const unable = turn.logprobs ? logprobsFault(entry) : null;
        if (unable === null) this.#answer(within(this.#service, entry));
        else this.#refuse(unable);
      },
      onRefused: (refused) => {
        if (begun) this.#refuse(refused);
        else refusedAtOnce = refused;
      },
    });
    begun = true;
    if (this.#leave === null) this.#lane = visit.task.decision.lane; // not in it yet
    if (refusedAtOnce !== null) {
      this.#ended = this.response; // so that deleting it cancels nothing
      lanes.router.delegate(turn.sessionKey, -1);
      this.#service.store.delete(this.id, owner);
      return refusedAtOnce;
    }
    this.#leave ??= () => visit.cancel();
    return null;
  }

  /** Nothing more is said. Idempotent. */
  cancel(): void {
    if (this.over) return;
    if (this.#run !== null) this.#run.cancel();
    else this.#end(responseObject(this.#head, { ...NOTHING_YET, status: 'cancelled' }));
  }

  #open(): OpenResponse {
    const { told, request } = this.#parts;
    const previousId = this.#head.previousResponseId;
    const lane = this.#lanes === null ? null : this.#lane;
    return openResponse(
      { ...this.#parts, request, previousId, delegated: told?.delegated ?? [] },
      { lane, createdAt: this.#head.createdAt, repeatable: !this.#isUpstream },
      this.#service,
    );
  }

  #answer(service: ResponsesService): void {
    const { owner, history, conversation, told } = this.#parts;
    const { input } = this.#turn!;
    const request = this.#lanes === null ? this.#parts.request : this.#turn!.request;
    const { id, createdAt, previousResponseId: previousId } = this.#head;
    withPlan(
      {
        ...{ request, owner, history, conversation, input, warmUp: false, id, createdAt, previousId },
        repeatable: service.repeats !== null && !this.#isUpstream,
        ...(told !== undefined && { delegated: told.delegated }),
      },
      service,
      (plan) => {
        if (this.over) return; // cancelled while its prompt was made
        if (plan.ok) this.#start(plan.value, service);
        else this.#refuse(plan.fault);
      },
    );
  }

  #start(plan: ResponsePlan, service: ResponsesService): void {
    service.answering.withForm(plan.form, (form) => {
      if (this.over) return; // cancelled while the grammar was compiled
      if (!form.ok) {
        this.#refuse(form.fault);
        return;
      }
      const run = new ResponseRun(plan, service, {
        onEvent: (event) => this.log.add(event),
        onEnd: () => this.#end(run.events.response),
      });
      this.#run = run;
      const refused = run.start(form.value);
      if (refused === null) return;
      this.#run = null;
      this.#refuse(refused);
    });
  }

  #refuse(refused: Fault): void {
    let last = '';
    sayRefused(this.#head, refused, this.#service, (event) => {
      this.log.add(event);
      last = event.json;
    });
    this.#end((JSON.parse(last) as { readonly response: ResponseObject }).response);
  }

  #end(response: ResponseObject): void {
    const { store, delegations, freshId } = this.#service;
    const { sessionKey } = this.#turn!;
    if (this.#run === null) this.#ended = response;
    this.#leave?.();
    this.#lanes?.router.delegate(sessionKey, -1);
    this.log.end();
    if (this.#run !== null) settleRun(this.#run, this.#service);
    else store.settle(this.id);
    // A conversation has it already.
    const isLoose = this.#parts.conversation === null;
    if (this.#lanes !== null && sessionKey !== null && isLoose && response['status'] !== 'cancelled') {
      delegations.add(sessionKey, resultItem(response, this.#lane, freshId));
    }
    if (this.#run?.left !== true) this.#parts.onEnd(response);
  }
}

/** Bounded by the size of the store. */
export function responseLog({ store }: Pick<ResponsesService, 'store'>): EventLog {
  return new EventLog(store.sizeMax / LOGS_PER_STORE);
}
