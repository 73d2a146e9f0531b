// /v1/tasks: create, list, read, and tell events. Owns what a client sees of a task and which of its faults is named how;
// every answer comes from the store, after everything that was told before. Before it: http/door.ts; after it: recorder.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import type { Route, RouteDescription } from '../http/route.ts';
import type { Outcomes } from './outcomes.ts';
import type { StoreAnswer, StoreCall, StoreValues } from './store-port.ts';
import { ROWS_PER_TASK_MAX, type TaskRecord } from './task-record.ts';
import { summariseTask } from './task-summary.ts';
import {
  eventObject,
  eventsSchema,
  reportedEvent,
  requestObject,
  taskObject,
  taskSchema,
  toldSchema,
} from './wire.ts';

const PAGE_DEFAULT = 20; // as of OpenAI's lists
const PAGE_MAX = 100;
const PAGE_QUERY = {
  limit: 'tasks, 1 to 100',
  order: 'asc or desc',
  after: 'id of the task before the page',
};
const RETRY_AFTER_MS = 1000; // when too many wait for the store
const AHEAD_MS_MAX = 86_400_000; // clocks differ; a day is no clock's difference
const OFF = fault('unsupported', 'tasks are not recorded here; --outcomes-db says where to');

export function taskRoutes(outcomes: Outcomes | null): readonly Route[] {
  const route = (
    method: 'GET' | 'POST',
    path: string,
    about: Omit<RouteDescription, 'group'>,
    run: (call: HttpCall, with_: Outcomes) => void,
  ): Route => ({
    ...{ method, path, open: false, about: { group: 'tasks', ...about } },
    answer: (call) => (outcomes === null ? call.refuse(OFF) : run(call, outcomes)),
  });
  return [
    route('POST', '/v1/tasks', { summary: 'Begins a task', body: taskSchema }, create),
    route('GET', '/v1/tasks', { summary: 'A page of the tasks, latest first', query: PAGE_QUERY }, list),
    route('GET', '/v1/tasks/:', { summary: 'A task, its events and requests' }, read),
    route('POST', '/v1/tasks/:/events', { summary: 'One event, or several', body: toldSchema }, tell),
  ];
}

function create(call: HttpCall, outcomes: Outcomes): void {
  call.readJson(taskSchema, (given) => {
    const nowMs = outcomes.epochMs();
    const early = futureFault('started_at', given.started_at, nowMs);
    if (early !== null) {
      call.refuse(early);
      return;
    }
    const task = {
      id: given.id ?? `task_${outcomes.freshId()}`,
      owner: outcomes.ownerIdOf(call.facts.owner),
      source: 'reported' as const,
      taskClass: given.task_class ?? null,
      lane: given.lane ?? null,
      title: outcomes.keepText ? (given.title ?? null) : null,
      createdMs: given.started_at ?? nowMs,
    };
    ask(call, outcomes, { kind: 'create', task, nowMs }, ({ created }) => {
      if (created) outcomes.metrics.onTask('reported');
      answerTask(call, outcomes, { id: task.id, status: created ? 201 : 200, whole: false });
    });
  });
}

function read(call: HttpCall, outcomes: Outcomes): void {
  answerTask(call, outcomes, { id: call.parameter, status: 200, whole: true });
}

function answerTask(
  call: HttpCall,
  outcomes: Outcomes,
  { id, status, whole }: { readonly id: string; readonly status: number; readonly whole: boolean },
): void {
  const owner = outcomes.ownerIdOf(call.facts.owner);
  ask(call, outcomes, { kind: 'find', owner, id }, (record) => {
    if (record === null) call.refuse(unknownTask(id));
    else call.reply(status, whole ? wholeObject(record) : taskObject(record, summariseTask(record)));
  });
}

function wholeObject(record: TaskRecord) {
  const { events, requests } = record;
  return {
    ...taskObject(record, summariseTask(record)),
    events: events.map(eventObject),
    requests: requests.map(requestObject),
  };
}

function list(call: HttpCall, outcomes: Outcomes): void {
  const query = new URLSearchParams(call.request.query);
  const limit = Number(query.get('limit') ?? PAGE_DEFAULT);
  const order = query.get('order') ?? 'desc';
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) {
    call.refuse(invalid('limit', `expected an integer from 1 to ${PAGE_MAX}`));
    return;
  }
  if (order !== 'asc' && order !== 'desc') {
    call.refuse(invalid('order', 'expected asc or desc'));
    return;
  }
  const owner = outcomes.ownerIdOf(call.facts.owner);
  const after = query.get('after');
  const asked = { owner, limit, after, ascending: order === 'asc' };
  ask(call, outcomes, { kind: 'list', query: asked }, ({ tasks: data, hasMore }) => {
    const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
    call.reply(200, { object: 'list', data, ...ends, has_more: hasMore });
  });
}

function tell(call: HttpCall, outcomes: Outcomes): void {
  call.readJson(eventsSchema, ({ events: given }) => {
    const { epochMs, freshId, keepText, metrics } = outcomes;
    const nowMs = epochMs();
    const early = given.map(({ at }) => futureFault('at', at, nowMs)).find((found) => found !== null);
    if (early !== undefined) {
      call.refuse(early);
      return;
    }
    const events = given.map((event) =>
      reportedEvent(event, { id: `evt_${freshId()}`, atMs: nowMs, keepText }),
    );
    const id = call.parameter;
    const owner = outcomes.ownerIdOf(call.facts.owner);
    ask(call, outcomes, { kind: 'events', owner, task: id, events, nowMs }, (added) => {
      if (added === 'unknown-task') call.refuse(unknownTask(id));
      else if (added === 'task-full') {
        call.refuse(invalid('events', `a task has room for ${ROWS_PER_TASK_MAX} events and requests`));
      } else {
        const fresh = new Set(added);
        for (const event of events) if (fresh.has(event.id)) metrics.onEvent(event.kind, 'reported');
        const data = events.map((event) => ({ ...eventObject(event), duplicate: !fresh.has(event.id) }));
        call.reply(200, { object: 'list', data });
      }
    });
  });
}

function ask<C extends StoreCall>(
  call: HttpCall,
  { recorder }: Outcomes,
  asked: C,
  then: (value: StoreValues[C['kind']]) => void,
): void {
  const taken = recorder.call(asked, (answer: StoreAnswer<StoreValues[C['kind']]>) => {
    if (call.over) return;
    if (answer.ok) call.guard(() => then(answer.value));
    else call.refuse(fault('internal_error', `the record of tasks failed: ${answer.message}`));
  });
  if (taken) return;
  const message = 'too many requests wait for the record of tasks';
  call.refuse(fault('queue_full', message, { retryAfterMs: RETRY_AFTER_MS }));
}

function unknownTask(id: string): Fault {
  return fault('not_found', `Task with id '${id}' not found.`, { param: 'task_id' });
}

function futureFault(param: string, atMs: number | null | undefined, nowMs: number): Fault | null {
  if (atMs == null || atMs <= nowMs + AHEAD_MS_MAX) return null;
  return invalid(param, 'is more than a day ahead of the server’s clock');
}

function invalid(param: string, message: string): Fault {
  return fault('invalid_request', `${param}: ${message}`, { param });
}
