// The closed set of error codes, and what each means on every wire: HTTP status, OpenAI's error type, WebSocket
// close code, whether trying again can help. Owns no prose: messages are written where the numbers are known.
// Used by every edge.
import type { RefusalReason, SequenceFailureCode } from '../engine/request.ts';

export interface ErrorFacts {
  readonly status: number; // HTTP
  /** OpenAI's; the last one is llama-server's. */
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'rate_limit_error'
    | 'server_error'
    | 'not_supported_error';
  readonly closeCode: number | null; // WebSocket, RFC 6455; null: the connection goes on
  readonly retryable: boolean; // the same request may succeed later
}

export const ERRORS = {
  // What the caller got wrong.
  invalid_json: facts(400, 'invalid_request_error'),
  invalid_request: facts(400, 'invalid_request_error'),
  unsupported: facts(400, 'invalid_request_error'), // understood, but not by this server or this model
  context_length_exceeded: facts(400, 'invalid_request_error'),
  invalid_api_key: facts(401, 'authentication_error', { closeCode: 1008 }),
  origin_not_allowed: facts(403, 'invalid_request_error'),
  admin_key_needed: facts(403, 'invalid_request_error'), // what changes the server wants a key of its own
  not_found: facts(404, 'invalid_request_error'),
  model_not_found: facts(404, 'invalid_request_error'),
  method_not_allowed: facts(405, 'invalid_request_error'),
  request_timeout: facts(408, 'invalid_request_error', { retryable: true }), // it did not come to its end
  body_too_large: facts(413, 'invalid_request_error'),
  unsupported_media_type: facts(415, 'invalid_request_error'),
  head_too_large: facts(431, 'invalid_request_error'),
  upgrade_required: facts(426, 'invalid_request_error'), // a WebSocket route asked for without an upgrade
  websocket_off: facts(426, 'invalid_request_error'), // this server was told to do without; clients fall back to HTTP
  not_served: facts(501, 'not_supported_error'), // a route that other servers have where they are told to
  unsupported_coding: facts(501, 'invalid_request_error'), // a transfer coding other than chunked
  unsupported_http: facts(505, 'invalid_request_error'), // a request line of neither HTTP/1.0 nor 1.1
  // OpenAI's codes of the Responses API.
  previous_response_not_found: facts(400, 'invalid_request_error'),
  conversation_locked: facts(400, 'invalid_request_error', { retryable: true }),
  invalid_stream_id: facts(400, 'invalid_request_error'),
  websocket_stream_limit_reached: facts(400, 'invalid_request_error'),
  websocket_connection_limit_reached: facts(400, 'invalid_request_error', { retryable: true }), // the connection is too old
  rate_limit_exceeded: facts(429, 'rate_limit_error', { retryable: true }),
  insufficient_quota: facts(429, 'rate_limit_error'), // OpenAI's code: the budget of the key is spent for today
  // What the native protocol's peer got wrong.
  malformed_frame: facts(400, 'invalid_request_error', { closeCode: 1007 }),
  unknown_message: facts(400, 'invalid_request_error'),
  hello_expected: facts(400, 'invalid_request_error', { closeCode: 1002 }),
  unsupported_version: facts(400, 'invalid_request_error', { closeCode: 1002 }),
  unknown_session: facts(404, 'invalid_request_error'),
  replay_gone: facts(410, 'invalid_request_error'), // what a reader that came back lacks is no longer kept
  session_exists: facts(409, 'invalid_request_error'),
  session_busy: facts(409, 'invalid_request_error', { retryable: true }),
  // Replacing the device.
  backend_busy: facts(409, 'invalid_request_error', { retryable: true }),
  backend_fixed: facts(409, 'invalid_request_error'),
  // What is full, or on its way out.
  queue_full: facts(429, 'rate_limit_error', { retryable: true }),
  session_limit: facts(429, 'rate_limit_error', { retryable: true }),
  cancelled: facts(499, 'invalid_request_error'), // by the caller; no HTTP answer ever carries it
  connection_limit: facts(503, 'server_error', { retryable: true, closeCode: 1013 }),
  upstream_unavailable: facts(503, 'server_error', { retryable: true }), // what answers for the lane does not
  model_not_loaded: facts(503, 'server_error'), // it is here, but cannot be loaded, or not with what memory there is
  draining: facts(503, 'server_error', { retryable: true }),
  context_shrunk: facts(503, 'server_error'), // the device was replaced by one that cannot hold the sequence
  shutdown: facts(503, 'server_error', { retryable: true, closeCode: 1001 }),
  deadline: facts(504, 'server_error', { retryable: true }),
  // What broke.
  worker_died: facts(500, 'server_error', { retryable: true }),
  worker_hung: facts(500, 'server_error', { retryable: true }),
  step_failed: facts(500, 'server_error', { retryable: true }),
  sampling_failed: facts(500, 'server_error'), // the model gave no distribution; the same text gives none again
  upstream_failed: facts(502, 'server_error', { retryable: true }), // in the middle of its answer
  internal_error: facts(500, 'server_error', { closeCode: 1011 }),
} as const satisfies Readonly<Record<string, ErrorFacts>>;

