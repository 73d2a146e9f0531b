// A turn of a socket's lane: the frame that asks for it, and what it goes on from, which may be the lane's own latest response.
// Before it: socket.ts; after it: chain.ts and plan.ts.
import type { Parsed } from '../base/json-body.ts';
import { doublePastFault, type Past, pastOf } from './chain.ts';
import { type Item, itemsOf } from './items.ts';
import type { TurnParts } from './lane-entry.ts';
import type { ResponsesService } from './responses-service.ts';
import type { CreateFrame } from './schema.ts';
import { withPast } from './shared-past.ts';

/** A queued `response.create`, or what a steered response goes on with. */
export interface SocketTurn {
  readonly request: CreateFrame;
  readonly size: number; // bytes of its frame
  readonly from: {
    readonly id: string;
    readonly history: readonly Item[];
    readonly input: readonly Item[];
  } | null;
}

/** Whose turn it is, and what its connection remembers. */
export interface TurnHost {
  readonly owner: string;
  readonly service: ResponsesService;
  /** The latest response of any lane, by id. */
  remembered(id: string): readonly Item[] | null;
}

/** `then` once what the turn goes on from is here: the lane has its own latest response, others' may be on another node. */
export function withTurnPast({ request, from }: SocketTurn, host: TurnHost, then: () => void): void {
  const { service, owner } = host;
  const previousId = request.previous_response_id ?? null;
  const isHere = from !== null || (previousId !== null && host.remembered(previousId) !== null);
  const names = {
    conversation: request.conversation,
    previous_response_id: isHere ? null : previousId,
    input: from === null ? request.input : null,
  };
  withPast(service, { names, owner }, then);
}

/** What the turn goes on from, and its own input where it is not the request's. */
export function turnParts(
  { request, from }: SocketTurn,
  host: TurnHost,
  takeWaiting: (from: string | null) => readonly Item[],
): Parsed<TurnParts & { readonly previousId?: string }> {
  const { service, owner } = host;
  if (from !== null) {
    const { history, input, id } = from;
    // The same conversation, if any: the steered answer is in it by now.
    const past = pastOf({ conversation: request.conversation }, owner, service);
    if (!past.ok) return past;
    const { conversation } = past.value;
    return { ok: true, value: { request, owner, history, conversation, input, previousId: id } };
  }
  const previousId = request.previous_response_id;
  const known = previousId == null ? null : host.remembered(previousId);
  const past = known === null ? pastOf(request, owner, service) : rememberedPast(request, known);
  if (!past.ok) return past;
  const { history, conversation } = past.value;
  const steered = takeWaiting(previousId ?? conversation?.id ?? null);
  const parts = { request, owner, conversation };
  if (conversation === null) return { ok: true, value: { ...parts, history: [...history, ...steered] } };
  const input = [...steered, ...itemsOf(request.input, service.freshId)]; // it is written down there
  return { ok: true, value: { ...parts, history, input } };
}

function rememberedPast(request: CreateFrame, history: readonly Item[]): Parsed<Past> {
  const refused = doublePastFault(request);
  if (refused !== null) return { ok: false, fault: refused };
  return { ok: true, value: { history, conversation: null } };
}

export function isWarmUp({ request }: SocketTurn): boolean {
  return request.generate === false;
}

/** Another node may have to go on with it. */
export function isRepeatable(turn: SocketTurn, { repeats }: Pick<ResponsesService, 'repeats'>): boolean {
  return repeats !== null && turn.request.store !== false && !isWarmUp(turn);
}
