// A session's state as bytes, for a store that nodes share: plain MessagePack with a version. Owns the form only. Before it:
// sessions/session-state.ts; after it: redis-sessions.ts.
import { pack, unpack } from '../client/wire.ts';
import type { SessionState } from '../sessions/session-state.ts';

const VERSION = 1;

export function sessionBytes({ transcript, ...state }: SessionState): Uint8Array {
  const { tokens } = transcript;
  const bytes = Buffer.from(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  return pack({ version: VERSION, ...state, transcript: { ...transcript, tokens: bytes } });
}

/** Null for another version's, or bytes that are none of ours. */
export function sessionOf(bytes: Uint8Array): SessionState | null {
  let value:
    | (SessionState & { readonly version: number; readonly transcript: { readonly tokens: unknown } })
    | null;
  try {
    value = unpack(bytes) as typeof value;
  } catch {
    return null; // cut or altered: as good as not there
  }
  const held: unknown = value?.transcript?.tokens;
  if (value?.version !== VERSION || !(held instanceof Uint8Array) || held.length % 4 !== 0) return null;
  const tokens = new Int32Array(Uint8Array.from(held).buffer);
  const { version: _, ...state } = value;
  return { ...state, transcript: { ...state.transcript, tokens } };
}