export type ErrorCode = keyof typeof ERRORS;

/** One refusal or failure on its way to a client. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string; // names the field, the value and the bound
  readonly param: string | null; // path of the field: "messages[2].content"
  readonly retryAfterMs: number | null;
}

export function fault(code: ErrorCode, message: string, more: Partial<Fault> = {}): Fault {
  return { code, message, param: more.param ?? null, retryAfterMs: more.retryAfterMs ?? null };
}

/**
 * A prompt that leaves no room for an answer; `said`: what has how many tokens. Clients that then make their conversation shorter
 * know it by these words of llama-server's and OpenAI's, whatever its code is (litellm and so aider, opencode, Cline).
 */
export function contextFault(said: string, contextTokensMax: number): Fault {
  const message = `${said}, which exceeds the available context size: this model's maximum context length is ${contextTokensMax} tokens, prompt and output together`;
  return fault('context_length_exceeded', message);
}

/** OpenAI's envelope. */
export interface ErrorEnvelope {
  readonly error: {
    readonly message: string;
    readonly type: ErrorFacts['type'];
    readonly param: string | null;
    readonly code: ErrorCode;
  };
}

export function errorEnvelope({ code, message, param }: Fault): ErrorEnvelope {
  return { error: { message, type: ERRORS[code].type, param, code } };
}

/** The engine said no at the door. */
export function faultOfRefusal(refusal: {
  readonly reason: RefusalReason;
  readonly message: string;
  readonly retryAfterMs: number | null;
}): Fault {
  return fault(REFUSAL_CODES[refusal.reason], refusal.message, { retryAfterMs: refusal.retryAfterMs });
}

/** Why an answer that had begun did not end well. */
export interface GenerationFailure {
  readonly code: SequenceFailureCode | 'upstream-failed';
  readonly message: string;
}

/** A generation that had been accepted failed. */
export function faultOfFailure(failure: GenerationFailure): Fault {
  return fault(FAILURE_CODES[failure.code], failure.message);
}

const REFUSAL_CODES: Readonly<Record<RefusalReason, ErrorCode>> = {
  'queue-full': 'queue_full',
  'prompt-too-long': 'context_length_exceeded',
  draining: 'draining',
};

const FAILURE_CODES: Readonly<Record<GenerationFailure['code'], ErrorCode>> = {
  'worker-died': 'worker_died',
  'worker-hung': 'worker_hung',
  'step-failed': 'step_failed',
  'sampling-failed': 'sampling_failed',
  deadline: 'deadline',
  shutdown: 'shutdown',
  'context-shrunk': 'context_shrunk',
  'request-threw': 'internal_error',
  'upstream-failed': 'upstream_failed',
};

function facts(status: number, type: ErrorFacts['type'], more: Partial<ErrorFacts> = {}): ErrorFacts {
  return { status, type, closeCode: more.closeCode ?? null, retryable: more.retryable ?? false };
}
