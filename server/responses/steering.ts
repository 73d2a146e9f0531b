// Steering: user input for a response that is still being written. Owns the waiting inputs of one response and the
// events that tell their fate; the response itself ends in run.ts and goes on in socket-lane.ts. Pure but for its own list.
import type { Item } from './items.ts';

export interface Steer {
  readonly id: string;
  readonly responseId: string; // steered
  readonly input: unknown; // as it came, to be given back
  readonly items: readonly Item[];
}

export const STEERS_MAX = 16; // that wait for one response

export type SteerErrorCode =
  | 'invalid_input'
  | 'response_not_found'
  | 'response_already_ended'
  | 'response_failed'
  | 'not_continued'
  | 'too_many_steers';

/** User messages only; null for anything else. */
export function steerItems(items: readonly Item[]): readonly Item[] | null {
  const usable = items.length > 0 && items.every((item) => item.type === 'message' && isUser(item['role']));
  return usable ? items : null;
}

export function acceptedEvent({ id, responseId }: Steer, sequenceNumber: number): object {
  return {
    type: 'response.steer.accepted',
    sequence_number: sequenceNumber,
    steer: { id, previous_response_id: responseId },
  };
}

/** The response ended with calls: their outputs have to come first. */
export function pendingEvent(
  { id, responseId }: Steer,
  { calls, sequenceNumber }: { readonly calls: readonly Item[]; readonly sequenceNumber: number },
): object {
  return {
    type: 'response.steer.pending',
    sequence_number: sequenceNumber,
    steer: { id, previous_response_id: responseId },
    reason: 'waiting_for_required_input',
    required_input: calls.map((call) => ({ type: `${call.type}_output`, call_id: call['call_id'] })),
  };
}

/** Gives the input back. `id` is null where the input was never accepted. */
export function failedEvent(
  steer: { readonly id: string | null; readonly responseId: string; readonly input: unknown },
  error: { readonly code: SteerErrorCode; readonly message: string },
  sequenceNumber: number,
): object {
  return {
    type: 'response.steer.failed',
    sequence_number: sequenceNumber,
    steer: {
      ...(steer.id !== null && { id: steer.id }),
      previous_response_id: steer.responseId,
      input: steer.input,
    },
    error,
  };
}

function isUser(role: unknown): boolean {
  return role === 'user' || role === undefined;
}
