// Chains: what a response goes on from, an earlier response or a conversation, and where it is found again. Lanes of a socket
// keep their own latest response beside it (socket-lane.ts). Before it: routes.ts and socket.ts; after it: store.ts and
// conversation-store.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { ConversationTurn } from './conversation-store.ts';
import type { EventLog } from './event-log.ts';
import type { Item } from './items.ts';
import { openResponse } from './open-response.ts';
import type { ResponsesService } from './responses-service.ts';
import type { ResponseRun } from './run.ts';
import type { ResponseRequest } from './schema.ts';

/** What came before a request. */
export interface Past {
  readonly history: readonly Item[];
  readonly conversation: ConversationTurn | null; // that the response is written into
}

/** Where a stored response lives on: its input, its run, its answer; `log`: of its events, for who comes back to them. */
export function storeRun(run: ResponseRun, service: ResponsesService, log: EventLog | null = null): void {
  const { plan, events } = run;
  const { head } = plan;
  const open = () =>
    openResponse(
      { ...plan, request: head.request, previousId: head.previousResponseId },
      {
        lane: service.answering.route === null ? null : head.model,
        createdAt: head.createdAt,
        repeatable: plan.repeatable && !run.steered,
      },
      service,
    );
  service.store.add({
    id: run.id,
    owner: plan.owner,
    input: plan.input,
    history: plan.history,
    response: () => events.response,
    output: () => events.output,
    isOver: () => run.over,
    cancel: () => run.cancel(),
    ...(log !== null && { log }),
    ...(plan.repeatable && { open }),
  });
}

/** Its answer is complete, or another node's to say. */
export function settleRun(run: ResponseRun, { store, shared }: ResponsesService): void {
  if (run.left) shared?.responses.leave(run.id, run.plan.owner);
  else store.settle(run.id);
}

/** What a request goes on from: a stored response, a conversation, or nothing. */
export function pastOf(
  request: Pick<ResponseRequest, 'conversation' | 'previous_response_id'>,
  owner: string,
  service: ResponsesService,
): Parsed<Past> {
  const { conversation: given, previous_response_id: previousId } = request;
  const refused = doublePastFault(request);
  if (refused !== null) return { ok: false, fault: refused };
  if (given != null) {
    const turn = service.conversations.turn(typeof given === 'string' ? given : given.id, owner);
    if (!turn.ok) return turn;
    return { ok: true, value: { history: turn.value.items, conversation: turn.value } };
  }
  const history = storedHistory(previousId, owner, service);
  return history.ok ? { ok: true, value: { history: history.value, conversation: null } } : history;
}

/** Two pasts would be two histories. */
export function doublePastFault({
  conversation,
  previous_response_id: previousId,
}: Pick<ResponseRequest, 'conversation' | 'previous_response_id'>): Fault | null {
  if (conversation == null || previousId == null || previousId === '') return null;
  const message = 'conversation: a response goes on from it or from previous_response_id, not from both';
  return fault('invalid_request', message, { param: 'conversation' });
}

function storedHistory(
  id: string | null | undefined,
  owner: string,
  service: ResponsesService,
): Parsed<readonly Item[]> {
  if (id == null || id === '') return { ok: true, value: [] };
  const stored = service.store.get(id, owner);
  if (stored === null || !stored.isOver()) {
    const message = `Previous response with id '${id}' not found.`;
    return {
      ok: false,
      fault: fault('previous_response_not_found', message, { param: 'previous_response_id' }),
    };
  }
  return { ok: true, value: [...stored.history, ...stored.input, ...stored.output()] };
}
