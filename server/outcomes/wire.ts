// Tasks as JSON: what clients send and get, and what is exported and imported. Owns the fields, their bounds and the
// spelling; a time goes out in Unix seconds and may come in as ISO 8601 too. Used by routes.ts
// and the reports.
import { z } from 'zod';
import type { TaskSignals } from '../lanes/signals.ts';
import {
  EVENT_KINDS,
  PHASE_OF_KIND,
  PHASES,
  type RequestEnd,
  type TaskEvent,
  type TaskRecord,
  type TaskRequest,
} from './task-record.ts';
import type { TaskSummary } from './task-summary.ts';

const EVENTS_PER_CALL_MAX = 256;
const TEXT_LENGTH_MAX = 2000; // of titles and notes, where they are kept
const DURATION_MS_MAX = 30 * 86_400_000; // 30 days
const COST_MAX = 1e9;
const YEAR_2000 = 946_684_800; // Unix seconds
const YEAR_2100 = 4_102_444_800;

/** Names and ids are no place for prose: nothing that a person said is kept unless text is. */
export const TASK_ID = /^[A-Za-z0-9_.:-]{1,128}$/;
const NAME = /^[A-Za-z0-9_.:/@-]{1,64}$/;

const id = z.string().regex(TASK_ID, '1 to 128 of A-Z, a-z, 0-9, _ . : -');
const name = z.string().regex(NAME, '1 to 64 of A-Z, a-z, 0-9, _ . : / @ -');
const text = z.string().max(TEXT_LENGTH_MAX);
const seconds = z.number().min(YEAR_2000).max(YEAR_2100);
const time = z
  .union([
    seconds,
    z.iso.datetime({ offset: true, error: 'Unix seconds from 2000 to 2100, or ISO 8601 with a zone' }),
  ])
  .transform((given) => Math.round(typeof given === 'number' ? given * 1000 : Date.parse(given)));
const duration = z.number().min(0).max(DURATION_MS_MAX);
const cost = z.number().min(0).max(COST_MAX);
const source = z.enum(['reported', 'derived']);

export const taskSchema = z.object({
  id: id.nullish(),
  task_class: name.nullish(),
  lane: name.nullish(),
  title: text.nullish(),
  started_at: time.nullish(),
});

const eventSchema = z.object({
  id: id.nullish(), // telling it again changes nothing
  type: z.enum(EVENT_KINDS),
  at: time.nullish(), // when it was over
  duration_ms: duration.nullish(),
  lane: name.nullish(),
  tool: name.nullish(),
  exit_code: z
    .int()
    .min(-(2 ** 31))
    .max(2 ** 32)
    .nullish(),
  ok: z.boolean().nullish(),
  cost: cost.nullish(),
  note: text.nullish(),
});

export type GivenEvent = z.output<typeof eventSchema>;

const severalSchema = z.object({ events: z.array(eventSchema).min(1).max(EVENTS_PER_CALL_MAX) });

/** The same for documents: what is told of events. */
export const toldSchema = z.union([eventSchema, severalSchema]);

/** One event, or several; what is wrong with either is named where it stands. */
export const eventsSchema = z.looseObject({}).transform((given, context) => {
  const parsed =
    'events' in given
      ? severalSchema.safeParse(given)
      : eventSchema.transform((event) => ({ events: [event] })).safeParse(given);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues)
    context.addIssue({ code: 'custom', path: [...path], message });
  return z.NEVER;
});

export interface EventDefaults {
  readonly id: string;
  readonly atMs: number;
  readonly keepText: boolean;
}

export function reportedEvent(given: GivenEvent, { id: freshId, atMs, keepText }: EventDefaults): TaskEvent {
  const { type: kind, lane, tool, exit_code: exitCode, note } = given;
  return {
    id: given.id ?? freshId,
    kind,
    atMs: given.at ?? atMs,
    durationMs: given.duration_ms ?? null,
    phase: PHASE_OF_KIND[kind],
    source: 'reported',
    lane: lane ?? null,
    tool: tool ?? null,
    exitCode: exitCode ?? null,
    ok: given.ok ?? (exitCode == null ? null : exitCode === 0),
    cost: given.cost ?? null,
    note: keepText ? (note ?? null) : null,
  };
}

export function eventObject(event: TaskEvent) {
  const { id, kind, atMs, durationMs, phase, source, lane, tool, exitCode, ok, cost, note } = event;
  return {
    ...{
      id,
      object: 'task.event',
      type: kind,
      at: atMs / 1000,
      duration_ms: durationMs,
      phase,
      source,
      lane,
      tool,
    },
    ...{ exit_code: exitCode, ok, cost, note },
  };
}

export function requestObject(request: TaskRequest) {
  const { id, session, atMs, asked, lane, decided, taskClass, rule, policy, phase, background, waitedMs } =
    request;
  return {
    ...{ id, object: 'task.request', session, at: atMs / 1000, asked, lane, decided, task_class: taskClass },
    ...{ rule, policy, phase, background, waited_ms: waitedMs },
    signals: request.signals,
    end: request.end === null ? null : endObject(request.end),
  };
}

