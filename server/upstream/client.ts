// UpstreamClient: one OpenAI-compatible server that answers for a lane. Owns attempts, backoff, time-outs and the circuit
// breaker, up to the head of an answer; from there on the answer is answer.ts's. Before it: lanes/visit.ts; after it:
// wire.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { Random } from '../../kernels/random.ts';
import { type Fault, fault } from '../base/errors.ts';
import { UpstreamAnswer } from './answer.ts';
import { Circuit, type CircuitBounds, type CircuitState } from './circuit.ts';
import type { UpstreamWire, WireCall } from './wire.ts';

export interface UpstreamBounds {
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  readonly circuit: CircuitBounds;
}

export interface UpstreamParts {
  readonly lane: string; // for messages
  readonly wire: UpstreamWire;
  readonly bounds: UpstreamBounds;
  readonly clock: Clock;
  readonly random: Random; // jitter
  readonly onAttempt: (outcome: 'ok' | 'retried' | 'failed' | 'refused' | 'circuit-open') => void;
}

export interface OpeningListener {
  onOpen(answer: UpstreamAnswer): void; // or
  /** `elsewhere`: another lane may do better, for the fault is the upstream's and not the request's. */
  onFault(fault: Fault, elsewhere: boolean): void;
}

const RETRIED_STATUSES: ReadonlySet<number> = new Set([408, 409, 425, 429, 500, 502, 503, 504]);
const ERROR_SIZE_MAX = 16_384; // bytes of an error's body that are read
const RETRY_AFTER_MAX_MS = 600_000; // an upstream that asks for more is not believed

export class UpstreamClient {
  readonly #parts: UpstreamParts;
  readonly #circuit: Circuit;

  constructor(parts: UpstreamParts) {
    this.#parts = parts;
    this.#circuit = new Circuit(parts.bounds.circuit);
  }

  get circuit(): CircuitState {
    return this.#circuit.state;
  }

  /** Never calls the listener in the caller's stack. Cancelling is idempotent and harmless after the opening. */
  open(body: string, listener: OpeningListener): { cancel(): void } {
    const opening = new Opening(this.#parts, this.#circuit, body, listener);
    this.#parts.clock.defer(() => opening.attempt());
    return opening;
  }

  close(): void {
    this.#parts.wire.close();
  }
}

/** One request, through all of its attempts, up to the head of its answer. */
class Opening {
  readonly #parts: UpstreamParts;
  readonly #circuit: Circuit;
  readonly #body: string;
  readonly #listener: OpeningListener;
  #attempts = 0;
  #call: WireCall | null = null;
  #timer: Timer | null = null;
  #phase: 'idle' | 'asking' | 'over' = 'idle';

  constructor(parts: UpstreamParts, circuit: Circuit, body: string, listener: OpeningListener) {
    this.#parts = parts;
    this.#circuit = circuit;
    this.#body = body;
    this.#listener = listener;
  }

