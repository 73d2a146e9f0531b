// Bytes ⇄ messages of the native protocol, for both ends; pure. Every message is one plain MessagePack map with a
// `type`, except token frames, which are an array by position: they are the only frequent ones, and an array costs
// a quarter of the bytes and half the time of a map (test/bench/protocol.bench.ts). Records and structures of
// msgpackr are off: they need a table that both ends of a connection build up, and any MessagePack library can
// read plain frames. Before it: listeners/listener.ts; after it: native/connection.ts here, client.ts at the other end.
import { Packr, Unpackr } from 'msgpackr';
import { type ErrorCode, type Fault, fault } from '../base/errors.ts';
import { frameFault } from './frame-guard.ts';
import {
  type ClientMessage,
  type ClientType,
  clientSchemas,
  type ServerMessage,
  type TokensFrame,
  type WireLogprobs,
} from './messages.ts';

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true, // 1-byte header for maps of up to 15 fields
  moreTypes: false,
  structuredClone: false,
  bundleStrings: false,
  encodeUndefinedAsNil: true,
});
const unpackr = new Unpackr({
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: 'number',
  moreTypes: false,
  structuredClone: false,
  bundleStrings: false,
});

/** First element of a token frame. Other arrays may come with later versions; readers skip kinds they don't know. */
const TOKENS_KIND = 1;

/** What a refused message said of itself, so that its sender can tell which one it was. */
export interface FrameLabels {
  readonly session?: number;
  readonly generation?: number;
  readonly request?: number;
}

export type Decoded =
  | { readonly ok: true; readonly message: ClientMessage }
  | { readonly ok: false; readonly fault: Fault; readonly labels: FrameLabels };

/** A client's frame, checked. The frame may be reused after the call. Unknown fields are dropped. Throws never. */
export function decodeClientFrame(frame: Uint8Array): Decoded {
  const broken = frameFault(frame);
  if (broken !== null) return refusal('malformed_frame', broken, {});
  let value: unknown;
  try {
    value = unpackr.unpack(frame);
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

export function encodeClientMessage(message: ClientMessage): Uint8Array {
  return packr.pack(message);
}

export function encodeServerMessage(message: ServerMessage): Uint8Array {
  return message.type === 'tokens' ? encodeTokens(message) : packr.pack(message);
}

/** `[1, session, generation, index, timeUs, tokens, text]` and, only where they were asked for, logprobs. */
export function encodeTokens(frame: TokensFrame): Uint8Array {
  const { session, generation, index, timeUs, tokens, text, logprobs } = frame;
  return logprobs === null
    ? packr.pack([TOKENS_KIND, session, generation, index, timeUs, tokens, text])
    : packr.pack([TOKENS_KIND, session, generation, index, timeUs, tokens, text, logprobs]);
}

/**
 * A server's frame, for clients; null for a message or kind that this version does not know. A client trusts the
 * server that it chose with its fields, but not with its bytes: throws ProtocolError on a broken frame.
 */
export function decodeServerFrame(frame: Uint8Array): ServerMessage | null {
  let value: unknown;
  try {
    value = unpackr.unpack(frame);
  } catch (error) {
    throw new ProtocolError(`the server sent a broken frame: ${(error as Error).message}`);
  }
  if (Array.isArray(value)) return value[0] === TOKENS_KIND ? tokensFrame(value) : null;
  if (!isRecord(value) || typeof value['type'] !== 'string') {
    throw new ProtocolError('the server sent a frame that is no message');
  }
  return SERVER_TYPES.has(value['type']) ? (value as unknown as ServerMessage) : null;
}

class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

const SERVER_TYPES: ReadonlySet<string> = new Set<Exclude<ServerMessage['type'], 'tokens'>>([
  'hello',
  'session.opened',
  'session.resumed',
  'session.taken',
  'session.edited',
  'session.forked',
  'sessions.listed',
  'sessions.shown',
  'sessions.dropped',
  'session.appended',
  'session.prefilled',
  'generation.end',
  'session.closed',
  'error',
  'pong',
]);

function tokensFrame(value: readonly unknown[]): TokensFrame {
  const [, session, generation, index, timeUs, tokens, text, logprobs] = value;
  if (!Array.isArray(tokens) || typeof text !== 'string' || typeof generation !== 'number') {
    throw new ProtocolError('the server sent a token frame of the wrong shape');
  }
  return {
    type: 'tokens',
    session: session as number,
    generation,
    index: index as number,
    timeUs: timeUs as number,
    tokens,
    text,
    logprobs: (logprobs as readonly WireLogprobs[] | undefined) ?? null,
  };
}

/** Many MessagePack libraries send absent fields as nil; here both mean absent. */
function withoutNil(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  for (const key in value) {
    if (value[key] === null) return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null));
  }
  return value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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
