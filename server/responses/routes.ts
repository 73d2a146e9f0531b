// /v1/responses over HTTP: which requests there are, and what a stored answer can be asked: read, watch, cancel, delete, list
// the input. Before it: http/door.ts; after it: create.ts, compact.ts and store.ts.
import { fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { pastOf } from './chain.ts';
import { compact, compactSchema } from './compact.ts';
import { create } from './create.ts';
import { pageQuery, replyPage } from './page.ts';
import { planResponse } from './plan.ts';
import type { ResponsesService } from './responses-service.ts';
import { type ResponseRequest, responseSchema } from './schema.ts';
import { oncePastIsHere } from './shared-past.ts';
import type { StoredResponse } from './store.ts';
import { watchResponse } from './watch.ts';

const table = routesIn('responses');

export function responseRoutes(service: ResponsesService): readonly Route[] {
  const schema = responseSchema(service.bounds);
  const compacting = compactSchema(service.bounds);
  const path = '/v1/responses';
  const one = `${path}/:`;
  return [
    table.posted(path, { summary: 'A response', body: schema, answers: 'events' }, (call, request) =>
      oncePastIsHere(call, request, service, () => create(call, request, service)),
    ),
    table.posted(
      `${path}/input_tokens`,
      { summary: 'The tokens of a request, counted', body: schema },
      (call, request) => oncePastIsHere(call, request, service, () => countTokens(call, request, service)),
    ),
    // Before the id's own route, which would take the word for one.
    table.posted(
      `${path}/compact`,
      { summary: 'A conversation made shorter: its messages of the user, and a summary', body: compacting },
      (call, request) => oncePastIsHere(call, request, service, () => compact(call, request, service)),
    ),
    table.get(
      one,
      {
        summary: 'A stored response, as it stands; or the events of a background one',
        answers: 'events',
        query: { stream: 'true: its events', starting_after: 'only those after this sequence_number' },
      },
      (call) => withStored(call, service, read, isStreamed(call)),
    ),
    table.remove(one, 'Forgets it, and cancels it if it is being written', (call) =>
      withStored(call, service, remove, true),
    ),
    table.post(`${one}/cancel`, 'Cancels a background response', (call) =>
      withStored(call, service, cancel, true),
    ),
    table.get(`${one}/input_items`, { summary: 'Its conversation, a page of it', query: pageQuery }, (call) =>
      withStored(call, service, list),
    ),
  ];
}

function countTokens(call: HttpCall, request: ResponseRequest, service: ResponsesService): void {
  const { owner } = call.facts;
  const past = pastOf(request, owner, service);
  // An upstream's tokens are not known here: every lane is counted in those of the server's own model.
  const routed = (service.lanes?.meaning(request.model, service.model.name) ?? null) !== null;
  const counted = routed ? { ...request, model: null } : request;
  const plan = past.ok
    ? planResponse({ request: counted, owner, ...past.value, warmUp: false }, service)
    : past;
  if (!plan.ok) call.refuse(plan.fault);
  else {
    const { promptTokenCount } = plan.value.prepared;
    call.reply(200, { object: 'response.input_tokens', input_tokens: promptTokenCount });
  }
}

type Answerer = (call: HttpCall, stored: StoredResponse, service: ResponsesService) => void;

/** `taken`: it goes on here if another node writes it; else that one's word is enough. */
function withStored(call: HttpCall, service: ResponsesService, answer: Answerer, taken = false): void {
  const { parameter: id } = call;
  const { owner } = call.facts;
  const found = (elsewhere: StoredResponse | null) => {
    const stored = service.store.get(id, owner) ?? elsewhere;
    if (stored === null)
      call.refuse(fault('not_found', `Response with id '${id}' not found.`, { param: 'response_id' }));
    else if (stored === elsewhere && taken) {
      const message = 'this response is being written by a node of another model; ask that one';
      call.refuse(fault('unsupported', message, { param: 'response_id' }));
    } else answer(call, stored, service);
  };
  if (service.shared === null) found(null);
  else {
    service.shared.responses.bring({ id, owner, taken }, (elsewhere) => {
      if (!call.over) call.guard(() => found(elsewhere));
    });
  }
}

function isStreamed(call: HttpCall): boolean {
  return new URLSearchParams(call.request.query).get('stream') === 'true';
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

const list: Answerer = (call, { history, input }) => replyPage(call, [...history, ...input]);
