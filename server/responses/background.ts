// BackgroundResponse: a response that goes on without its caller, through its lane's queue to its end, and comes back to
// its conversation. Owns its events for watchers, and that it counts as delegated work of its session while it runs.
// Before it: routes.ts and socket-lane.ts; after it: lanes/lanes.ts and run.ts.
import { type Fault, fault } from '../base/errors.ts';
import { logprobsFault, within } from '../chat/lane-edge.ts';
import type { QueuePlace } from '../lanes/gate.ts';
import type { Lanes } from '../lanes/lanes.ts';
import { enterLane } from '../lanes/visit.ts';
import { resultItem } from './delegations.ts';
import { EventLog } from './event-log.ts';
import { type LaneTurn, laneTurn, type TurnParts } from './lane-entry.ts';
import { headOf, type ResponsePlan, withPlan } from './plan.ts';
import { type ResponseHead, type ResponseObject, responseObject } from './response-object.ts';
import type { ResponsesService } from './responses-service.ts';
import { ResponseRun, sayRefused } from './run.ts';

export interface BackgroundParts extends TurnParts {
  readonly requestId: string;
  readonly model: string; // a lane, or auto
  readonly onEnd: (response: ResponseObject) => void; // once
}

const LOGS_PER_STORE = 16; // a log may take this part of the store's size

export class BackgroundResponse {
  readonly log: EventLog;
  readonly #parts: BackgroundParts;
  readonly #service: ResponsesService;
  readonly #lanes: Lanes;
  readonly #head: ResponseHead;
  #lane: string;
  #turn: LaneTurn | null = null;
  #place: (QueuePlace & { readonly lane: string }) | null = null;
  #run: ResponseRun | null = null;
  #leave: (() => void) | null = null; // the queue, or the lane
  #ended: ResponseObject | null = null; // without a run: refused or cancelled before it began

  constructor(parts: BackgroundParts, service: ResponsesService, lanes: Lanes) {
    const { request } = parts;
    this.#parts = parts;
    this.#service = service;
    this.#lanes = lanes;
    this.#lane = parts.model;
    const model = { ...service.answering.model, name: parts.model };
    const named = { ...service, answering: { ...service.answering, model } };
    this.#head = headOf(request, named, request.previous_response_id ?? null);
    this.log = new EventLog(service.store.sizeMax / LOGS_PER_STORE);
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
    const { owner, history, requestId, model } = this.#parts;
    const turn = laneTurn(this.#parts, this.#service);
    if (!turn.ok) return turn.fault;
    this.#turn = turn.value;
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
    });
    if (!kept)
      return fault('queue_full', 'background: there is no room to store the answer until it is read');
    this.#lanes.router.delegate(turn.value.sessionKey, 1);
    let refusedAtOnce: Fault | null = null;
    let begun = false;
    const visit = enterLane(this.#lanes, turn.value.ask(model, requestId), {
      onPlace: (place) => {
        this.#place = place;
      },
      onEntered: (entry) => {
        this.#lane = entry.lane.name;
        this.#leave = () => entry.release();
        const unable = turn.value.logprobs ? logprobsFault(entry) : null;
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
      this.#lanes.router.delegate(turn.value.sessionKey, -1);
      store.delete(this.id, owner);
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

  #answer(service: ResponsesService): void {
    const { owner, history, conversation } = this.#parts;
    const { request, input } = this.#turn!;
    withPlan(
      { request, owner, history, conversation, input, warmUp: false, id: this.id },
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
    this.#lanes.router.delegate(sessionKey, -1);
    this.log.end();
    store.settle(this.id);
    // A conversation has it already.
    const isLoose = this.#parts.conversation === null;
    if (sessionKey !== null && isLoose && response['status'] !== 'cancelled') {
      delegations.add(sessionKey, resultItem(response, this.#lane, freshId));
    }
    this.#parts.onEnd(response);
  }
}

const NOTHING_YET = {
  output: [],
  usage: null,
  error: null,
  incompleteReason: null,
  completedAt: null,
} as const;
