// /v1/responses over HTTP: create (whole, as a stream, in the background), read, cancel, delete, list the input. Owns
// what a stored answer can be asked; the SSE framer is here. Before it: http/door.ts; after it: plan.ts and run.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { AnswerForm } from '../chat/form.ts';
import { inLane } from '../chat/lane-edge.ts';
import type { Route } from '../http/door.ts';
import type { HttpCall } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';
import { BackgroundResponse } from './background.ts';
import { storedHistory, storeRun } from './chain.ts';
import type { ResponseEvent } from './events.ts';
import { listedItem } from './items.ts';
import { type LaneTurn, laneTurn, type TurnParts } from './lane-entry.ts';
import { headOf, planResponse, type ResponsePlan } from './plan.ts';
import type { ResponsesService } from './responses-service.ts';
import { ResponseRun, sayRefused } from './run.ts';
import { type ResponseRequest, responseSchema } from './schema.ts';
import type { StoredResponse } from './store.ts';
import { watchResponse } from './watch.ts';

const PAGE_DEFAULT = 20; // OpenAI's
const PAGE_MAX = 100;

export function responseRoutes(service: ResponsesService): readonly Route[] {
  const schema = responseSchema(service.bounds);
  const path = '/v1/responses';
  const one = `${path}/:`;
  return [
    {
      method: 'POST',
      path,
      open: false,
      about: { group: 'responses', summary: 'A response', body: schema, answers: 'events' },
      answer: (call) => call.readJson(schema, (request) => create(call, request, service)),
    },
    {
      method: 'POST',
      path: `${path}/input_tokens`,
      open: false,
      about: { group: 'responses', summary: 'The tokens of a request, counted', body: schema },
      answer: (call) => call.readJson(schema, (request) => countTokens(call, request, service)),
    },
    // Before the id's own route, which would take the word for one.
    {
      method: 'POST',
      path: `${path}/compact`,
      open: false,
      about: { group: 'responses', summary: 'Refused: nothing is compacted here' },
      answer: refuseCompaction,
    },
    {
      method: 'GET',
      path: one,
      open: false,
      about: {
        group: 'responses',
        summary: 'A stored response, as it stands; or the events of a background one',
        answers: 'events',
        query: { stream: 'true: its events', starting_after: 'only those after this sequence_number' },
      },
      answer: (call) => withStored(call, service, read),
    },
    {
      method: 'DELETE',
      path: one,
      open: false,
      about: { group: 'responses', summary: 'Forgets it, and cancels it if it is being written' },
      answer: (call) => withStored(call, service, remove),
    },
    {
      method: 'POST',
      path: `${one}/cancel`,
      open: false,
      about: { group: 'responses', summary: 'Cancels a background response' },
      answer: (call) => withStored(call, service, cancel),
    },
    {
      method: 'GET',
      path: `${one}/input_items`,
      open: false,
      about: {
        group: 'responses',
        summary: 'Its conversation, a page of it',
        query: { limit: 'items, 1 to 100', order: 'asc or desc', after: 'id of the item before the page' },
      },
      answer: (call) => withStored(call, service, list),
    },
  ];
}

function refuseCompaction(call: HttpCall): void {
  const message =
    'conversations are not compacted here: truncation "auto" leaves out their oldest items, or ask the model for a summary';
  call.refuse(fault('not_found', message));
}

function create(call: HttpCall, request: ResponseRequest, service: ResponsesService): void {
  const { owner } = call.facts;
  if (request.background === true && request.store === false) {
    const message = 'background: needs store, else nobody could ever read the answer';
    call.refuse(fault('invalid_request', message, { param: 'background' }));
    return;
  }
  const history = storedHistory(request.previous_response_id, owner, service);
  if (!history.ok) {
    call.refuse(history.fault);
    return;
  }
  const parts = { request, owner, history: history.value };
  const meant = service.lanes?.meaning(request.model, service.model.name) ?? null;
  if (meant === null) answer(call, parts, null, service);
  else if (request.background === true) answerInBackground(call, parts, meant, service);
  else answerInLane(call, parts, service);
}

/** `turn` where lanes have looked at it. */
function answer(call: HttpCall, parts: TurnParts, turn: LaneTurn | null, service: ResponsesService): void {
  const request = turn?.request ?? parts.request;
  const plan = planResponse({ ...parts, ...turn, warmUp: false }, service);
  if (!plan.ok) {
    refuse(call, request, plan.fault, service);
    return;
  }
  service.answering.withForm(plan.value.form, (form) => {
    if (call.over) return; // left while the grammar was compiled
    call.guard(() => {
      if (!form.ok) refuse(call, request, form.fault, service);
      else if (start(call, plan.value, form.value, service) && turn !== null) {
        service.delegations.delivered(turn.sessionKey, turn.delegated);
      }
    });
  });
}

