// Which model answers: the one that a request names, in its body, its query or its first frame, else the server's own. Owns
// that it is in memory until its answer is over, and what a caller sees meanwhile. Before it: app.ts; after it: the door of
// the model that was chosen.
import type { Clock, Timer } from '../../kernels/clock.ts';
import { fault } from '../base/errors.ts';
import { parseJson } from '../base/json-body.ts';
import { modelFault, type NamedModel } from '../chat/model-name.ts';
import type { SocketRoute } from '../http/door.ts';
import type { HttpCall, StreamFraming } from '../http/http-call.ts';
import type { Route } from '../http/route.ts';
import type { HttpRequest, SocketEvents } from '../listeners/transport.ts';
import { keepAliveField, keepAliveMs } from '../shelf/keep-alive.ts';
import type { Resident, Shelf } from '../shelf/shelf.ts';
import type { Catalogue, CatalogueEntry } from './catalogue.ts';

export interface ChoiceParts {
  readonly catalogue: Catalogue;
  readonly shelf: Pick<Shelf, 'use' | 'unload'>;
  readonly own: Resident | null; // of the server's own model; null: it is always in memory
  readonly ownModel: NamedModel;
  readonly clock: Clock;
  readonly valuesMax: number; // of a frame
}

// Routes whose answers are drawn: the model has to be in memory. All others answer from its files.
const DRAWING: ReadonlySet<string> = new Set([
  ...[
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/responses',
    '/v1/messages',
    '/api/chat',
    '/api/generate',
  ],
  ...['/completion', '/infill', '/v1/fim/completions', '/v1/responses/compact'],
]);
const LINES: ReadonlySet<string> = new Set(['/api/chat', '/api/generate']);
const HOLD_MS = 300; // a model that is there sooner is answered with a status of its own
const BEAT_MS = 10_000;

/** `own`: the routes of the server's own model. */
export function choosingRoutes(own: readonly Route[], parts: ChoiceParts): readonly Route[] {
  return own.map((route) => {
    if (route.method === 'POST' && route.about.body !== undefined)
      return {
        ...route,
        answer: (call) =>
          call.peekJson((body) => answerBody(call, route, body.ok ? body.value : null, parts)),
      };
    if (route.path !== '/props' && route.path !== '/slots') return route;
    return {
      ...route,
      answer: (call) => {
        const asked = new URLSearchParams(call.request.query).get('model');
        const entry = asked === null ? null : parts.catalogue.find(asked);
        if (entry === null) route.answer(call);
        else answerAt(call, route, entry, parts);
      },
    };
  });
}

interface Asked {
  readonly model?: unknown;
  readonly name?: unknown; // Ollama's older spelling
  readonly stream?: unknown;
  readonly keep_alive?: unknown;
  readonly prompt?: unknown;
  readonly suffix?: unknown;
  readonly messages?: unknown;
}

function answerBody(call: HttpCall, route: Route, value: unknown, parts: ChoiceParts): void {
  const { catalogue, own } = parts;
  const asked: Asked = typeof value === 'object' && value !== null ? value : {};
  const name = typeof asked.model === 'string' && asked.model !== '' ? asked.model : asked.name;
  const entry = typeof name === 'string' ? catalogue.find(name) : null;
  const unreadable = entry === null && typeof name === 'string' ? catalogue.unreadableFault(name) : null;
  const keepAlive = keepAliveField.safeParse(asked.keep_alive);
  if (unreadable !== null) call.refuse(unreadable);
  else if (!keepAlive.success) {
    const message = `keep_alive: ${keepAlive.error.issues[0]!.message}`;
    call.refuse(fault('invalid_request', message, { param: 'keep_alive' }));
  } else {
    const resident = entry?.resident ?? own;
    const answer = () => {
      if (entry === null) call.guard(() => route.answer(call));
      else answerAt(call, route, entry, parts);
    };
    if (resident === null || !DRAWING.has(route.path)) answer();
    else
      loadAndAnswer(
        call,
        { route, asked, resident, keepAliveMs: keepAliveMs(keepAlive.data), answer },
        parts,
      );
  }
}

function answerAt(
  call: HttpCall,
  { method, path }: Route,
  entry: CatalogueEntry,
  { catalogue }: ChoiceParts,
): void {
  const door = catalogue.doorOf(entry);
  if (!door.ok) {
    call.refuse(door.fault);
    return;
  }
  const { routes, texts } = door.value;
  const route = routes.find((one) => one.method === method && one.path === path);
  const { name, kind } = entry.listed;
  if (route === undefined) {
    const does =
      kind === 'encoder' ? 'makes embeddings and writes no text: POST /v1/embeddings' : 'does not do this';
    call.refuse(fault('unsupported', `${name} ${does}`, { param: 'model' }));
    return;
  }
  if (texts !== null) call.takeTexts(texts);
  call.guard(() => route.answer(call));
}

