// ResponsesSocket: one connection in WebSocket mode (GET /v1/responses, upgraded). Owns frames in and out, the table of
// lanes and its bounds, the age of the connection and its slow reader; a socket that is gone cancels all its work.
// Before it: app.ts mounts it; after it: socket-lane.ts.
import type { Timer } from '../../kernels/clock.ts';
import { type Fault, fault } from '../base/errors.ts';
import { checkJson, parseJson } from '../base/json-body.ts';
import type { SocketConnection, SocketEvents } from '../listeners/transport.ts';
import type { ResponseEvent } from './events.ts';
import { errorEvent } from './faults.ts';
import { type Item, itemsOf } from './items.ts';
import type { ResponsesService } from './responses-service.ts';
import {
  createFrameSchema,
  frameHeadSchema,
  resumeFrameSchema,
  STREAM_ID,
  steerFrameSchema,
} from './schema.ts';
import { type LaneHost, SocketLane } from './socket-lane.ts';
import { SocketResume } from './socket-resume.ts';
import { steerItems } from './steering.ts';

// OpenAI's bounds of a connection.
const RESPONSES_MAX = 16; // being written at the same time; more wait
const NAMED_LANES_MAX = 32;
const QUEUED_MAX = 64; // ours: turns that wait, of all lanes
const RETRY_AFTER_MS = 1000;
const MALFORMED_FRAMES_MAX = 8; // then the connection is closed: its peer speaks something else
const NORMAL_CLOSURE = 1000; // RFC 6455 section 7.4.1
const INVALID_PAYLOAD = 1007;

export function openResponsesSocket(
  service: ResponsesService,
): (connection: SocketConnection, owner: string | null) => SocketEvents {
  const schema = createFrameSchema(service.bounds);
  // The route takes no upgrade without its key, so there is an owner.
  return (connection, owner) => new ResponsesSocket(service, schema, connection, owner ?? '');
}

class ResponsesSocket implements SocketEvents, LaneHost {
  readonly owner: string;
  readonly service: ResponsesService;
  readonly #schema: ReturnType<typeof createFrameSchema>;
  readonly #socket: SocketConnection;
  readonly #lanes = new Map<string | null, SocketLane>(); // null: the lane of frames without a stream_id
  readonly #resumes = new Set<SocketResume>();
  readonly #ageTimer: Timer;
  #aged = false;
  #closed = false;
  #slow = false;
  #queuedSize = 0; // bytes of waiting frames
  #malformedCount = 0;

