import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { taskRoutes } from '../../../../server/outcomes/routes.ts';
import type { StorePort } from '../../../../server/outcomes/store-port.ts';
import { httpServer } from '../../../http-world.ts';
import { LocalPort } from '../../../local-port.ts';
import { DAY_MS, START_MS } from '../../../outcome-records.ts';
import { outcomesServer } from '../../../outcome-world.ts';
import { ResponsesServer } from '../../../responses-world.ts';

const KEYS = ['ada-secret-key', 'bob-secret-key'];

test('a task is told of, event by event, and comes back with what it came to', async () => {
  const { ask, metricsText } = await outcomesServer();
  const made = await ask('POST', '/v1/tasks', {
    id: 'T-1',
    task_class: 'fix',
    lane: 'spark',
    started_at: START_MS / 1000,
  });
  expect(made.status).toBe(201);
  expect(made.json).toMatchObject({ id: 'T-1', object: 'task', outcome: 'open', time_ms: { total: 0 } });
  const at = (seconds: number) => new Date(START_MS + seconds * 1000).toISOString();
  const events = [
    { id: 'e1', type: 'planned', at: at(40), duration_ms: 40_000 },
    { id: 'e2', type: 'diff_proposed', at: at(130), duration_ms: 90_000, ok: true },
    { id: 'e3', type: 'tool_run', at: at(340), duration_ms: 210_000, tool: 'shell', exit_code: 0 },
    { id: 'e4', type: 'reviewed', at: at(460), duration_ms: 120_000 },
    { id: 'e5', type: 'reworked', at: at(520), duration_ms: 60_000, cost: 0.25 },
  ];
  const told = await ask('POST', '/v1/tasks/T-1/events', { events });
  expect(told.status).toBe(200);
  expect(told.json.data).toHaveLength(5);
  expect(
    (await ask('POST', '/v1/tasks/T-1/events', { type: 'accepted', id: 'e6', at: at(520) })).status,
  ).toBe(200);
  const { json } = await ask('GET', '/v1/tasks/T-1');
  expect(json).toMatchObject({
    ...{ outcome: 'accepted', first_pass: false, rework_cycles: 1, cost: 0.25, source: 'reported' },
    time_ms: {
      plan: 40_000,
      model: 90_000,
      tools: 210_000,
      verify: 0,
      review: 120_000,
      rework: 60_000,
      total: 520_000,
    },
    time_source: { plan: 'reported', verify: null },
    ...{ time_to_first_useful_diff_ms: 130_000, end_to_end_ms: 520_000, event_count: 6 },
  });
  expect(json.events[2]).toMatchObject({
    id: 'e3',
    type: 'tool_run',
    at: START_MS / 1000 + 340,
    ok: true,
    exit_code: 0,
  });
  const text = await metricsText();
  expect(text).toMatch(/sparklane_tasks_total\{source="reported"\} 1/);
  expect(text).toMatch(/sparklane_task_events_total\{event="accepted",source="reported"\} 1/);
});

test('telling a task or an event again changes nothing and says so', async () => {
  const { ask } = await outcomesServer();
  expect((await ask('POST', '/v1/tasks', { id: 'a' })).status).toBe(201);
  expect((await ask('POST', '/v1/tasks', { id: 'a', lane: 'spark' })).status).toBe(200);
  const event = { id: 'once', type: 'accepted' };
  expect((await ask('POST', '/v1/tasks/a/events', event)).json.data[0].duplicate).toBe(false);
  expect((await ask('POST', '/v1/tasks/a/events', event)).json.data[0].duplicate).toBe(true);
  expect((await ask('GET', '/v1/tasks/a')).json.event_count).toBe(1);
});

test('one key cannot see, change or list the tasks of another, nor take their names', async () => {
  const { ask } = await outcomesServer({ flags: { apiKeys: KEYS } });
  const [ada, bob] = KEYS as [string, string];
  await ask('POST', '/v1/tasks', { id: 'same' }, ada);
  expect((await ask('GET', '/v1/tasks/same', undefined, bob)).status).toBe(404);
  expect((await ask('POST', '/v1/tasks/same/events', { type: 'reverted' }, bob)).status).toBe(404);
  expect((await ask('GET', '/v1/tasks', undefined, bob)).json.data).toEqual([]);
  expect((await ask('POST', '/v1/tasks', { id: 'same' }, bob)).status).toBe(201);
  expect((await ask('GET', '/v1/tasks', undefined, ada)).json.data).toHaveLength(1);
  expect((await ask('GET', '/v1/tasks')).status).toBe(401);
});

test('lists come in pages, newest first', async () => {
  const { ask } = await outcomesServer();
  for (const id of ['a', 'b', 'c']) await ask('POST', '/v1/tasks', { id });
  const first = (await ask('GET', '/v1/tasks?limit=2')).json;
  expect(first).toMatchObject({ object: 'list', first_id: 'c', last_id: 'b', has_more: true });
  const second = (await ask('GET', '/v1/tasks?limit=2&after=b')).json;
  expect(second).toMatchObject({ first_id: 'a', last_id: 'a', has_more: false });
  expect((await ask('GET', '/v1/tasks?order=asc')).json.first_id).toBe('a');
});

