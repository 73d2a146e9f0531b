// Events of a response as server-sent events, each with its name. Owns the stream of one answer and its pace.
// Before it: create.ts; after it: http/sse.ts.
import type { HttpCall } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';
import type { ResponseEvent } from './events.ts';
import type { ResponsesService } from './responses-service.ts';
import type { ResponseRun } from './run.ts';

export class SseFramer {
  readonly #call: HttpCall;
  readonly #service: ResponsesService;
  #stream: EventStream | null = null;

  constructor(call: HttpCall, service: ResponsesService) {
    this.#call = call;
    this.#service = service;
  }

  /** The first event begins the answer. `run` waits for a slow reader. */
  send({ type, json }: ResponseEvent, run: ResponseRun | null): void {
    this.#stream ??= new EventStream(this.#call, {
      clock: this.#service.clock,
      bufferSizeMax: this.#service.bounds.streamBufferSizeMax,
      onSlow: () => run?.pause(),
      onReady: () => run?.resume(),
    });
    this.#stream.send(json, type);
  }

  end(): void {
    this.#stream?.end();
  }

  stop(): void {
    this.#stream?.stop();
  }
}
