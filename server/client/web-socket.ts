// Opens real sockets for the native client, on the `ws` package: Node 20 has no WebSocket of its own, and that of
// Node 22 can neither send an Authorization header nor be told not to wrap frames in Blobs. Owns nothing after
// opening; the only file of the client side that knows ws.
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { ClientSocket, ClientSocketEvents, OpenSocket } from './client.ts';

export interface WebSocketOptions {
  readonly apiKey: string | null;
  readonly frameSizeMax: number; // bytes, one incoming frame
  readonly connectTimeoutMs: number;
  readonly session?: string; // one that will be resumed: proxies before several nodes find its node by it
}

const NATIVE_PATH = '/v1/sparklane';

/** `url` of the server, such as http://127.0.0.1:8080 (or ws://…), with `?model=NAME` for another than its own; the path is added. */
export function webSocketTo(url: string, options: WebSocketOptions): OpenSocket {
  const target = new URL(NATIVE_PATH + new URL(url).search, url);
  target.protocol = target.protocol.replace('http', 'ws');
  if (options.session !== undefined) target.searchParams.set('session', options.session);
  return (events: ClientSocketEvents): ClientSocket => {
    const socket = new WebSocket(target, {
      perMessageDeflate: false, // frames of 20 bytes: a compressor only costs time
      handshakeTimeout: options.connectTimeoutMs,
      maxPayload: options.frameSizeMax,
      followRedirects: false,
      ...(options.apiKey !== null && { headers: { authorization: `Bearer ${options.apiKey}` } }),
    });
    let failure = '';
    let opened = false;
    socket.binaryType = 'nodebuffer';
    socket.on('open', () => {
      opened = true;
      events.onOpen();
    });
    socket.on('message', (data) => events.onMessage(data as Buffer));
    socket.on('unexpected-response', (_request, response) => {
      // The server's own words instead of ws's. 'error' and 'close' follow terminate().
      void refusalText(response).then((words) => {
        failure = words;
        socket.terminate();
      });
    });
    // 'close' follows. Where a name has several addresses the error has only a code.
    socket.on('error', (error: Error & { code?: string }) => {
      const reason = error.message || error.code || error.name;
      failure ||= opened ? reason : `no server answers at ${url}: ${reason}`;
    });
    socket.on('close', (code, reason) => events.onClose(code, failure || reason.toString()));
    return {
      send: (frame) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame, { binary: true });
      },
      close: (code, reason) => socket.close(code, reason),
    };
  };
}

const REFUSAL_LENGTH_MAX = 4096; // characters of an answer that is no upgrade

/** Never rejects. */
async function refusalText(response: IncomingMessage): Promise<string> {
  const status = `the server answered ${response.statusCode}`;
  let body = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      body += chunk;
      if (body.length > REFUSAL_LENGTH_MAX) break;
    }
    const { error } = JSON.parse(body) as { error?: { message?: unknown } };
    return `${status}: ${error?.message ?? body}`;
  } catch {
    return body === '' ? status : `${status}: ${body.slice(0, 200)}`; // a proxy's page, or half of one
  }
}
