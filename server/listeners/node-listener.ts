// node:http and ws as a Transport, for Nodes and systems that no binary of uWebSockets.js fits. Owns the port, who is
// answered on which connection, and the refusals of what never becomes a request. Never looks into a body. After it: app.ts.
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock, Timer } from '../../kernels/clock.ts';
import { fault } from '../base/errors.ts';
import { bindFault } from './bind-fault.ts';
import { frameReadMax } from './frame-size.ts';
import { NodeExchange } from './node-exchange.ts';
import {
  answerRaw,
  headFault,
  hostFault,
  nodeRequest,
  type RawAnswer,
  rawAnswerOf,
  versionFault,
  withoutUpgrade,
} from './node-head.ts';
import { NodeSocket, pingRounds } from './node-socket.ts';
import { framingFault, handshakeFault } from './request-head.ts';
import type {
  HttpRequest,
  Transport,
  TransportBounds,
  TransportHandlers,
  UpgradeDecision,
} from './transport.ts';

// As uWebSockets.js has them: a connection between requests, and one whose head does not come to its end.
const IDLE_MS = 10_000;
const LOOK_MS = 5000; // how often node:http looks for the latter

/** What later Nodes know beside the options that all do. */
interface LaterOptions extends ServerOptions {
  readonly shouldUpgradeCallback: (message: IncomingMessage) => boolean; // 24.9; before it withoutUpgrade does that
}

export class NodeListener implements Transport {
  readonly #bounds: TransportBounds;
  readonly #clock: Clock;
  readonly #sockets = new Set<NodeSocket>();
  readonly #exchanges = new WeakMap<Socket, Set<NodeExchange>>(); // of each connection, not yet through
  readonly #refused = new WeakSet<Socket>(); // nothing that comes behind is heard
  #server: Server | null = null;
  #upgrader: WebSocketServer | null = null;
  #pings: Timer | null = null;

  constructor(bounds: TransportBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  async listen(host: string, port: number, handlers: TransportHandlers): Promise<{ readonly port: number }> {
    if (this.#server !== null) throw new Error('this listener has been used');
    const { frameSizeMax, headerSizeMax, idleTimeoutSeconds } = this.#bounds;
    const options: LaterOptions = {
      maxHeaderSize: headerSizeMax,
      headersTimeout: IDLE_MS,
      keepAliveTimeout: IDLE_MS,
      connectionsCheckingInterval: LOOK_MS,
      requireHostHeader: false, // hostFault says it in JSON
      shouldUpgradeCallback: isForWebSocket,
    };
    const server = createServer(options);
    this.#server = server;
    server.maxHeadersCount = 0; // bounded by their bytes; past a count node:http would drop them silently
    this.#upgrader = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: frameReadMax(frameSizeMax),
      perMessageDeflate: false, // loopback has bandwidth; a compressor per socket costs memory and time per token
      handleProtocols: () => false,
    });
    server.on('request', (message, response) => this.#answer(message, response, handlers));
    server.on('upgrade', (message, socket, rest) => this.#upgrade(message, socket as Socket, rest, handlers));
    server.on('clientError', (error, socket) => this.#refuse(error, socket as Socket));
    const address = host.replace(/^\[(.*)\]$/, '$1'); // [::1] in a URL is ::1 to the resolver
    await this.#bind(server, address, port);
    this.#pings = pingRounds(this.#sockets, idleTimeoutSeconds, this.#clock);
    return { port: (server.address() as AddressInfo).port };
  }

  stopListening(): void {
    this.#server?.close();
  }

  close(): void {
    this.#pings?.cancel();
    this.#server?.close();
    this.#server?.closeAllConnections();
    for (const socket of [...this.#sockets]) socket.terminate();
  }

  #bind(server: Server, host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', () => {
        bindFault(host, port).then((reason) => reject(new Error(reason)), reject);
      });
      server.listen({ host, port, exclusive: true }, () => {
        server.on('error', () => {}); // no descriptor is left for a connection; cli/descriptors.ts tells
        resolve();
      });
    });
  }

