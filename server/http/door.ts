// The door of the server: route table, guard, connection bound, measuring, and the answers for what no route takes.
// Never knows what a route does. Before it: the transport; after it: the dialects and native/connection.ts.
import type { Clock } from '../../kernels/clock.ts';
import { contained } from '../base/contained.ts';
import { ERRORS, errorEnvelope, type Fault, fault } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { NOBODY } from '../base/owner.ts';
import { INTERNAL } from '../engine/request.ts';
import type {
  HttpExchange,
  HttpRequest,
  SocketConnection,
  SocketEvents,
  TransportHandlers,
  UpgradeDecision,
} from '../listeners/transport.ts';
import type { ServerMetrics } from '../metrics/metrics.ts';
import type { LongTexts } from '../text/long-texts.ts';
import type { TrustedProxies } from './forwarded.ts';
import { type Admission, type Guard, presentedKey } from './guard.ts';
import { type CallParts, HttpCall } from './http-call.ts';
import { matchesPath, pathParameters } from './path-pattern.ts';
import type { Route } from './route.ts';

export interface SocketRoute {
  readonly path: string;
  readonly keyFollows: boolean; // its first frame may bring the key that the upgrade did not
  readonly switchedOff?: Fault; // every upgrade is refused with it
  /**
   * `owner` is null where a key is needed and the upgrade brought none: the first frame must bring it. `admitted` is
   * to be called once it has.
   */
  readonly open: (
    connection: SocketConnection,
    owner: string | null,
    admitted: () => void,
    request: HttpRequest,
  ) => SocketEvents;
  /** Whether this upgrade is refused, for whoever may ask for one. */
  readonly refusal?: (request: HttpRequest) => Fault | null;
}

export interface DoorParts {
  readonly guard: Guard;
  readonly proxies: TrustedProxies;
  readonly bodySizeMax: number;
  readonly bodyValuesMax: number;
  readonly connectionCountMax: number;
  readonly ungreetedSocketCountMax: number;
  readonly clock: Clock;
  readonly freshId: () => string;
  readonly log: Log;
  readonly metrics: ServerMetrics;
  readonly texts: LongTexts;
}

const UNMATCHED = 'unmatched'; // route label of whatever callers make up
const CHALLENGE = { 'www-authenticate': 'Bearer' };
const SERVER_FAULT = 1011; // RFC 6455 section 7.4.1
const RETRY_AFTER_MS = 1000; // when all connections are taken
const PREFLIGHT_HEADERS = {
  'access-control-allow-methods': 'GET, POST, DELETE',
  'access-control-allow-headers': '*, authorization',
  'access-control-max-age': '600',
};

export class HttpDoor implements TransportHandlers {
  readonly #parts: DoorParts;
  readonly #callParts: CallParts;
  readonly #routes: readonly Route[];
  readonly #socketRoutes: readonly SocketRoute[];
  readonly #sockets = new Set<SocketConnection>(); // bounded with #callCount by connectionCountMax
  readonly #ungreeted = new Set<SocketConnection>(); // those of them whose key is still to come
  readonly #idleCallbacks: (() => void)[] = [];
  #callCount = 0;

