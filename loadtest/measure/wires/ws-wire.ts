// WebSockets over real connections, on the ws package. Owns nothing after opening. A frame whose bytes were handed to
// the kernel is `onSent`.
import { HttpsProxyAgent } from 'https-proxy-agent';
import { WebSocket } from 'ws';
import type { ServerAddress } from './address.ts';
import { type Connection, tlsOptions } from './connection.ts';
import type { SocketWire, SocketWireEvents, WireSocket } from './wire.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const FRAME_SIZE_MAX = 64 * 1024 * 1024; // bytes, one incoming frame

export function wsWire(address: ServerAddress, connection: Connection): SocketWire {
  const { proxy } = connection;
  return {
    open(path: string, headers: Readonly<Record<string, string>>, events: SocketWireEvents): WireSocket {
      const url = new URL(address.pathOf(path), address.origin);
      url.protocol = url.protocol.replace('http', 'ws');
      const socket = new WebSocket(url, {
        headers,
        ...tlsOptions(connection),
        ...(proxy !== null && { agent: new HttpsProxyAgent(proxy) }),
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
