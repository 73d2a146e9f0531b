// Faults in Anthropic's spelling: its envelope, its types of errors, its own status for a server that has too much to do.
// Pure. Before it: http/door.ts and answer.ts; after it: the caller's SDK, which throws by them.
import { ERRORS, type ErrorCode, type Fault } from '../base/errors.ts';
import type { Route } from '../http/route.ts';

const OVERLOADED = 529; // Anthropic's: come back later, to whoever asks; its SDKs do so by themselves

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  502: 'api_error',
  504: 'timeout_error',
  [OVERLOADED]: 'overloaded_error',
};

/** The field that asks this server to keep a conversation. */
export const THREAD = 'thread';

// By these details Anthropic's SDK goes on without threads, as its runner of tools does.
const THREAD_DETAILS = { error_code: 'thread_unsupported_request', unsupported: [THREAD] };

const INVALID = 'invalid_request_error';

function messagesStatus({ code }: { readonly code: ErrorCode }): number {
  const { status } = ERRORS[code];
  return status === 503 ? OVERLOADED : status;
}

function messagesError(refused: Fault, requestId: string): object {
  const type = TYPES[messagesStatus(refused)] ?? INVALID;
  const error = {
    type,
    message: messageOf(refused),
    ...(refused.param === THREAD && { details: THREAD_DETAILS }),
  };
  return { type: 'error', error, request_id: requestId };
}

/** What every route of this API says of its errors. */
export const messagesErrors = {
  errorBody: messagesError,
  errorStatus: messagesStatus,
  errorEvent: 'error',
  idHeader: 'request-id',
} satisfies Partial<Route>;

/** Claude Code compacts a conversation by the words of this one error, and reads both numbers from it. */
function messageOf({ code, message }: Fault): string {
  if (code !== 'context_length_exceeded') return message;
  const numbers = /(\d+) tokens.*?(?:length is|context of) (\d+)/.exec(message);
  const short = numbers === null ? '' : `: ${numbers[1]} tokens > ${numbers[2]} maximum`;
  return `prompt is too long${short} (${message})`;
}
