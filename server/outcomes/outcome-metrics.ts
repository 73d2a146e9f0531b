// What the record of tasks does, as Prometheus metrics in the server's registry. Owns their names. Before it: recorder.ts,
// routes.ts and tracker.ts count; after it: metrics/metrics.ts renders.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { EventKind, Source } from './task-record.ts';

/** Why an observation was not kept. */
export type LossReason = 'queue-full' | 'task-gone' | 'store-failed';

export class OutcomeMetrics {
  readonly #tasks: Counter;
  readonly #events: Counter;
  readonly #losses: Counter;
  readonly #queue: Gauge;
  readonly #rows: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = (name: string, help: string, labelNames: string[]) =>
      new Counter({ name: `sparklane_${name}`, help, labelNames, registers });
    const gauge = (name: string, help: string) => new Gauge({ name: `sparklane_${name}`, help, registers });
    this.#tasks = counter('tasks_total', 'Tasks begun', ['source']);
    this.#events = counter('task_events_total', 'Events of tasks; accepted and reverted are outcomes', [
      'event',
      'source',
    ]);
    this.#losses = counter('outcome_losses_total', 'Observations of tasks that were not kept', ['reason']);
    this.#queue = gauge('outcome_queue_length', 'Observations that wait to be written');
    this.#rows = gauge('outcome_rows', 'Tasks, events and requests in the record');
  }

  onTask(source: Source): void {
    this.#tasks.inc({ source });
  }

  onEvent(event: EventKind, source: Source): void {
    this.#events.inc({ event, source });
  }

  onLoss(reason: LossReason, count: number): void {
    if (count > 0) this.#losses.inc({ reason }, count);
  }

  onQueue(length: number): void {
    this.#queue.set(length);
  }

  onRows(count: number): void {
    this.#rows.set(count);
  }
}