describe('what is wrong is named by its field', () => {
  test.each([
    ['/v1/tasks', { id: 'two words' }, 'id', /1 to 128 of/],
    ['/v1/tasks', { task_class: 'a sentence about it' }, 'task_class', /1 to 64 of/],
    ['/v1/tasks', { started_at: 'yesterday' }, 'started_at', /ISO 8601/],
    ['/v1/tasks', { started_at: 12 }, 'started_at', /946684800/],
    ['/v1/tasks', { started_at: (START_MS + 2 * DAY_MS) / 1000 }, 'started_at', /more than a day ahead/],
    ['/v1/tasks/a/events', { type: 'finished' }, 'type', /planned/],
    ['/v1/tasks/a/events', { type: 'accepted', duration_ms: -1 }, 'duration_ms', />=0/],
    [
      '/v1/tasks/a/events',
      { events: [{ type: 'accepted' }, { type: 'tool_run', exit_code: 1.5 }] },
      'events[1].exit_code',
      /int/,
    ],
    ['/v1/tasks/a/events', { events: [] }, 'events', />=1/],
    ['/v1/tasks?limit=0', undefined, 'limit', /1 to 100/],
    ['/v1/tasks?order=up', undefined, 'order', /asc or desc/],
  ])('%s %j', async (path, body, param, message) => {
    const { ask } = await outcomesServer();
    await ask('POST', '/v1/tasks', { id: 'a' });
    const { status, json } = await ask(body === undefined ? 'GET' : 'POST', path, body);
    expect(status).toBe(400);
    expect(json.error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_request', param });
    expect(json.error.message).toMatch(message);
  });
});

test('titles and notes are dropped unless text is kept', async () => {
  for (const outcomesText of ['off', 'on']) {
    const { ask, store } = await outcomesServer({ flags: { outcomesText } });
    await ask('POST', '/v1/tasks', { id: 'a', title: 'the secret plan' });
    await ask('POST', '/v1/tasks/a/events', { id: 'e', type: 'reviewed', note: 'the secret word' });
    const kept = JSON.stringify([...store.readAll(0)]);
    expect(kept.includes('secret')).toBe(outcomesText === 'on');
  }
});

test('a server without a record says how to have one', async () => {
  const clock = new VirtualClock();
  const http = httpServer({ clock, app: { routes: taskRoutes(null) } });
  const server = new ResponsesServer(clock, http, []);
  await server.transport.listen('127.0.0.1', 0, http.app.handlers);
  const { status, json } = await server.request('GET', '/v1/tasks');
  expect(status).toBe(400);
  expect(json).toMatchObject({
    error: { code: 'unsupported', message: expect.stringContaining('--outcomes-db') },
  });
});

test('a store that fails is an error of that request alone', async () => {
  let broken = false;
  const port = (store: ConstructorParameters<typeof LocalPort>[0], clock: VirtualClock): StorePort => {
    const whole = new LocalPort(store, clock);
    return {
      call: (call, done) =>
        broken ? clock.defer(() => done({ ok: false, message: 'disk full' })) : whole.call(call, done),
      close: (done) => whole.close(done),
    };
  };
  const { ask, logLines, metricsText, outcomes, server } = await outcomesServer({ port });
  broken = true;
  const { status, json } = await ask('POST', '/v1/tasks', { id: 'a' });
  expect(status).toBe(500);
  expect(json.error.message).toContain('disk full');
  outcomes.recorder.observe({ op: 'phase', owner: '', task: 'a', request: 'r', phase: 'plan' });
  await server.settle();
  expect(logLines.filter((line) => line.includes('tasks cannot be recorded'))).toHaveLength(1); // not one per request
  expect(await metricsText()).toMatch(/sparklane_outcome_losses_total\{reason="store-failed"\} 1/);
  broken = false;
  expect((await ask('POST', '/v1/tasks', { id: 'a' })).status).toBe(201);
});

test('what the queue has no room for is dropped and counted, and nobody waits', async () => {
  const { outcomes, metricsText, server } = await outcomesServer({ flags: { outcomesQueueMax: 16 } });
  const observation = { op: 'phase', owner: '', task: 'a', request: 'r', phase: 'plan' } as const;
  const taken = Array.from({ length: 20 }, () => outcomes.recorder.observe(observation));
  expect(taken.filter((each) => each)).toHaveLength(16);
  expect(await metricsText()).toMatch(/sparklane_outcome_losses_total\{reason="queue-full"\} 4/);
  expect(await metricsText()).toMatch(/sparklane_outcome_queue_length 16/);
  await server.settle();
  expect(await metricsText()).toMatch(/sparklane_outcome_queue_length 0/);
  expect(outcomes.recorder.observe(observation)).toBe(true);
});
