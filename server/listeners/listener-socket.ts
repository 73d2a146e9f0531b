// WebSockets of uWebSockets.js: the handshake, frames both ways, the close. Owns nothing longer than its socket; never
// looks into a frame. Before it: listener.ts; after it: http/door.ts, which says who listens.
import { closeReason } from './close-reason.ts';
import { FRAME_TOO_LARGE, frameReadMax, frameSizeFault } from './frame-size.ts';
import { type Defer, refuseHead, uwsRequest, writeHead } from './listener-head.ts';
import { framingFault, handshakeFault } from './request-head.ts';
import type {
  HttpRequest,
  SocketConnection,
  SocketEvents,
  TransportBounds,
  TransportHandlers,
} from './transport.ts';
import type { uws } from './uws-binary.ts';

const COMPRESSION_DISABLED = 0; // uWS.DISABLED, which the repack's types declare as a type only

export interface SocketData {
  readonly request: HttpRequest;
  readonly open: (connection: SocketConnection) => SocketEvents;
  connection: Connection | null;
  events: SocketEvents | null; // null before open() has returned and after the close
  closeCode: number | null;
}

interface SocketParts {
  readonly bounds: TransportBounds;
  readonly handlers: TransportHandlers;
  readonly defer: Defer;
}

export function socketBehavior({ bounds, handlers, defer }: SocketParts): uws.WebSocketBehavior<SocketData> {
  return {
    maxPayloadLength: frameReadMax(bounds.frameSizeMax),
    maxBackpressure: bounds.sendBufferSizeMax,
    closeOnBackpressureLimit: true,
    idleTimeout: bounds.idleTimeoutSeconds,
    sendPingsAutomatically: true,
    maxLifetime: 0,
    compression: COMPRESSION_DISABLED, // loopback has bandwidth; a compressor per socket costs 256 KiB and time per token
    upgrade: (res, req, context) => upgrade({ res, req, context, handlers, defer }),
    open: (ws) => {
      const data = ws.getUserData();
      data.connection = new Connection(ws, data.request);
      data.events = data.open(data.connection);
      if (data.closeCode !== null) tellClosed(data, data.closeCode); // closed by open() itself
    },
    message: (ws, message, isBinary) => {
      const data = ws.getUserData();
      const refused = frameSizeFault(message.byteLength, bounds.frameSizeMax);
      if (refused === null) data.events?.onMessage(new Uint8Array(message), isBinary);
      else data.connection?.close(FRAME_TOO_LARGE, refused);
    },
    drain: (ws) => ws.getUserData().events?.onWritable(),
    close: (ws, code) => {
      const data = ws.getUserData();
      data.connection?.closed();
      data.closeCode = code;
      tellClosed(data, code);
    },
  };
}

function tellClosed(data: SocketData, code: number): void {
  const events = data.events;
  data.events = null;
  events?.onClose(code);
}

function upgrade(on: {
  res: uws.HttpResponse;
  req: uws.HttpRequest;
  context: uws.us_socket_context_t;
  handlers: TransportHandlers;
  defer: Defer;
}): void {
  const { res, req, context } = on;
  const request = uwsRequest(res, req);
  const unfit = framingFault(request) ?? handshakeFault(request);
  if (unfit !== null) {
    refuseHead(res, unfit, on.defer);
    return;
  }
  res.onAborted(() => {}); // everything below happens in this stack
  const decision = on.handlers.onUpgrade(request);
  res.cork(() => {
    if (!decision.accept) {
      writeHead(res, decision.status, decision.headers);
      res.end(decision.body, true);
      return;
    }
    const data: SocketData = {
      request,
      open: decision.open,
      connection: null,
      events: null,
      closeCode: null,
    };
    const key = request.header('sec-websocket-key');
    const extensions = request.header('sec-websocket-extensions');
    res.upgrade(data, key, decision.protocol ?? '', extensions, context);
  });
}

class Connection implements SocketConnection {
  readonly request: HttpRequest;
  #ws: uws.WebSocket<SocketData> | null;

  constructor(ws: uws.WebSocket<SocketData>, request: HttpRequest) {
    this.#ws = ws;
    this.request = request;
  }

  get bufferedBytes(): number {
    return this.#ws?.getBufferedAmount() ?? 0;
  }

  send(frame: string | Uint8Array): boolean {
    if (this.#ws === null) return false;
    return this.#ws.send(frame, typeof frame !== 'string', false) === 1;
  }

  close(code: number, reason: string): void {
    const ws = this.#ws;
    if (ws === null) return;
    this.#ws = null;
    ws.end(code, closeReason(reason)); // calls the close handler before it returns
  }

  closed(): void {
    this.#ws = null;
  }
}