function answerInLane(call: HttpCall, parts: TurnParts, service: ResponsesService): void {
  const turn = laneTurn(parts, service);
  if (!turn.ok) {
    call.refuse(turn.fault);
    return;
  }
  const { request } = parts;
  const of = () => ({ ...turn.value, stream: request.stream === true });
  inLane(call, { model: request.model, of }, service, (within) => answer(call, parts, turn.value, within));
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
function start(call: HttpCall, plan: ResponsePlan, form: AnswerForm, service: ResponsesService): boolean {
  const { request } = plan.head;
  const stored = request.store !== false;
  const framer = request.stream === true ? new SseFramer(call, service) : null;
  const background = request.background === true;
  let begun = false;
  const run: ResponseRun = new ResponseRun(plan, service, {
    onEvent: (event) => framer?.send(event, run),
    onEnd: () => {
      if (!begun) return; // refused: the caller is told so
      if (stored) service.store.settle(run.id);
      if (framer !== null) framer.end();
      else if (!background) replyWhole(call, run);
    },
  });
  if (stored) storeRun(run, service);
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
  const { failure } = events;
  if (failure === null) call.reply(200, events.response);
  else call.refuse(failure);
}

function refuse(call: HttpCall, request: ResponseRequest, refused: Fault, service: ResponsesService): void {
  if (request.stream !== true || refused.code !== 'context_length_exceeded') {
    call.refuse(refused);
    return;
  }
  const framer = new SseFramer(call, service);
  const head = headOf(request, service, request.previous_response_id ?? null);
  sayRefused(head, refused, service, (event) => framer.send(event, null));
  framer.end();
}

function countTokens(call: HttpCall, request: ResponseRequest, service: ResponsesService): void {
  const { owner } = call.facts;
  const history = storedHistory(request.previous_response_id, owner, service);
  // An upstream's tokens are not known here: every lane is counted in those of the server's own model.
  const routed = (service.lanes?.meaning(request.model, service.model.name) ?? null) !== null;
  const counted = routed ? { ...request, model: null } : request;
  const plan = history.ok
    ? planResponse({ request: counted, owner, history: history.value, warmUp: false }, service)
    : history;
  if (!plan.ok) call.refuse(plan.fault);
  else {
    const { promptTokenCount } = plan.value.prepared;
    call.reply(200, { object: 'response.input_tokens', input_tokens: promptTokenCount });
  }
}

type Answerer = (call: HttpCall, stored: StoredResponse, service: ResponsesService) => void;

function withStored(call: HttpCall, service: ResponsesService, answer: Answerer): void {
  const { parameter, owner } = call.facts;
  const stored = service.store.get(parameter, owner);
  if (stored !== null) answer(call, stored, service);
  else
    call.refuse(fault('not_found', `Response with id '${parameter}' not found.`, { param: 'response_id' }));
}

const read: Answerer = (call, stored, service) => {
  const query = new URLSearchParams(call.request.query);
  if (query.get('stream') !== 'true') call.reply(200, stored.response());
  else if (stored.log !== undefined) {
    const after = Number(query.get('starting_after') || (query.has('starting_after') ? Number.NaN : -1));
    if (Number.isSafeInteger(after) && after >= -1) watchResponse(call, stored.log, after + 1, service);
    else {
      const message = 'starting_after: expected the sequence number of an event';
      call.refuse(fault('invalid_request', message, { param: 'starting_after' }));
    }
  } else {
    const message = 'stream: this response is read whole; only its creation streams';
    call.refuse(fault('unsupported', message, { param: 'stream' }));
  }
};

const remove: Answerer = (call, { id }, service) => {
  service.store.delete(id, call.facts.owner);
  call.reply(200, { id, object: 'response', deleted: true });
};

const cancel: Answerer = (call, stored) => {
  const background = stored.response()['background'] === true;
  if (!background) {
    const message =
      'only a response that runs in the background can be cancelled; close the stream of any other';
    call.refuse(fault('invalid_request', message, { param: 'response_id' }));
    return;
  }
  stored.cancel();
  call.reply(200, stored.response());
};

const list: Answerer = (call, stored) => {
  const query = new URLSearchParams(call.request.query);
  const limit = Number(query.get('limit') ?? PAGE_DEFAULT);
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) {
    const message = `limit: expected an integer from 1 to ${PAGE_MAX}`;
    call.refuse(fault('invalid_request', message, { param: 'limit' }));
    return;
  }
  const all = [...stored.history, ...stored.input];
  const ordered = query.get('order') === 'asc' ? all : all.reverse();
  const after = query.get('after');
  const first = after === null ? 0 : ordered.findIndex((item) => item['id'] === after) + 1;
  const data = ordered.slice(first, first + limit).map(listedItem);
  call.reply(200, {
    object: 'list',
    data,
    first_id: data[0]?.['id'] ?? null,
    last_id: data.at(-1)?.['id'] ?? null,
    has_more: first + limit < ordered.length,
  });
};

/** Events as server-sent events, each with its name. */
class SseFramer {
  readonly #call: HttpCall;
  readonly #service: ResponsesService;
  #stream: EventStream | null = null;

  constructor(call: HttpCall, service: ResponsesService) {
    this.#call = call;
    this.#service = service;
  }

  /** The first event begins the answer. `run` waits for a slow reader. */
  send({ type, json }: ResponseEvent, run: ResponseRun | null): void {
    this.#stream ??= new EventStream(this.#call, {
      clock: this.#service.clock,
      bufferSizeMax: this.#service.bounds.streamBufferSizeMax,
      onSlow: () => run?.pause(),
      onReady: () => run?.resume(),
    });
    this.#stream.send(json, type);
  }

  end(): void {
    this.#stream?.end();
  }

  stop(): void {
    this.#stream?.stop();
  }
}
