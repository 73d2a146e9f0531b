// What the record of tasks does, as Prometheus metrics in the server's registry. Owns their names. Before it: recorder.ts,
// routes.ts and tracker.ts count; after it: metrics/metrics.ts renders.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { EventKind, Source } from './task-record.ts';

/** Why an observation was not kept. */
export type LossReason = 'queue-full' | 'task-gone' | 'store-failed';

export type OutcomeMetrics = ReturnType<typeof outcomeMetrics>;

export function outcomeMetrics(registry: Registry) {
  const registers = [registry];
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: `sparklane_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string) => new Gauge({ name: `sparklane_${name}`, help, registers });
  const tasks = counter('tasks_total', 'Tasks begun', 'source');
  const ofTasks = 'Events of tasks; accepted and reverted are outcomes';
  const events = counter('task_events_total', ofTasks, 'event', 'source');
  const losses = counter('outcome_losses_total', 'Observations of tasks that were not kept', 'reason');
  const queue = gauge('outcome_queue_length', 'Observations that wait to be written');
  const rows = gauge('outcome_rows', 'Tasks, events and requests in the record');
  return {
    onTask: (source: Source) => tasks.inc({ source }),
    onEvent: (event: EventKind, source: Source) => events.inc({ event, source }),
    onLoss(reason: LossReason, count: number) {
      if (count > 0) losses.inc({ reason }, count);
    },
    onQueue: (length: number) => queue.set(length),
    onRows: (count: number) => rows.set(count),
  };
}
