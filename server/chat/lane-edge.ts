// Lanes at the HTTP edge: a call goes into its lane and on to its route, where the lane answers. Owns what its caller sees
// while it waits (comments in an event stream), and that a lane is left when the call is over. Before it: openai/chat.ts
// and responses/routes.ts; after it: lanes/lanes.ts.
import { fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';
import type { LaneEntry } from '../lanes/entry.ts';
import { enterLane, type LaneAsk } from '../lanes/visit.ts';
import type { ChatService } from './chat-service.ts';
import { localAnswering } from './local-answering.ts';
import { upstreamAnswering } from './upstream-answering.ts';

export interface LaneCall {
  readonly stream: boolean;
  readonly logprobs: boolean; // asked for: an upstream's cannot be shown
  readonly ask: (model: string, requestId: string) => LaneAsk;
}

/**
 * Calls `then` once the request is in its lane, at once and with `service` as it is where there are no lanes or none of
 * them is meant. Refusals are answered here.
 */
export function inLane<W extends ChatService>(
  call: HttpCall,
  { model, of }: { readonly model: string | null | undefined; readonly of: () => LaneCall },
  service: W,
  then: (service: W, routed: boolean) => void,
): void {
  const lanes = service.lanes ?? null;
  const meant = lanes?.meaning(model, service.model.name) ?? null;
  if (lanes === null || meant === null) {
    then(service, false);
    return;
  }
  const { stream, logprobs, ask } = of();
  const notice = stream ? new Notice(call, service) : null;
  const visit = enterLane(lanes, ask(meant, call.facts.id), {
    onPlace: ({ lane, position, estimatedWaitMs }) =>
      notice?.tell(`queued lane=${lane} position=${position} estimated_wait_ms=${estimatedWaitMs}`),
    onRefused: (refused) => {
      notice?.stop();
      call.refuse(refused);
    },
    onEntered: (entry) => {
      notice?.stop();
      call.onOver(() => entry.release());
      const unable = logprobs ? logprobsFault(entry) : null;
      if (unable !== null) call.refuse(unable);
      else call.guard(() => then(within(service, entry), true));
    },
  });
  call.onOver(() => visit.cancel());
}

/** The service for a request in the lane: the lane answers. */
export function within<W extends ChatService>(service: W, entry: LaneEntry): W {
  const { answer, system, metadata, lane } = entry;
  const route = { system, metadata, release: () => entry.release() };
  if (answer !== null) return { ...service, answering: upstreamAnswering(service, { entry, answer, route }) };
  const { generator, answering } = service;
  const start: typeof generator.start = (request, sink) =>
    entry.metered(sink, request.choiceCount, (meter) => generator.start(request, meter));
  const metered = { start, contextTokensMax: generator.contextTokensMax };
  const parts = { ...service, generator: metered, fingerprint: answering.fingerprint };
  return { ...service, answering: localAnswering(parts, { name: lane.name, route }) };
}

export function logprobsFault({ answer, lane }: LaneEntry): ReturnType<typeof fault> | null {
  if (answer === null) return null;
  return fault(
    'unsupported',
    `logprobs: the lane ${lane.name} is an upstream, whose tokens are not known here`,
  );
}

/** The stream of a call that still waits; it becomes the answer's. */
class Notice {
  readonly #call: HttpCall;
  readonly #service: ChatService;
  #stream: EventStream | null = null;

  constructor(call: HttpCall, service: ChatService) {
    this.#call = call;
    this.#service = service;
  }

  tell(text: string): void {
    this.#stream ??= new EventStream(this.#call, {
      clock: this.#service.clock,
      bufferSizeMax: this.#service.bounds.streamBufferSizeMax,
      onSlow: () => {},
      onReady: () => {},
    });
    this.#stream.comment(text);
  }

  stop(): void {
    this.#stream?.stop();
  }
}
