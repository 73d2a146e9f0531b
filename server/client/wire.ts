// Frames of the native protocol as plain MessagePack, and a client's half of them: its messages → bytes, bytes of the server
// → messages; pure, and small enough for a web page (the checks on what clients send are in protocol.ts). Every message is one
// map with a `type`, except token frames, which are an array by position: they are the only frequent ones, and an array costs
// a quarter of the bytes and half the time of a map (test/bench/protocol.bench.ts). Records and structures of msgpackr are
// off: they need a table that both ends of a connection build up, and any MessagePack library can read plain frames.
import { Packr, Unpackr } from 'msgpackr';
import type { ClientMessage, ServerMessage, TokensFrame, WireLogprobs } from './messages.ts';

export const PROTOCOL_VERSION = 1;

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
  int64AsType: 'auto' as 'bigint', // which its types do not know: a bigint where a number would lose digits
  moreTypes: false,
  structuredClone: false,
  bundleStrings: false,
});

/** First element of a token frame. Other arrays may come with later versions; readers skip kinds they don't know. */
export const TOKENS_KIND = 1;

/** Plain MessagePack. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** A frame's one value; it may be reused after the call. Throws what msgpackr says of a broken one. */
export function unpack(frame: Uint8Array): unknown {
  return unpackr.unpack(frame);
}

export function encodeClientMessage(message: ClientMessage): Uint8Array {
  return packr.pack(message);
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
  const [, session, generation, index, timeUs, tokens, text, logprobs, reasoning] = value;
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
    logprobs: (logprobs as readonly WireLogprobs[] | null | undefined) ?? null,
    ...(typeof reasoning === 'string' && { reasoning }),
  };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