  constructor(parts: DoorParts, routes: readonly Route[], socketRoutes: readonly SocketRoute[]) {
    this.#parts = parts;
    this.#routes = routes;
    this.#socketRoutes = socketRoutes;
    this.#callParts = {
      clock: parts.clock,
      bodySizeMax: parts.bodySizeMax,
      bodyValuesMax: parts.bodyValuesMax,
      texts: parts.texts,
      onEnd: (call, status, durationMs) => this.#onEnd(call, status, durationMs),
      onCrash: ({ facts: { id, route } }, err) => parts.log.error('a route failed', { id, route, err }),
    };
  }

  onRequest(exchange: HttpExchange): void {
    contained(
      () => this.#onRequest(exchange),
      (err) => {
        this.#parts.log.error('a request failed', { err });
        const { status } = ERRORS.internal_error;
        const body = JSON.stringify(errorEnvelope(fault('internal_error', INTERNAL)));
        exchange.respond(status, { 'content-type': 'application/json' }, body);
      },
    );
  }

  #onRequest(exchange: HttpExchange): void {
    const { request } = exchange;
    const { guard, freshId, metrics } = this.#parts;
    const path = this.#homeOf(request.path);
    const route = this.#routeOf(request, path);
    const admission = admissionTo(route, request, guard);
    const full = this.#fullFault(); // before this call counts itself
    const id = `req_${freshId()}`;
    this.#callCount++;
    metrics.onConnection('http', 1);
    const call = new HttpCall(this.#callParts, exchange, {
      id,
      route: route?.path ?? UNMATCHED,
      owner: admission.ok ? admission.owner : NOBODY,
      parameters: route === null ? [] : pathParameters(route.path, path),
      headers: {
        'x-request-id': id,
        ...(route?.idHeader !== undefined && { [route.idHeader]: id }),
        ...guard.corsHeaders(request),
      },
      errorBody: (refused) => (route?.errorBody ?? errorEnvelope)(refused, id),
      errorStatus: route?.errorStatus ?? (({ code }) => ERRORS[code].status),
      errorEvent: route?.errorEvent ?? null,
    });
    // A preflight carries no key by design; what it says is no secret.
    if (request.method === 'OPTIONS' && guard.strangerFault(request) === null) {
      call.replyText(204, '', PREFLIGHT_HEADERS);
    } else if (!admission.ok) {
      call.refuse(admission.fault, admission.fault.code === 'invalid_api_key' ? CHALLENGE : {});
    } else if (full !== null && !route?.open && !route?.whenFull) call.refuse(full);
    else if (route !== null) call.guard(() => route.answer(call));
    else this.#answerUnrouted(call, path);
  }

  onUpgrade(request: HttpRequest): UpgradeDecision {
    try {
      return this.#decide(request);
    } catch (err) {
      this.#parts.log.error('an upgrade failed', { err });
      return refusedUpgrade(fault('internal_error', INTERNAL));
    }
  }

  #decide(request: HttpRequest): UpgradeDecision {
    const home = this.#homeOf(request.path);
    const route = this.#socketRoutes.find(({ path }) => path === home);
    if (route === undefined) return refusedUpgrade(fault('not_found', `no WebSocket at ${request.path}`));
    if (route.switchedOff !== undefined) return refusedUpgrade(route.switchedOff);
    const { guard } = this.#parts;
    // A page or a library that cannot set headers may bring its key in the first frame.
    const keyFollows = route.keyFollows && guard.keyNeeded && presentedKey(request) === null;
    const admission = keyFollows ? null : guard.admit(request);
    if (admission !== null && !admission.ok) return refusedUpgrade(admission.fault);
    const full = this.#fullFault() ?? (keyFollows ? this.#ungreetedFault() : null);
    const unfit = full ?? (keyFollows ? null : (route.refusal?.(request) ?? null));
    if (unfit !== null) return refusedUpgrade(unfit);
    const owner = admission === null ? null : admission.owner;
    return {
      accept: true,
      protocol: null,
      open: (connection) => this.#openSocket(route, connection, { owner, request }),
    };
  }

  /** Calls back once no call is open; at once if none is. */
  whenIdle(fn: () => void): void {
    if (this.#callCount === 0) fn();
    else this.#idleCallbacks.push(fn);
  }

  closeSockets(code: number, reason: string): void {
    for (const socket of [...this.#sockets]) socket.close(code, reason);
  }

  /**
   * The path as the routes spell it. Base URLs are given with `/v1` and without: a path that is here only with it, or
   * only without, is that one.
   */
  #homeOf(path: string): string {
    const tidy = tidyPath(path);
    const spellings = [tidy, `/v1${tidy}`, tidy.replace(/^\/v1(?=\/)/, '')];
    const isHere = (spelling: string): boolean =>
      this.#routes.some((route) => matchesPath(route.path, spelling)) ||
      this.#socketRoutes.some((route) => route.path === spelling);
    return spellings.find(isHere) ?? tidy;
  }

  #routeOf(request: HttpRequest, path: string): Route | null {
    const wanted = request.method === 'HEAD' ? 'GET' : request.method;
    const isHere = (route: Route): boolean => route.method === wanted && matchesPath(route.path, path);
    const special = this.#routes.find((route) => route.onlyFor?.(request) && isHere(route));
    return special ?? this.#routes.find((route) => route.onlyFor === undefined && isHere(route)) ?? null;
  }

  #answerUnrouted(call: HttpCall, path: string): void {
    const { method } = call.request;
    const allowed = this.#routes
      .filter((route) => route.onlyFor === undefined && matchesPath(route.path, path))
      .map((route) => route.method);
    if (allowed.length > 0) {
      const message = `${path} takes ${allowed.join(' or ')}, not ${method}`;
      call.refuse(fault('method_not_allowed', message), { allow: allowed.join(', ') });
    } else if (this.#socketRoutes.some((route) => route.path === path)) {
      const message = `${path} is a WebSocket; ask for an upgrade`;
      call.refuse(fault('upgrade_required', message), { upgrade: 'websocket' });
    } else call.refuse(fault('not_found', `there is nothing at ${path}`));
  }

  #openSocket(
    route: SocketRoute,
    connection: SocketConnection,
    { owner, request }: { readonly owner: string | null; readonly request: HttpRequest },
  ): SocketEvents {
    const { metrics, log, clock } = this.#parts;
    this.#sockets.add(connection);
    metrics.onConnection('websocket', 1);
    if (owner === null) this.#ungreeted.add(connection);
    const greeted = () => void this.#ungreeted.delete(connection);
    let events: SocketEvents | null = null;
    const contain = (act: () => void) =>
      contained(act, (err) => {
        log.error('a socket failed', { path: route.path, err });
        clock.defer(() => connection.close(SERVER_FAULT, INTERNAL)); // it may be about to open
      });
    contain(() => {
      events = route.open(connection, owner, greeted, request);
    });
    return {
      onMessage: (frame, isBinary) => contain(() => events?.onMessage(frame, isBinary)),
      onWritable: () => contain(() => events?.onWritable()),
      onClose: (code) => {
        this.#sockets.delete(connection);
        this.#ungreeted.delete(connection);
        metrics.onConnection('websocket', -1);
        contain(() => events?.onClose(code));
      },
    };
  }

  #fullFault(): Fault | null {
    const { connectionCountMax } = this.#parts;
    if (this.#callCount + this.#sockets.size < connectionCountMax) return null;
    const message = `${connectionCountMax} requests and sockets are open, as many as may be (--connections)`;
    return fault('connection_limit', message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #ungreetedFault(): Fault | null {
    const { ungreetedSocketCountMax } = this.#parts;
    if (this.#ungreeted.size < ungreetedSocketCountMax) return null;
    const message = `${ungreetedSocketCountMax} sockets without a key are open, as many as may be (--ungreeted-sockets): bring it with the upgrade`;
    return fault('connection_limit', message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #onEnd(call: HttpCall, status: number, durationMs: number): void {
    const { log, metrics, proxies } = this.#parts;
    const { id, route, owner } = call.facts;
    this.#callCount--; // first: whatever is wrong below, its place is free
    metrics.onConnection('http', -1);
    metrics.onHttpAnswer({ route, status, durationMs });
    const { method } = call.request;
    const client = proxies.clientOf(call.request);
    log.debug('answered', { id, method, route, status, durationMs, owner, client });
    if (this.#callCount > 0) return;
    for (const fn of this.#idleCallbacks.splice(0)) fn();
  }
}

function admissionTo(route: Route | null, request: HttpRequest, guard: Guard): Admission {
  if (route?.open) return { ok: true, owner: NOBODY };
  return route?.admin ? guard.admitAdmin(request) : guard.admit(request);
}

/** A base URL with a slash at its end makes `//v1/models`, and some clients end every path with one. */
function tidyPath(path: string): string {
  return path.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
}

function refusedUpgrade(refused: Fault): UpgradeDecision {
  const headers = { 'content-type': 'application/json' };
  const { status } = ERRORS[refused.code];
  return { accept: false, status, headers, body: JSON.stringify(errorEnvelope(refused)) };
}
