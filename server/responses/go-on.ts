// A response that another node had begun and this one goes on with: the same request, seed and ids, so the same events by number. What
// nobody could say again has failed. Before it: shared-responses.ts; after it: background.ts.

import { fault } from '../base/errors.ts';
import { BackgroundResponse } from './background.ts';
import type { ConversationTurn } from './conversation-store.ts';
import { responseError } from './faults.ts';
import type { Item } from './items.ts';
import { type ResponseRecord, storedOf } from './response-record.ts';
import type { ResponsesService } from './responses-service.ts';

/** It is in the store when this returns. */
export function goOn(
  { id, owner, record }: { readonly id: string; readonly owner: string; readonly record: ResponseRecord },
  service: ResponsesService,
): void {
  const { input, history } = record;
  const { request, lane, createdAt, previousId, conversationId, delegated, repeatable } = record.open!;
  const lanes = lane === null ? null : (service.lanes ?? null);
  if (!repeatable || (lane !== null && lanes === null)) {
    fail({ id, owner, record }, service);
    return;
  }
  const response = new BackgroundResponse(
    {
      ...{ request, owner, history, input },
      conversation: conversationOf(conversationId, { owner, input }, service),
      requestId: `on_${service.freshId()}`,
      model: lane ?? service.model.name,
      told: { id, createdAt, previousId, delegated },
      onEnd: () => {},
    },
    service,
    lanes,
  );
  if (response.begin() !== null) fail({ id, owner, record }, service);
}

/** Null: there is none, or it has what was said already. */
function conversationOf(
  id: string | null,
  { owner, input }: { readonly owner: string; readonly input: readonly Item[] },
  { conversations }: ResponsesService,
): ConversationTurn | null {
  if (id === null) return null;
  const turn = conversations.turn(id, owner);
  if (!turn.ok) return null;
  const known = new Set(turn.value.items.map((item) => item['id']));
  return input.some((item) => known.has(item['id'])) ? null : turn.value;
}

function fail(
  { id, owner, record }: { readonly id: string; readonly owner: string; readonly record: ResponseRecord },
  { store }: ResponsesService,
): void {
  const error = responseError(fault('internal_error', 'the node that was writing it is gone'));
  const response = { ...record.response, status: 'failed', error };
  store.forget(id);
  store.add(storedOf(id, owner, { ...record, response, open: null }));
  store.settle(id);
}
