// Faults in the shapes of the Responses API: the error of a failed response, and the error event of a WebSocket. Pure.
// Used by run.ts, routes.ts and socket.ts.
import { ERRORS, type ErrorCode, type Fault } from '../base/errors.ts';

/** OpenAI's clients know few codes of a failed response and decide by them whether to try again. */
export function responseError({ code, message, retryAfterMs }: Fault): {
  readonly code: string;
  readonly message: string;
} {
  return { code: KNOWN_CODES[code] ?? 'server_error', message: message + retryText(retryAfterMs) };
}

/** `headers` carry what an HTTP answer would have said in its own. */
export function errorEvent(fault: Fault, streamId: string | null): string {
  const { code, message, param, retryAfterMs } = fault;
  const { status, type } = ERRORS[code];
  const retryAfter = retryAfterMs === null ? null : `${Math.max(1, Math.ceil(retryAfterMs / 1000))}`;
  return JSON.stringify({
    type: 'error',
    status,
    error: {
      type,
      code: code === 'queue_full' ? 'rate_limit_exceeded' : code,
      message: message + retryText(retryAfterMs),
      param,
    },
    ...(retryAfter !== null && { headers: { 'retry-after': retryAfter } }),
    ...(streamId !== null && { stream_id: streamId }),
  });
}

const KNOWN_CODES: Partial<Record<ErrorCode, string>> = {
  queue_full: 'rate_limit_exceeded',
  rate_limit_exceeded: 'rate_limit_exceeded',
  context_length_exceeded: 'context_length_exceeded',
  invalid_request: 'invalid_prompt',
  unsupported: 'invalid_prompt',
};

/** Codex reads the pause from these words. */
function retryText(retryAfterMs: number | null): string {
  return retryAfterMs === null ? '' : `; try again in ${(retryAfterMs / 1000).toFixed(1)}s`;
}
