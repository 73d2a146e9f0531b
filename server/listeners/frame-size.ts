// How large a message of a WebSocket may be: one over its bound is read all the same, up to a multiple of it, so that its sender
// hears why the socket is closed. Pure. Used by listener-socket.ts, node-listener.ts and node-socket.ts.

export const FRAME_TOO_LARGE = 1009; // RFC 6455 section 7.4.1

const READ_FACTOR = 4; // as bodies are (body-pieces.ts)
const READ_MAX = 2 ** 30; // bytes; a bound above it is its own

/** Bytes beyond which the library closes the socket itself. */
export function frameReadMax(frameSizeMax: number): number {
  return Math.max(frameSizeMax, Math.min(READ_FACTOR * frameSizeMax, READ_MAX));
}

/** Why a message of `size` bytes is not heard. */
export function frameSizeFault(size: number, frameSizeMax: number): string | null {
  return size <= frameSizeMax ? null : `a message of ${size} bytes: at most ${frameSizeMax} (--frame-size)`;
}