function endObject({ durationMs, promptTokens, cachedTokens, outputTokens, cost, failed }: RequestEnd) {
  return {
    ...{ duration_ms: durationMs, prompt_tokens: promptTokens, cached_tokens: cachedTokens },
    ...{ output_tokens: outputTokens, cost, failed },
  };
}

export function taskObject({ task, events, requests }: TaskRecord, summary: TaskSummary) {
  const { phaseMs, phaseSource, totalMs } = summary;
  return {
    id: task.id,
    object: 'task',
    created_at: task.createdMs / 1000,
    updated_at: task.updatedMs / 1000,
    source: summary.source,
    task_class: summary.taskClass,
    lane: summary.lane,
    title: task.title,
    outcome: summary.outcome,
    first_pass: summary.firstPass,
    reverted: summary.reverted,
    rework_cycles: summary.reworkCycles,
    cost: summary.cost,
    time_ms: { ...phaseMs, total: totalMs },
    time_source: phaseSource,
    time_to_first_useful_diff_ms: summary.firstDiffMs,
    end_to_end_ms: summary.endToEndMs,
    event_count: events.length,
    request_count: requests.length,
  };
}

const exportedTask = z.object({
  id,
  owner: z.string().max(64).default(''),
  source: source.default('reported'),
  task_class: name.nullish(),
  lane: name.nullish(),
  title: text.nullish(),
  created_at: time,
  events: z
    .array(
      eventSchema.extend({
        id,
        at: time,
        phase: z.enum(PHASES).nullish(),
        source: source.default('reported'),
      }),
    )
    .default([]),
  requests: z
    .array(
      z.object({
        ...{ id, session: z.string().max(64).nullish(), at: time, asked: name, lane: name, decided: name },
        ...{ task_class: name, rule: name, policy: name, phase: z.enum(PHASES).default('model') },
        ...{ background: z.boolean().default(false), waited_ms: duration.default(0) },
        signals: z.custom<TaskSignals>(
          (value) => typeof value === 'object' && value !== null,
          'an object of signals',
        ),
        end: z
          .object({
            ...{ duration_ms: duration, prompt_tokens: z.int().min(0), cached_tokens: z.int().min(0) },
            ...{ output_tokens: z.int().min(0), cost, failed: z.boolean().default(false) },
          })
          .nullish(),
      }),
    )
    .default([]),
});

const EXPORT_FORMAT = 'sparklane tasks';

export const exportSchema = z.object({
  format: z.literal(EXPORT_FORMAT),
  version: z.literal(1),
  tasks: z.array(exportedTask),
});

/** Whole records, as JSON that `recordsOf` reads again. */
export function exportOf(records: Iterable<TaskRecord>) {
  const tasks = Array.from(records, ({ task, events, requests }) => ({
    ...{ id: task.id, owner: task.owner, source: task.source, task_class: task.taskClass, lane: task.lane },
    ...{ title: task.title, created_at: task.createdMs / 1000 },
    events: events.map(eventObject),
    requests: requests.map(requestObject),
  }));
  return { format: EXPORT_FORMAT, version: 1, tasks };
}

export function recordsOf({ tasks }: z.output<typeof exportSchema>): TaskRecord[] {
  return tasks.map((given) => {
    const events = given.events.map((event) => importedEvent(event));
    const requests = given.requests.map(importedRequest);
    const times = [given.created_at, ...[...events, ...requests].map(({ atMs }) => atMs)];
    const task = {
      ...{
        id: given.id,
        owner: given.owner,
        source: given.source,
        title: given.title ?? null,
      },
      ...{ taskClass: given.task_class ?? null, lane: given.lane ?? null },
      ...{ createdMs: given.created_at, updatedMs: Math.max(...times) },
    };
    return { task, events, requests };
  });
}

type GivenTask = z.output<typeof exportedTask>;

function importedEvent(given: GivenTask['events'][number]): TaskEvent {
  const event = reportedEvent(given, { id: given.id, atMs: given.at, keepText: true });
  return { ...event, source: given.source, phase: given.phase === undefined ? event.phase : given.phase };
}

function importedRequest(given: GivenTask['requests'][number]): TaskRequest {
  const { task_class: taskClass, waited_ms: waitedMs, at: atMs, session, end, ...same } = given;
  if (end == null) return { ...same, session: session ?? null, atMs, taskClass, waitedMs, end: null };
  const { duration_ms: durationMs, prompt_tokens: promptTokens, cached_tokens: cachedTokens } = end;
  const ended = { durationMs, promptTokens, cachedTokens, outputTokens: end.output_tokens };
  return {
    ...{ ...same, session: session ?? null, atMs, taskClass, waitedMs },
    end: { ...ended, cost: end.cost, failed: end.failed },
  };
}