  #answer(message: IncomingMessage, response: ServerResponse, handlers: TransportHandlers): void {
    const { socket } = message;
    if (this.#refused.has(socket)) return;
    const request = nodeRequest(message);
    const exchange = new NodeExchange(message, response, request, {
      sendBufferSizeMax: this.#bounds.sendBufferSizeMax,
      clock: this.#clock,
    });
    const unhandshaken = isForWebSocket(message) ? handshakeFault(request) : null; // else it came as an upgrade
    const unfit =
      versionFault(message) ?? hostFault(message, request) ?? framingFault(request) ?? unhandshaken;
    if (unfit !== null) {
      this.#refused.add(socket);
      const { status, headers, body } = rawAnswerOf(unfit);
      exchange.respond(status, { ...headers, connection: 'close' }, body);
      return;
    }
    const others = this.#exchanges.get(socket) ?? new Set();
    this.#exchanges.set(socket, others.add(exchange));
    response.on('close', () => others.delete(exchange));
    handlers.onRequest(exchange);
  }

  #upgrade(message: IncomingMessage, socket: Socket, rest: Buffer, handlers: TransportHandlers): void {
    if (this.#refused.has(socket)) return;
    if (!isForWebSocket(message)) {
      // Clients of HTTP/2 ask whether it is spoken; the answer may be one of HTTP/1.1 (RFC 9110, 7.8).
      socket.unshift(withoutUpgrade(message, rest));
      this.#server?.emit('connection', socket);
      return;
    }
    const request = nodeRequest(message);
    const unfit = framingFault(request) ?? handshakeFault(request) ?? keyFault(message, request);
    if (unfit !== null) {
      this.#close(socket, rawAnswerOf(unfit));
      return;
    }
    const decision = handlers.onUpgrade(request);
    if (!decision.accept) {
      this.#close(socket, decision);
      return;
    }
    this.#upgrader!.options.handleProtocols = () => decision.protocol ?? false; // asked for within the next call
    this.#upgrader!.handleUpgrade(message, socket, rest, (ws) => this.#open(ws, socket, request, decision));
  }

  #open(
    ws: WebSocket,
    socket: Socket,
    request: HttpRequest,
    { open }: Extract<UpgradeDecision, { accept: true }>,
  ): void {
    const { frameSizeMax, sendBufferSizeMax } = this.#bounds;
    const opened = new NodeSocket({ ws, socket, request, open, frameSizeMax, sendBufferSizeMax });
    this.#sockets.add(opened);
    socket.on('close', () => this.#sockets.delete(opened));
  }

  /** Bytes that are no request. Where an earlier one still waits for its answer, theirs would be taken for it. */
  #refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    if (this.#refused.has(socket)) return;
    const refused = headFault(error, this.#bounds.headerSizeMax);
    const earlier = [...(this.#exchanges.get(socket) ?? [])];
    const answer = () => {
      const awaited = earlier.some((exchange) => exchange.awaited);
      if (refused === null || !socket.writable || awaited) socket.destroy();
      else this.#close(socket, rawAnswerOf(refused));
    };
    this.#refused.add(socket);
    if (earlier.some((exchange) => exchange.awaited))
      this.#clock.defer(answer); // it may come in this turn
    else answer();
  }

  #close(socket: Socket, answer: RawAnswer): void {
    this.#refused.add(socket);
    answerRaw(socket, answer, this.#clock);
  }
}

function isForWebSocket({ headers }: IncomingMessage): boolean {
  return headers['sec-websocket-key'] !== undefined;
}

function keyFault({ method }: IncomingMessage, { header }: HttpRequest) {
  if (method !== 'GET') return fault('method_not_allowed', 'a WebSocket is asked for with GET');
  if (/^[+/0-9A-Za-z]{22}==$/.test(header('sec-websocket-key'))) return null;
  return fault('invalid_request', 'sec-websocket-key: must be 16 bytes in base64');
}