  constructor(
    service: ResponsesService,
    schema: ReturnType<typeof createFrameSchema>,
    socket: SocketConnection,
    owner: string,
  ) {
    this.service = service;
    this.owner = owner;
    this.#schema = schema;
    this.#socket = socket;
    this.#ageTimer = service.clock.schedule(service.socket.ageMaxMs, () => {
      this.#aged = true;
      this.#closeIfDone();
    });
  }

  onMessage(frame: Uint8Array, isBinary: boolean): void {
    if (this.#closed) return;
    const value = isBinary ? BINARY_FRAME : parseJson(frame, this.service.socket.valuesMax);
    const head = value.ok ? checkJson(value.value, frameHeadSchema) : value;
    if (!head.ok) {
      this.#sendError(head.fault, null);
      if (++this.#malformedCount >= MALFORMED_FRAMES_MAX) this.#close(INVALID_PAYLOAD, 'not JSON');
      return;
    }
    const { type, stream_id: streamId } = head.value as { type: string; stream_id?: unknown };
    if (type === 'response.create') this.#onCreate(head.value, streamId ?? null, frame.length);
    else if (type === 'response.steer') this.#onSteer(head.value);
    else if (type === 'response.resume') this.#onResume(head.value, streamId ?? null);
    else {
      const message = `type: response.create, response.steer and response.resume are known, not ${JSON.stringify(type.slice(0, 64))}`;
      this.#sendError(fault('invalid_request', message, { param: 'type' }), null);
    }
  }

  onWritable(): void {
    if (!this.#slow || this.#socket.bufferedBytes >= this.service.socket.bufferSizeMax) return;
    this.#slow = false;
    for (const lane of this.#lanes.values()) lane.resume();
    for (const resume of [...this.#resumes]) resume.pump();
  }

  onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ageTimer.cancel();
    for (const lane of this.#lanes.values()) lane.close();
    this.#lanes.clear();
    for (const resume of this.#resumes) resume.close();
    this.#resumes.clear();
  }

  send(event: ResponseEvent | object, { streamId }: SocketLane): void {
    const json = 'json' in event ? event.json : JSON.stringify(event);
    this.#write(streamId === null ? json : `${json.slice(0, -1)},"stream_id":${JSON.stringify(streamId)}}`);
  }

  refuse(refused: Fault, { streamId }: SocketLane): void {
    this.#sendError(refused, streamId);
  }

  remembered(id: string): readonly Item[] | null {
    for (const lane of this.#lanes.values()) {
      const conversation = lane.remembered(id);
      if (conversation !== null) return conversation;
    }
    return null;
  }

  onFree(): void {
    // Not in the caller's stack: its lane is in the middle of its own ending.
    this.service.clock.defer(() => this.#startWaiting());
  }

  #onCreate(value: unknown, streamId: unknown, size: number): void {
    const lane = this.#laneOf(streamId);
    if (!(lane instanceof SocketLane)) {
      this.#sendError(lane, null);
      return;
    }
    const request = checkJson(value, this.#schema);
    const refused = request.ok ? this.#crowdFault(size) : request.fault;
    if (refused !== null) this.#sendError(refused, lane.streamId);
    else if (request.ok) {
      this.#queuedSize += size;
      lane.enqueue({ request: request.value, size, from: null });
      this.#startWaiting();
    }
  }

  #onSteer(value: unknown): void {
    const frame = checkJson(value, steerFrameSchema);
    if (!frame.ok) {
      this.#sendError(frame.fault, null);
      return;
    }
    const { previous_response_id: responseId, input } = frame.value;
    const { freshId } = this.service;
    const items = steerItems(itemsOf(input, freshId));
    const target = [...this.#lanes.values()].find((lane) => lane.takesSteer(responseId));
    const ended = [...this.#lanes.values()].find((lane) => lane.remembered(responseId) !== null);
    if (target !== undefined && items !== null) {
      target.steer({ id: `steer_${freshId()}`, responseId, input, items });
      return;
    }
    const error =
      items === null
        ? ({ code: 'invalid_input', message: 'input: a text or messages of the user are expected' } as const)
        : ended === undefined
          ? ({ code: 'response_not_found', message: `no response ${responseId} on this connection` } as const)
          : ({ code: 'response_already_ended', message: `${responseId} has ended` } as const);
    const lane = target ?? ended ?? new SocketLane(this, null);
    lane.failSteer({ id: null, responseId, input }, error);
  }

  #onResume(value: unknown, streamId: unknown): void {
    const lane = this.#laneOf(streamId);
    const frame = checkJson(value, resumeFrameSchema);
    if (!(lane instanceof SocketLane)) this.#sendError(lane, null);
    else if (!frame.ok) this.#sendError(frame.fault, lane.streamId);
    else if (this.#resumes.size >= RESPONSES_MAX) {
      const message = `${RESPONSES_MAX} responses are resumed on this connection already`;
      this.#sendError(fault('rate_limit_exceeded', message, { retryAfterMs: RETRY_AFTER_MS }), lane.streamId);
    } else {
      const { response_id: id, starting_after: after } = frame.value;
      const { owner, service } = this;
      const isSlow = () => this.#slow;
      const resume: SocketResume = new SocketResume(
        { id, next: (after ?? -1) + 1 },
        {
          ...{ owner, service },
          get slow() {
            return isSlow();
          },
          send: (event) => this.send(event, lane),
          refuse: (refused) => this.refuse(refused, lane),
          onEnd: () => {
            this.#resumes.delete(resume);
            this.#closeIfDone();
          },
        },
      );
      this.#resumes.add(resume);
      resume.start();
    }
  }

  #laneOf(streamId: unknown): SocketLane | Fault {
    const param = { param: 'stream_id' };
    if (streamId !== null && (typeof streamId !== 'string' || !STREAM_ID.test(streamId))) {
      const message = 'stream_id: 1 to 256 characters of A-Z, a-z, 0-9, _, . and - are expected';
      return fault('invalid_stream_id', message, param);
    }
    const known = this.#lanes.get(streamId);
    if (known !== undefined) return known;
    const named = this.#lanes.size - (this.#lanes.has(null) ? 1 : 0);
    if (streamId !== null && named >= NAMED_LANES_MAX) {
      const message = `stream_id: a connection has at most ${NAMED_LANES_MAX} named streams`;
      return fault('websocket_stream_limit_reached', message, param);
    }
    const lane = new SocketLane(this, streamId);
    this.#lanes.set(streamId, lane);
    return lane;
  }

  #crowdFault(size: number): Fault | null {
    if (this.#aged) {
      const minutes = Math.round(this.service.socket.ageMaxMs / 60_000);
      const message = `this connection is older than ${minutes} minutes: open another one`;
      return fault('websocket_connection_limit_reached', message);
    }
    let queuedCount = 0;
    for (const lane of this.#lanes.values()) queuedCount += lane.queuedCount;
    const { queuedSizeMax } = this.service.socket;
    if (queuedCount < QUEUED_MAX && this.#queuedSize + size <= queuedSizeMax) return null;
    const message = `${queuedCount} requests of ${this.#queuedSize} bytes wait on this connection already`;
    return fault('rate_limit_exceeded', message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #startWaiting(): void {
    if (this.#closed) return;
    const lanes = [...this.#lanes.values()];
    let running = lanes.filter((lane) => lane.busy).length;
    for (const lane of lanes) {
      // A warm-up or a refusal leaves its lane free for the next turn.
      while (!lane.busy && running < RESPONSES_MAX && !this.#closed) {
        const size = lane.startNext();
        if (size === null) break;
        this.#queuedSize -= size;
        if (!lane.busy) continue;
        running++;
        if (this.#slow) lane.pause();
      }
    }
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#aged || this.#closed || this.#resumes.size > 0) return;
    for (const lane of this.#lanes.values()) if (lane.busy || lane.queuedCount > 0) return;
    this.#close(NORMAL_CLOSURE, 'the connection has reached its age');
  }

  #close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    this.onClose(); // the transport calls it too, maybe much later
  }

  #sendError(refused: Fault, streamId: string | null): void {
    this.#write(errorEvent(refused, streamId));
  }

  #write(json: string): void {
    if (this.#closed || this.#socket.send(json) || this.#slow) return;
    if (this.#socket.bufferedBytes < this.service.socket.bufferSizeMax) return;
    this.#slow = true;
    for (const lane of this.#lanes.values()) lane.pause();
  }
}

const BINARY_FRAME = {
  ok: false,
  fault: fault('invalid_json', 'messages are text frames, this one is binary'),
} as const;
