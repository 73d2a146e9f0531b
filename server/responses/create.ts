// POST /v1/responses: a checked request to its answer, whole, as a stream or in the background, by the model or by a lane.
// Owns what its caller hears and what becomes of it when the caller leaves. Before it: routes.ts and compact.ts; after it:
// plan.ts and run.ts.
import { type Fault, fault } from '../base/errors.ts';
import { tellPrefix } from '../chat/answer.ts';
import type { AnswerForm } from '../chat/form.ts';
import { inLane } from '../chat/lane-edge.ts';
import { lastTurnReport } from '../generation/prefix-report.ts';
import type { HttpCall } from '../http/http-call.ts';
import { BackgroundResponse, responseLog } from './background.ts';
import { pastOf, settleRun, storeRun } from './chain.ts';
import { type LaneTurn, laneTurn, type TurnParts } from './lane-entry.ts';
import { repeatableRequest } from './open-response.ts';
import { headOf, planResponse, type ResponsePlan } from './plan.ts';
import type { ResponseUsage } from './response-object.ts';
import type { ResponsesService } from './responses-service.ts';
import { ResponseRun, sayRefused } from './run.ts';
import type { ResponseRequest } from './schema.ts';
import { SseFramer } from './sse-framer.ts';
import { watchResponse } from './watch.ts';

/** How an answer that is complete is told. */
type Reply = (call: HttpCall, run: ResponseRun) => void;

export function create(call: HttpCall, request: ResponseRequest, service: ResponsesService): void {
  const { owner } = call.facts;
  if (request.background === true && request.store === false) {
    const message = 'background: needs store, else nobody could ever read the answer';
    call.refuse(fault('invalid_request', message, { param: 'background' }));
    return;
  }
  const past = pastOf(request, owner, service);
  if (!past.ok) {
    call.refuse(past.fault);
    return;
  }
  const inBackground = request.background === true;
  const parts = {
    request: inBackground ? repeatableRequest(request, service) : request,
    ...{ owner, ...past.value },
  };
  const meant = service.lanes?.meaning(request.model, service.model.name) ?? null;
  if (meant !== null && inBackground) answerInBackground(call, parts, meant, service);
  else respond(call, parts, service, replyWhole);
}

/** Answers by the model that is meant, or its lane; `reply` tells what is not streamed. */
export function respond(call: HttpCall, parts: TurnParts, service: ResponsesService, reply: Reply): void {
  const { request } = parts;
  const meant = service.lanes?.meaning(request.model, service.model.name) ?? null;
  if (meant === null) {
    answer(call, { parts, turn: null, reply }, service);
    return;
  }
  const turn = laneTurn(parts, service);
  if (!turn.ok) {
    call.refuse(turn.fault);
    return;
  }
  const of = () => ({ ...turn.value, stream: request.stream === true });
  inLane(call, { model: request.model, of }, service, (within) =>
    answer(call, { parts, turn: turn.value, reply }, within),
  );
}

interface Asked {
  readonly parts: TurnParts;
  readonly turn: LaneTurn | null; // where lanes have looked at it
  readonly reply: Reply;
}

function answer(call: HttpCall, { parts, turn, reply }: Asked, service: ResponsesService): void {
  const request = turn?.request ?? parts.request;
  const repeatable = request.background === true && service.repeats !== null;
  const plan = planResponse({ ...parts, ...turn, warmUp: false, repeatable }, service);
  if (!plan.ok) {
    refuse(call, request, plan.fault, service);
    return;
  }
  service.answering.withForm(plan.value.form, (form) => {
    if (call.over) return; // left while the grammar was compiled
    call.guard(() => {
      if (!form.ok) refuse(call, request, form.fault, service);
      else if (start(call, { plan: plan.value, form: form.value, reply }, service) && turn !== null) {
        service.delegations.delivered(turn.sessionKey, turn.delegated);
      }
    });
  });
}

function answerInBackground(
  call: HttpCall,
  parts: TurnParts,
  model: string,
  service: ResponsesService,
): void {
  const { id: requestId } = call.facts;
  const background = new BackgroundResponse(
    { ...parts, requestId, model, onEnd: () => {} },
    service,
    service.lanes!,
  );
  const refused = background.begin();
  if (refused !== null) call.refuse(refused);
  else if (parts.request.stream === true) watchResponse(call, background.log, 0, service);
  else call.reply(200, background.response);
}

/** False: the engine takes no more, and the caller has been told. */
function start(
  call: HttpCall,
  { plan, form, reply }: { readonly plan: ResponsePlan; readonly form: AnswerForm; readonly reply: Reply },
  service: ResponsesService,
): boolean {
  const { request } = plan.head;
  const stored = request.store !== false;
  const framer = request.stream === true ? new SseFramer(call, service) : null;
  const background = request.background === true;
  const log = background ? responseLog(service) : null;
  let begun = false;
  const run: ResponseRun = new ResponseRun(plan, service, {
    onEvent: (event) => {
      log?.add(event);
      framer?.send(event, run);
    },
    onEnd: () => {
      if (!begun) return; // refused: the caller is told so
      log?.end();
      if (stored) settleRun(run, service);
      if (framer !== null) framer.end();
      else if (!background) reply(call, run);
    },
  });
  if (stored) storeRun(run, service, log);
  tellPrefix(call, lastTurnReport(plan.prepared.lastTurn));
  const refused = run.start(form);
  if (refused !== null) {
    service.store.delete(run.id, plan.owner);
    call.refuse(refused);
    return false;
  }
  begun = true;
  if (framer === null && background) call.reply(200, run.events.response);
  call.onAbort(() => {
    framer?.stop();
    if (background)
      run.resume(); // goes on for whoever asks later
    else run.cancel();
  });
  return true;
}

function replyWhole(call: HttpCall, { events }: ResponseRun): void {
  const { failure, response } = events;
  const usage = response['usage'] as ResponseUsage | null;
  tellPrefix(call, usage?.sparklane?.prefix ?? {});
  if (failure === null) call.reply(200, response);
  else call.refuse(failure);
}

function refuse(call: HttpCall, request: ResponseRequest, refused: Fault, service: ResponsesService): void {
  if (request.stream !== true || refused.code !== 'context_length_exceeded') {
    call.refuse(refused);
    return;
  }
  const framer = new SseFramer(call, service);
  const head = headOf(request, service);
  sayRefused(head, refused, service, (event) => framer.send(event, null));
  framer.end();
}