  cancel(): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'asking') this.#circuit.abandoned();
    this.#phase = 'over';
    this.#timer?.cancel();
    this.#call?.abort();
  }

  attempt(): void {
    if (this.#phase === 'over') return;
    const { clock, bounds, wire, lane, onAttempt } = this.#parts;
    const waitMs = this.#circuit.waitMs(clock.nowMs());
    if (waitMs > 0) {
      onAttempt('circuit-open');
      const message = `the upstream of ${lane} has failed ${bounds.circuit.failures} times in a row and is left alone`;
      this.#fail(fault('upstream_unavailable', message, { retryAfterMs: waitMs }), true);
      return;
    }
    this.#phase = 'asking';
    this.#attempts++;
    let answer: UpstreamAnswer | null = null;
    const refusal: {
      status: number;
      retryAfterMs: number | null;
      readonly chunks: Uint8Array[];
      size: number;
    } = {
      status: 0,
      retryAfterMs: null,
      chunks: [],
      size: 0,
    };
    let told = false; // this attempt's outcome
    const end = (act: () => void) => {
      if (told) return;
      told = true;
      this.#timer?.cancel();
      if (this.#phase !== 'over') act();
    };
    const call = wire.post(this.#body, {
      onHead: (status, header) => {
        if (status === 200 && /^text\/event-stream/i.test(header('content-type'))) {
          answer = new UpstreamAnswer({ lane, clock, idleTimeoutMs: bounds.idleTimeoutMs, call });
          const opened = answer;
          end(() => this.#opened(opened));
          return;
        }
        refusal.status = status === 200 ? 502 : status; // no stream: not a server that we can use
        refusal.retryAfterMs = retryAfterOf(header);
      },
      onData: (bytes) => {
        if (answer !== null) answer.onData(bytes);
        else if (refusal.size < ERROR_SIZE_MAX) {
          refusal.chunks.push(bytes.slice());
          refusal.size += bytes.length;
        }
      },
      onEnd: () => {
        if (answer !== null) answer.onEnd();
        else
          end(() =>
            this.#refused(refusal.status, refusal.retryAfterMs, Buffer.concat(refusal.chunks).toString()),
          );
      },
      onError: (message) => {
        if (answer !== null) answer.onError(message);
        else end(() => this.#broken(message));
      },
    });
    if (told) return;
    this.#call = call;
    this.#timer = clock.schedule(bounds.headersTimeoutMs, () => {
      end(() => this.#broken(`no answer for ${bounds.headersTimeoutMs} ms`));
      call.abort();
    });
  }

  #opened(answer: UpstreamAnswer): void {
    this.#circuit.succeeded();
    this.#parts.onAttempt('ok');
    this.#phase = 'over';
    this.#listener.onOpen(answer);
  }

  #broken(message: string): void {
    this.#circuit.failed(this.#parts.clock.nowMs());
    const { lane } = this.#parts;
    this.#again(null, fault('upstream_unavailable', `the upstream of ${lane} cannot be reached: ${message}`));
  }

  #refused(status: number, retryAfterMs: number | null, body: string): void {
    const { clock, lane, onAttempt } = this.#parts;
    if (status >= 500) this.#circuit.failed(clock.nowMs());
    else this.#circuit.succeeded(); // it is there, and says no
    const said = messageOf(body);
    if (RETRIED_STATUSES.has(status)) {
      const code = status === 429 ? 'rate_limit_exceeded' : 'upstream_unavailable';
      this.#again(
        retryAfterMs,
        fault(code, `the upstream of ${lane} answers ${status}: ${said}`, { retryAfterMs }),
      );
      return;
    }
    onAttempt('refused');
    const ours = status === 401 || status === 403 || status === 404 || status >= 500;
    const code = ours ? 'upstream_unavailable' : 'invalid_request';
    this.#fail(fault(code, `the upstream of ${lane} answers ${status}: ${said}`), ours);
  }

  /** Once more after a pause, unless that was the last attempt. An upstream that says how long is believed. */
  #again(retryAfterMs: number | null, last: Fault): void {
    const { clock, random, bounds, onAttempt } = this.#parts;
    const { attempts, backoffMs, backoffMsMax } = bounds;
    const tooLong = retryAfterMs !== null && retryAfterMs > backoffMsMax;
    if (this.#attempts >= attempts || tooLong) {
      onAttempt('failed');
      // Until the circuit lets somebody try, or else as long as a pause between attempts gets.
      const ms = last.retryAfterMs ?? Math.max(this.#circuit.leftMs(clock.nowMs()), backoffMsMax);
      this.#fail({ ...last, retryAfterMs: ms }, true);
      return;
    }
    onAttempt('retried');
    this.#phase = 'idle';
    const grown = Math.min(backoffMsMax, backoffMs * 2 ** (this.#attempts - 1));
    // Half of it is chance, so that those who failed together do not come back together.
    const pauseMs = retryAfterMs ?? grown * (0.5 + 0.5 * random.next());
    this.#timer = clock.schedule(pauseMs, () => this.attempt());
  }

  #fail(refused: Fault, elsewhere: boolean): void {
    this.#phase = 'over';
    this.#timer?.cancel();
    this.#listener.onFault(refused, elsewhere);
  }
}

function retryAfterOf(header: (name: string) => string): number | null {
  const ms = Number(header('retry-after-ms') || Number.NaN);
  const given = Number.isFinite(ms) ? ms : Number(header('retry-after') || Number.NaN) * 1000;
  return Number.isFinite(given) && given >= 0 ? Math.min(given, RETRY_AFTER_MAX_MS) : null;
}

/** OpenAI's envelope, or the beginning of whatever it says. */
function messageOf(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: unknown } | string };
    const message = typeof error === 'string' ? error : error?.message;
    if (typeof message === 'string') return message.slice(0, MESSAGE_LENGTH_MAX);
  } catch {
    // no JSON: shown as it is
  }
  return body.slice(0, MESSAGE_LENGTH_MAX) || 'nothing';
}

const MESSAGE_LENGTH_MAX = 500; // characters
