// The reason in a WebSocket's close frame. Pure. Used by listener-socket.ts and node-socket.ts.

const SIZE_MAX = 123; // bytes, RFC 6455 section 5.5

/** As much of the text as a close frame can hold, in whole characters. */
export function closeReason(reason: string): Buffer {
  const bytes = Buffer.from(reason);
  let size = Math.min(bytes.length, SIZE_MAX);
  while (size < bytes.length && size > 0 && (bytes[size]! & 0xc0) === 0x80) size--;
  return bytes.subarray(0, size);
}
