// sparklane/client for web pages: the same names as published.ts over the browser's own WebSocket, with nothing of Node. A page
// cannot set headers, so the key travels in the first message; the server has to name its origin (--cors-origin).
import { type ClientSocket, NativeClient, type OpenSocket } from './client.ts';
import type { ConnectOptions } from './published.ts';

export { NativeError } from './native-error.ts';

const NATIVE_PATH = '/v1/sparklane';
const CONNECT_TIMEOUT_MS = 10_000;

/** As of published.ts; the browser bounds frames itself. */
export function connect(url: string, options: ConnectOptions = {}): Promise<NativeClient> {
  const { apiKey, client, connectTimeoutMs = CONNECT_TIMEOUT_MS, session } = options;
  return NativeClient.connect(browserSocketTo(url, { connectTimeoutMs, session }), {
    ...(client !== undefined && { client }),
    ...(apiKey !== undefined && { apiKey }),
  });
}

/** What is used of a page's globals: the rest of the tree is compiled without them. */
interface Page {
  readonly WebSocket: new (
    url: string,
  ) => {
    binaryType: string;
    readonly readyState: number;
    send(frame: Uint8Array): void;
    close(code?: number, reason?: string): void;
    onopen: (() => void) | null;
    onmessage: ((event: { readonly data: ArrayBuffer }) => void) | null;
    onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  };
}

const CONNECTING = 0;
const OPEN = 1;

function browserSocketTo(
  url: string,
  { connectTimeoutMs, session }: { readonly connectTimeoutMs: number; readonly session: string | undefined },
): OpenSocket {
  const page = globalThis as unknown as Page;
  const target = new URL(NATIVE_PATH, url);
  target.protocol = target.protocol.replace('http', 'ws');
  if (session !== undefined) target.searchParams.set('session', session);
  return (events): ClientSocket => {
    const socket = new page.WebSocket(target.href);
    let late = false;
    AbortSignal.timeout(connectTimeoutMs).addEventListener('abort', () => {
      if (socket.readyState !== CONNECTING) return;
      late = true;
      socket.close();
    });
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.onOpen();
    socket.onmessage = ({ data }) => events.onMessage(new Uint8Array(data));
    // A browser tells a page nothing about why it could not connect.
    socket.onclose = ({ code, reason }) => {
      const why = late ? `no answer from ${url} within ${connectTimeoutMs} ms` : reason;
      events.onClose(code, why);
    };
    return {
      send: (frame) => {
        if (socket.readyState === OPEN) socket.send(frame);
      },
      close: (code, reason) => socket.close(code, reason),
    };
  };
}