interface Wish {
  readonly route: Route;
  readonly asked: Asked;
  readonly resident: Resident;
  readonly keepAliveMs: number | null | undefined;
  readonly answer: () => void;
}

function loadAndAnswer(call: HttpCall, wish: Wish, { shelf, clock }: ChoiceParts): void {
  const { route, asked, resident, answer } = wish;
  const isLines = LINES.has(route.path);
  // Ollama's way to unload a model: nothing to answer, and nothing to keep.
  if (isLines && wish.keepAliveMs === 0 && !asked.prompt && !asked.suffix && !hasMessages(asked)) {
    void shelf.unload(resident).then(answer);
    return;
  }
  const streams = isLines ? asked.stream !== false : asked.stream === true;
  const waiting = streams ? holdAfter(call, isLines ? 'lines' : 'events', clock) : null;
  const options = {
    ...(wish.keepAliveMs !== undefined && { keepAliveMs: wish.keepAliveMs }),
    onProgress: (progress: string) => call.beat(`${resident.name}: ${progress}`),
  };
  void shelf.use(resident, options).then((used) => {
    waiting?.cancel();
    if (!used.ok) {
      call.refuse(used.fault);
      return;
    }
    const { loadMs, release } = used.value;
    call.onOver(release); // at once where its caller has gone
    if (loadMs >= 1) call.addHeader('x-sparklane-load-ms', `${Math.round(loadMs)}`);
    if (!call.over) answer();
  });
}

function hasMessages({ messages }: Asked): boolean {
  return Array.isArray(messages) && messages.length > 0;
}

/** A stream that waits is begun after a while, and shows signs of life. */
function holdAfter(call: HttpCall, framing: StreamFraming, clock: Clock): Timer {
  let timer = clock.schedule(HOLD_MS, function beat() {
    call.hold(framing);
    call.beat('loading the model');
    timer = clock.schedule(BEAT_MS, beat);
  });
  return { cancel: () => timer.cancel() };
}

/** Sockets of the model that the upgrade's query names, or for JSON frames the first one. */
export function choosingSockets(own: readonly SocketRoute[], parts: ChoiceParts): readonly SocketRoute[] {
  const { catalogue } = parts;
  const namedBy = ({ query }: HttpRequest) => new URLSearchParams(query).get('model');
  return own.map((route) => ({
    ...route,
    refusal(request) {
      const asked = namedBy(request);
      const entry = asked === null ? null : catalogue.find(asked);
      if (asked === null) return null;
      if (entry === null) return catalogue.unreadableFault(asked) ?? modelFault(asked, parts.ownModel);
      const door = catalogue.doorOf(entry);
      if (!door.ok) return door.fault;
      const isThere = door.value.sockets.some(({ path }) => path === route.path);
      return isThere ? null : fault('unsupported', `${asked} has no socket of this kind`, { param: 'model' });
    },
    open(connection, owner, admitted, request) {
      const asked = namedBy(request);
      const open = (name: string | null) =>
        (socketOf(name, route.path, catalogue) ?? route).open(connection, owner, admitted, request);
      if (asked !== null || route.keyFollows) return open(asked);
      return new FirstFrame((frame) => open(modelOf(frame, parts.valuesMax)));
    },
  }));
}

function socketOf(name: string | null, path: string, catalogue: Catalogue): SocketRoute | null {
  const entry = name === null ? null : catalogue.find(name);
  const door = entry === null ? null : catalogue.doorOf(entry);
  return door?.ok ? (door.value.sockets.find((route) => route.path === path) ?? null) : null;
}

function modelOf(frame: Uint8Array, valuesMax: number): string | null {
  const value = parseJson(frame, valuesMax);
  const model = value.ok ? (value.value as { readonly model?: unknown } | null)?.model : null;
  return typeof model === 'string' ? model : null;
}

/** A socket whose first frame says which model it talks to. */
class FirstFrame implements SocketEvents {
  readonly #open: (frame: Uint8Array) => SocketEvents;
  #events: SocketEvents | null = null;

  constructor(open: (frame: Uint8Array) => SocketEvents) {
    this.#open = open;
  }

  onMessage(frame: Uint8Array, isBinary: boolean): void {
    this.#events ??= this.#open(frame);
    this.#events.onMessage(frame, isBinary);
  }

  onWritable(): void {
    this.#events?.onWritable();
  }

  onClose(code: number): void {
    this.#events?.onClose(code);
  }
}
