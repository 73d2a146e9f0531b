// WebSockets over real connections, on the ws package. Owns nothing after opening. A frame whose bytes were handed to
// the kernel is `onSent`.
import { WebSocket } from 'ws';
import type { SocketWire, SocketWireEvents, WireSocket } from './wire.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const FRAME_SIZE_MAX = 64 * 1024 * 1024; // bytes, one incoming frame

/** `origin`: http(s):// or ws(s)://. */
export function wsWire(origin: string): SocketWire {
  return {
    open(path: string, headers: Readonly<Record<string, string>>, events: SocketWireEvents): WireSocket {
      const url = new URL(path, origin);
      url.protocol = url.protocol.replace('http', 'ws');
      const socket = new WebSocket(url, {
        headers,
        perMessageDeflate: false,
        handshakeTimeout: CONNECT_TIMEOUT_MS,
        maxPayload: FRAME_SIZE_MAX,
        followRedirects: false,
        skipUTF8Validation: true,
      });
      let failure = '';
      socket.binaryType = 'nodebuffer';
      socket.on('open', () => events.onOpen());
      socket.on('message', (data, isBinary) => events.onMessage(data as Buffer, isBinary));
      socket.on('error', (error) => {
        failure = error.message; // 'close' follows
      });
      socket.on('close', (code, reason) => events.onClose(code, failure || reason.toString()));
      return {
        send: (frame, onSent) => {
          // After the connection broke, onClose tells; a frame that could not be sent has no time.
          if (socket.readyState === WebSocket.OPEN) socket.send(frame, (error) => error || onSent());
        },
        close: () => socket.close(1000, ''),
        terminate: () => socket.terminate(),
      };
    },
  };
}
