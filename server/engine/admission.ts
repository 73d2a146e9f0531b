// Admission: the yes or no at the door, before anything is queued. Refusals are values with the number and the
// bound; nothing here waits. Before it: engine.submit(); after it: scheduler.ts.
import type { BackendLimits } from '../../kernels/backend.ts';
import type { SequenceRequest, SubmitResult } from './request.ts';

export interface AdmissionBounds {
  readonly queueLengthMax: number; // sequences waiting for a seat
  readonly retryAfterMs: number; // told to clients refused for a full queue
}

export type Refusal = Extract<SubmitResult, { ok: false }>;

/** Longest sequence the device can hold: one seat, and no more blocks than there are. */
export function contextTokensMax(limits: BackendLimits): number {
  return Math.min(limits.slotTokensMax, limits.blockCount * limits.blockSize);
}

/** Null admits. The prompt must leave room for one more token if any is to be drawn. */
export function admissionRefusal(
  request: SequenceRequest,
  state: { readonly waitingCount: number; readonly draining: boolean },
  limits: BackendLimits,
  bounds: AdmissionBounds,
): Refusal | null {
  if (state.draining) {
    return refuse('draining', 'the server is shutting down', bounds.retryAfterMs);
  }
  const contextMax = contextTokensMax(limits);
  const promptCount = request.tokens.length;
  const promptMax = request.maxTokens > 0 ? contextMax - 1 : contextMax;
  if (promptCount > promptMax) {
    const message = `the prompt has ${promptCount} tokens, at most ${promptMax} fit into the context of ${contextMax}`;
    return refuse('prompt-too-long', message, null);
  }
  if (state.waitingCount >= bounds.queueLengthMax) {
    const message = `${state.waitingCount} requests are waiting, the queue holds ${bounds.queueLengthMax}`;
    return refuse('queue-full', message, bounds.retryAfterMs);
  }
  return null;
}

function refuse(reason: Refusal['reason'], message: string, retryAfterMs: number | null): Refusal {
  return { ok: false, reason, message, retryAfterMs };
}
