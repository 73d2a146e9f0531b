// Server-sent events, or lines of JSON, over one HTTP call. Owns framing, the heartbeat of a silent stream and the two
// signals of a slow reader; never knows what an event means. Before it: server/chat/answer.ts; after it: http-call.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import { type HttpCall, type StreamFraming, streamHeaders } from './http-call.ts';

// Long prefills and queues are silent; proxies and clients commonly give up after 30 to 60 s without a byte.
const HEARTBEAT_MS = 10_000;

export interface EventStreamOptions {
  readonly clock: Clock;
  readonly framing?: StreamFraming;
  readonly heartbeat?: string; // an API's own event of a silent stream, framed; without it a comment
  readonly bufferSizeMax: number; // unread bytes at which onSlow is called
  readonly onSlow: () => void;
  readonly onReady: () => void; // after onSlow: the reader has caught up
}

export class EventStream {
  readonly #call: HttpCall;
  readonly #options: EventStreamOptions;
  #heartbeat: Timer;
  #lastWriteMs: number;
  #slow = false;
  #ended = false;

  /** Sends nothing until the first event. */
  constructor(call: HttpCall, options: EventStreamOptions) {
    this.#call = call;
    this.#options = options;
    this.#lastWriteMs = options.clock.nowMs();
    this.#heartbeat = this.#scheduleHeartbeat(HEARTBEAT_MS);
    call.begin(200, streamHeaders(this.#inLines ? 'lines' : 'events'));
    call.onWritable(() => {
      if (!this.#slow || this.#ended || call.bufferedBytes >= options.bufferSizeMax) return;
      this.#slow = false;
      options.onReady();
    });
  }

  /** `json` is one line of JSON; `event` the name of its kind where an API gives them names. */
  send(json: string, event?: string): void {
    if (this.#inLines) this.#write(`${json}\n`);
    else this.#write(event === undefined ? `data: ${json}\n\n` : `event: ${event}\ndata: ${json}\n\n`);
  }

  /** For people and proxies: clients do not see it. One line. */
  comment(text: string): void {
    this.#write(`: ${text}\n\n`);
  }

  /** The last event that OpenAI's clients wait for, then the end. */
  done(): void {
    if (!this.#inLines) this.#write('data: [DONE]\n\n');
    this.end();
  }

  end(): void {
    this.stop();
    this.#call.end();
  }

  /** The caller has gone, or the stream is over: no more heartbeats. Idempotent. */
  stop(): void {
    this.#ended = true;
    this.#heartbeat.cancel();
  }

  get #inLines(): boolean {
    return this.#options.framing === 'lines';
  }

  #write(text: string): void {
    if (this.#ended) return;
    this.#lastWriteMs = this.#options.clock.nowMs();
    if (this.#call.write(text) || this.#slow) return;
    if (this.#call.bufferedBytes < this.#options.bufferSizeMax) return;
    this.#slow = true;
    this.#options.onSlow();
  }

  #scheduleHeartbeat(delayMs: number): Timer {
    return this.#options.clock.schedule(delayMs, () => {
      if (this.#ended) return;
      const silentMs = this.#options.clock.nowMs() - this.#lastWriteMs;
      const beat = this.#options.heartbeat ?? (this.#inLines ? ' ' : ': still working\n\n');
      if (silentMs >= HEARTBEAT_MS) this.#write(beat);
      this.#heartbeat = this.#scheduleHeartbeat(HEARTBEAT_MS - (silentMs >= HEARTBEAT_MS ? 0 : silentMs));
    });
  }
}
