// LaneEntry: a request that is in its lane: what its route has to know, and the meter. Owns the settling of the ticket and
// of the cost: at the answer's end, or at `release` where none ever began. Before it: visit.ts; after it: chat/lane-edge.ts.
import type { GenerateResult, GenerationEnd, GenerationSink } from '../generation/generation.ts';
import type { UpstreamAnswer } from '../upstream/answer.ts';
import type { Reservation } from './budget.ts';
import type { Ticket } from './gate.ts';
import type { Lane, LanesHost } from './lane.ts';
import { costOf } from './lanes-file.ts';
import type { AnswerWatch, RoutedReport } from './observer.ts';

export interface EntryParts {
  readonly lane: Lane;
  readonly report: RoutedReport;
  readonly system: string; // what the model is told first of all: style and hand-off
  readonly ticket: Ticket;
  readonly reservation: Reservation;
  readonly answer: UpstreamAnswer | null; // null: this server's own model
  readonly watch: AnswerWatch | null; // hears the answer's text
}

const METADATA_LENGTH_MAX = 512; // characters of a value; OpenAI's bound

export class LaneEntry {
  readonly #parts: EntryParts;
  readonly #host: LanesHost;
  readonly #enteredMs: number;
  #phase: 'entered' | 'started' | 'settled' = 'entered';

  constructor(parts: EntryParts, host: LanesHost) {
    this.#parts = parts;
    this.#host = host;
    this.#enteredMs = host.clock.nowMs() - parts.report.openMs;
  }

  get lane(): Lane {
    return this.#parts.lane;
  }

  get system(): string {
    return this.#parts.system;
  }

  get answer(): UpstreamAnswer | null {
    return this.#parts.answer;
  }

  get report(): RoutedReport {
    return this.#parts.report;
  }

  /** The decision in the shape of OpenAI's `metadata`. */
  get metadata(): Readonly<Record<string, string>> {
    const { report, watch } = this.#parts;
    const { decision, lane, overflowFrom, waitedMs, note } = report;
    return {
      sparklane_lane: lane,
      sparklane_class: decision.taskClass,
      sparklane_rule: decision.rule,
      sparklane_reason: decision.reason.slice(0, METADATA_LENGTH_MAX),
      sparklane_move: decision.move,
      ...(decision.from !== null && { sparklane_from: decision.from }),
      ...(overflowFrom !== null && { sparklane_overflow_from: overflowFrom }),
      ...(note !== null && { sparklane_note: note.slice(0, METADATA_LENGTH_MAX) }),
      ...(watch !== null && { sparklane_task: watch.taskId }),
      ...(waitedMs > 0 && { sparklane_queue_ms: `${Math.round(waitedMs)}` }),
    };
  }

  /** Starts with a sink that tells the given one's ends what they cost, and settles with the last of them. */
  metered(
    sink: GenerationSink,
    choiceCount: number,
    start: (meter: GenerationSink) => GenerateResult,
  ): GenerateResult {
    const started = start(this.#meter(sink, choiceCount));
    if (!started.ok) this.#unstart();
    return started;
  }

  #meter(sink: GenerationSink, choiceCount: number): GenerationSink {
    this.#phase = 'started';
    const { watch } = this.#parts;
    const ends: GenerationEnd[] = [];
    return {
      onDelta:
        watch === null
          ? (delta) => sink.onDelta(delta)
          : (delta) => {
              if (delta.choice === 0) watch.onText(delta.text);
              sink.onDelta(delta);
            },
      onEnd: (end) => {
        ends.push(end);
        if (ends.length < choiceCount || this.#phase === 'settled') sink.onEnd(end);
        else sink.onEnd({ ...end, cost: this.#settle(ends) });
      },
    };
  }

  /** No answer began after all. Idempotent; harmless once one has begun. */
  release(): void {
    if (this.#phase !== 'entered') return;
    this.#phase = 'settled';
    const { ticket, reservation, answer } = this.#parts;
    answer?.abandon();
    ticket.leave(0);
    reservation.settle(0);
  }

  /** The engine refused what had been metered. */
  #unstart(): void {
    if (this.#phase === 'started') this.#phase = 'entered';
    this.release();
  }

  #settle(ends: readonly GenerationEnd[]): number {
    this.#phase = 'settled';
    const { lane, report, ticket, reservation } = this.#parts;
    const [{ promptTokens, cachedTokens }] = ends as readonly [GenerationEnd, ...GenerationEnd[]];
    const outputTokens = ends.reduce((sum, end) => sum + end.outputTokens, 0);
    const tokens = { prompt: promptTokens, cached: cachedTokens, output: outputTokens };
    const cost = Number(costOf(lane.config.price, tokens).toPrecision(12)); // no 0.30000000000000004
    ticket.leave(promptTokens + outputTokens);
    reservation.settle(cost);
    this.#host.observer.onLaneEnd({
      requestId: report.requestId,
      lane: lane.name,
      ...{ promptTokens, cachedTokens, outputTokens, cost },
      durationMs: this.#host.clock.nowMs() - this.#enteredMs,
      failed: ends.some(({ failure }) => failure !== null),
    });
    return cost;
  }
}
