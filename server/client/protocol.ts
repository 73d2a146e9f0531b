// Frames of clients → checked messages, messages of the server → frames; pure. With it everything that a server or proxy of
// the native protocol needs: what a client needs is in wire.ts. Published as sparklane/protocol.
// After it: native/connection.ts.
import { type ErrorCode, type Fault, fault } from '../base/errors.ts';
import { frameFault } from './frame-guard.ts';
import { readFrame } from './frame-reader.ts';
import {
  type ClientMessage,
  type ClientType,
  clientSchemas,
  type ServerMessage,
  type TokensFrame,
} from './messages.ts';
import { isRecord, pack, TOKENS_KIND } from './wire.ts';

export type * from './messages.ts';
export { decodeServerFrame, encodeClientMessage, PROTOCOL_VERSION } from './wire.ts';

/** What a refused message said of itself, so that its sender can tell which one it was. */
export interface FrameLabels {
  readonly session?: number;
  readonly generation?: number;
  readonly request?: number;
}

export type Decoded =
  | { readonly ok: true; readonly message: ClientMessage }
  | { readonly ok: false; readonly fault: Fault; readonly labels: FrameLabels };

/**
 * A client's frame, checked. The frame may be reused after the call. Unknown fields are dropped. Throws never. `valuesMax`:
 * numbers, texts … that it may hold.
 */
export function decodeClientFrame(frame: Uint8Array, valuesMax?: number): Decoded {
  const broken = frameFault(frame, valuesMax);
  if (broken !== null) return refusal('malformed_frame', broken, {});
  let value: unknown;
  try {
    value = readFrame(frame);
  } catch (error) {
    return refusal('malformed_frame', (error as Error).message, {});
  }
  if (!isRecord(value)) return refusal('malformed_frame', 'a message is a map with a type', {});
  const type = value['type'];
  if (typeof type !== 'string') return refusal('malformed_frame', 'type must be a string', value);
  if (!Object.hasOwn(clientSchemas, type)) {
    return refusal('unknown_message', `no message has the type ${JSON.stringify(type.slice(0, 64))}`, value);
  }
  const parsed = clientSchemas[type as ClientType].safeParse(withoutNil(value));
  if (parsed.success) return { ok: true, message: parsed.data };
  const issue = parsed.error.issues[0]!;
  const param = pathText(issue.path);
  return refusal('invalid_request', `${param}: ${issue.message}`, value, param);
}

export function encodeServerMessage(message: ServerMessage): Uint8Array {
  return message.type === 'tokens' ? encodeTokens(message) : pack(message);
}

/**
 * `[1, session, generation, index, timeUs, tokens, text]`, then logprobs only where they were asked for (else nil, where
 * something follows), then reasoning where it is told apart and there is some.
 */
export function encodeTokens(frame: TokensFrame): Uint8Array {
  const { session, generation, index, timeUs, tokens, text, logprobs, reasoning } = frame;
  if (reasoning !== undefined) {
    return pack([TOKENS_KIND, session, generation, index, timeUs, tokens, text, logprobs, reasoning]);
  }
  return logprobs === null
    ? pack([TOKENS_KIND, session, generation, index, timeUs, tokens, text])
    : pack([TOKENS_KIND, session, generation, index, timeUs, tokens, text, logprobs]);
}

/** Many MessagePack libraries send absent fields as nil; here both mean absent. */
function withoutNil(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  for (const key in value) {
    if (value[key] === null) return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null));
  }
  return value;
}

function refusal(
  code: ErrorCode,
  message: string,
  value: Readonly<Record<string, unknown>>,
  param: string | null = null,
): Decoded {
  return { ok: false, fault: fault(code, message, { param }), labels: labelsOf(value) };
}

/** The numbers that a message carries, whatever else is wrong with it. */
export function labelsOf(value: Readonly<Record<string, unknown>>): FrameLabels {
  const { session, generation, request } = value;
  return {
    ...(Number.isSafeInteger(session) && { session: session as number }),
    ...(Number.isSafeInteger(generation) && { generation: generation as number }),
    ...(Number.isSafeInteger(request) && { request: request as number }),
  };
}

/** `messages[2].content` */
function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path) {
    text += typeof key === 'number' ? `[${key}]` : `${text === '' ? '' : '.'}${String(key)}`;
  }
  return text;
}
