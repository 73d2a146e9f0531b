import { expect, test } from 'vitest';
import { taskRoutes } from '../../../../server/outcomes/routes.ts';
import { summariseTask } from '../../../../server/outcomes/task-summary.ts';
import { TaskTracker } from '../../../../server/outcomes/tracker.ts';
import { type LanesServer, type LanesServerOptions, lanesServer } from '../../../lanes-world.ts';
import { START_MS } from '../../../outcome-records.ts';
import { outcomesOn } from '../../../outcome-world.ts';
import { chunksOf } from '../../../scripted-wire.ts';

const CODE = 'const a = 1;\nconst b = 2;\nconst c = 3;\n';
const DIFF = '@@ -1,3 +1,3 @@\n const a = 1;\n-const b = 2;\n+const b = 20;\n const c = 3;\n';

async function tracked(
  say: (prompt: string) => string = () => 'done',
  flags: Record<string, unknown> = {},
  upstream: LanesServerOptions['upstream'] = undefined,
) {
  let made: ReturnType<typeof outcomesOn> | null = null;
  const server = await lanesServer({
    say,
    ...(upstream !== undefined && { upstream }),
    beside: (clock) => {
      made = outcomesOn(clock, { flags });
      return { observer: new TaskTracker(made.outcomes), routes: taskRoutes(made.outcomes) };
    },
  });
  return { server, ...made! };
}

const user = (content: string) => ({ role: 'user', content });
const called = (name: string, args: object, id = 'c1') => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id, type: 'function', function: { name, arguments: JSON.stringify(args) } }],
});
const output = (content: string, id = 'c1') => ({ role: 'tool', tool_call_id: id, content });
const codex = (code: number, seconds = 1) =>
  `Chunk ID: 1\nWall time: ${seconds} seconds\nProcess exited with code ${code}\nOutput:\nx`;

/** One turn of a conversation after a pause; the answer is the test's, the history its own. */
async function turn(server: LanesServer, pauseMs: number, messages: readonly object[], more: object = {}) {
  const untilMs = server.clock.nowMs() + pauseMs;
  await server.settle(untilMs);
  const body = { model: 'spark', messages, prompt_cache_key: 'one', max_tokens: 200, ...more };
  const call = server.send('POST', '/v1/chat/completions', body);
  await server.settle(server.clock.nowMs() + 900);
  if (call.status !== 200) throw new Error(call.text);
}

test('an agent’s work becomes a task: model, tools, checks, review, rework and the commit that accepts it', async () => {
  const { server, store } = await tracked(() => `Here:\n\`\`\`diff\n${DIFF}\`\`\`\n`);
  const first = [user(`Change b to 20:\n${CODE}`)];
  await turn(server, 0, first);
  const ran = [...first, called('shell', { command: 'ls' }), output(codex(0))];
  await turn(server, 10_000, ran);
  const tested = [...ran, called('shell', { command: 'npm test' }, 'c2'), output(codex(1), 'c2')];
  await turn(server, 20_000, tested);
  const sentBack = [...tested, { role: 'assistant', content: 'There.' }, user('No, that is wrong, undo it')];
  await turn(server, 30_000, sentBack);
  const mended = [...sentBack, called('shell', { command: 'npm test' }, 'c3'), output(codex(0), 'c3')];
  await turn(server, 40_000, mended);
  const committed = [
    ...mended,
    called('shell', { command: 'git commit -am x' }, 'c4'),
    output(codex(0), 'c4'),
  ];
  await turn(server, 5000, committed);
  const records = [...store.readAll(0)];
  expect(records).toHaveLength(1);
  const [record] = records as [(typeof records)[0]];
  expect(record.requests.map(({ phase }) => phase)).toEqual([
    'model',
    'model',
    'model',
    'rework',
    'rework',
    'rework',
  ]);
  expect(record.events.map(({ kind, exitCode, source }) => [kind, exitCode, source])).toEqual([
    ['diff_proposed', null, 'derived'],
    ['tool_run', 0, 'derived'],
    ['diff_proposed', null, 'derived'],
    ['verified', 1, 'derived'],
    ['diff_proposed', null, 'derived'],
    ['reviewed', null, 'derived'],
    ['reworked', null, 'derived'],
    ['diff_proposed', null, 'derived'],
    ['verified', 0, 'derived'],
    ['diff_proposed', null, 'derived'],
    ['tool_run', 0, 'derived'],
    ['accepted', null, 'derived'],
    ['diff_proposed', null, 'derived'],
  ]);
  const summary = summariseTask(record);
  expect(summary).toMatchObject({
    outcome: 'accepted',
    firstPass: false,
    reworkCycles: 1,
    lane: 'spark',
    source: 'derived',
  });
  const { phaseMs } = summary;
  expect(phaseMs.tools).toBeCloseTo(10_000 + 900 - modelMs(record, 0), 0);
  expect(phaseMs.verify).toBeCloseTo(20_000 + 900 - modelMs(record, 1), 0);
  expect(phaseMs.review).toBeCloseTo(30_000 + 900 - modelMs(record, 2), 0);
  expect(phaseMs.model).toBeCloseTo(modelMs(record, 0) + modelMs(record, 1) + modelMs(record, 2), 3);
  expect(phaseMs.rework).toBeGreaterThan(45_000);
  expect(summary.firstDiffMs).toBeGreaterThan(0);
  expect(summary.firstDiffMs!).toBeLessThan(modelMs(record, 0)); // before the answer was over
});

test('nothing of what was said is kept, unless text is', async () => {
  for (const outcomesText of ['off', 'on']) {
    const { server, store } = await tracked(() => 'the secret answer', { outcomesText });
    const messages = [
      user('the secret question'),
      called('shell', { command: 'echo the secret command' }),
      output('the secret output'),
    ];
    await turn(server, 0, messages, { metadata: { task_id: 'the secret task' } });
    await turn(server, 0, [
      ...messages,
      { role: 'assistant', content: 'the secret answer' },
      user('more secrets'),
    ]);
    const kept = JSON.stringify([...store.readAll(0)]);
    expect(kept).not.toMatch(/secret (answer|command|output|task)/);
    expect(kept.includes('the secret question')).toBe(outcomesText === 'on');
  }
});

test('a named task is one, whatever its conversations, and joins what its client reports', async () => {
  const { server, store } = await tracked();
  await server.request('POST', '/v1/tasks', { id: 'T-7', task_class: 'fix' });
  await turn(server, 0, [user('one')], { metadata: { task_id: 'T-7' }, prompt_cache_key: 'a' });
  await turn(server, 0, [user('two')], { metadata: { task_id: 'T-7' }, prompt_cache_key: 'b' });
  await server.request('POST', '/v1/tasks/T-7/events', { type: 'accepted' });
  const call = await server.request('GET', '/v1/tasks/T-7');
  expect(call.json).toMatchObject({
    source: 'both',
    task_class: 'fix',
    outcome: 'accepted',
    request_count: 2,
  });
  expect([...store.readAll(0)]).toHaveLength(1);
});

test('an answer names its task, so that its client can say what came of it', async () => {
  const { server } = await tracked();
  const body = { model: 'auto', messages: [user('fix a.ts')], max_tokens: 20 };
  const { json } = await server.request('POST', '/v1/chat/completions', body);
  const id = (json as { metadata: Record<string, string> }).metadata['sparklane_task']!;
  await server.request('POST', `/v1/tasks/${id}/events`, { type: 'accepted' });
  const task = await server.request('GET', `/v1/tasks/${id}`);
  expect(task.json).toMatchObject({ id, outcome: 'accepted', first_pass: true, request_count: 1 });
});

test('the Responses API tells of a task too, along its chain', async () => {
  const { server, store } = await tracked();
  const first = await server.create({ model: 'spark', input: 'hello', metadata: { task_id: 'chain' } });
  const id = (first.json as { id: string }).id;
  await server.create({
    model: 'spark',
    input: 'more',
    previous_response_id: id,
    metadata: { task_id: 'chain' },
  });
  const second = await server.create({ model: 'spark', input: 'hello again' });
  await server.create({
    model: 'spark',
    input: 'more',
    previous_response_id: (second.json as { id: string }).id,
  });
  const counts = [...store.readAll(0)].map(({ task, requests }) => [task.id === 'chain', requests.length]);
  expect(counts.sort()).toEqual([
    [false, 2],
    [true, 2],
  ]);
});

test('an edit that its tool carried out is a useful diff; one that failed is none', async () => {
  const { server, store } = await tracked();
  const patch = { patch: `*** Begin Patch\n*** Update File: a.ts\n${DIFF}*** End Patch` };
  const asked = [user('edit it')];
  await turn(server, 0, asked);
  const failed = [...asked, called('apply_patch', patch), output('error: hunk does not apply')];
  await turn(server, 1000, failed);
  const done = [...failed, called('apply_patch', patch, 'c2'), output('Success. Updated a.ts', 'c2')];
  await turn(server, 1000, done);
  const [record] = [...store.readAll(0)];
  const diffs = record!.events.filter(({ kind }) => kind === 'diff_proposed');
  expect(diffs).toHaveLength(1);
  expect(diffs[0]!.ok).toBe(true);
  expect(diffs[0]!.atMs).toBe(Math.round(endMs(record!.requests[1]!))); // when the call was over
});

test('something new after a commit, or after a long silence, is another task', async () => {
  const { server, store } = await tracked();
  const asked = [user('edit it')];
  await turn(server, 0, asked);
  const committed = [...asked, called('shell', { command: 'git commit -m x' }), output(codex(0))];
  await turn(server, 1000, committed);
  const next = [...committed, { role: 'assistant', content: 'ok' }, user('now add a flag')];
  await turn(server, 1000, next);
  const later = [...next, { role: 'assistant', content: 'ok' }, user('one more')];
  await turn(server, 2_000_000, later);
  const records = [...store.readAll(0)];
  expect(records.map(({ requests }) => requests.length)).toEqual([2, 1, 1]);
  expect(records[1]!.events).toEqual([]); // the commit is not told twice
  expect(summariseTask(records[0]!).outcome).toBe('accepted');
});

test('a plan’s request counts as planning', async () => {
  const { server, store } = await tracked();
  const asked = [user('a large thing')];
  await turn(server, 0, asked);
  await turn(server, 100, [...asked, called('update_plan', { plan: [] }), output('Plan updated')]);
  const [record] = [...store.readAll(0)];
  expect(record!.requests.map(({ phase }) => phase)).toEqual(['plan', 'model']);
  expect(record!.events.map(({ kind }) => kind)).toContain('planned');
  expect(summariseTask(record!).phaseMs.plan).toBeCloseTo(modelMs(record!, 0), 3);
});

test('work in the background costs, but nobody waits for it', async () => {
  const { server, store } = await tracked();
  await server.create({ model: 'spark', input: 'go', background: true, prompt_cache_key: 'one' });
  await server.settle(server.clock.nowMs() + 1000);
  const [record] = [...store.readAll(0)];
  expect(record!.requests[0]).toMatchObject({ background: true, lane: 'spark' });
  const summary = summariseTask(record!);
  expect(summary.totalMs).toBe(0);
  expect(summary.cost).toBeGreaterThan(0);
});

function modelMs(
  { requests }: { readonly requests: readonly { end: { durationMs: number } | null }[] },
  index: number,
) {
  return requests[index]!.end!.durationMs;
}

function endMs({
  atMs,
  waitedMs,
  end,
}: {
  atMs: number;
  waitedMs: number;
  end: { durationMs: number } | null;
}) {
  expect(atMs).toBeGreaterThanOrEqual(START_MS);
  return atMs + waitedMs + end!.durationMs;
}

test.each([
  ['a stream', true],
  ['a whole answer', false],
])(
  'the model’s time starts at arrival: a lane that is silent for 4 s took them, in %s',
  async (_, stream) => {
    const diff = `\`\`\`diff\n${DIFF}\`\`\`\n`;
    const { server, store } = await tracked(
      () => '',
      {},
      () => ({
        ...{
          afterMs: 4000,
          pieces: chunksOf([diff.slice(0, 40), diff.slice(40), ' and', ' more']),
          pieceMs: 1500,
        },
      }),
    );
    const body = {
      model: 'reliability',
      messages: [user(`Change b to 20:\n${CODE}`)],
      max_tokens: 200,
      stream,
    };
    const call = server.send('POST', '/v1/chat/completions', body);
    await server.settle(20_000);
    expect(call.status).toBe(200);
    const [record] = [...store.readAll(0)];
    const { phaseMs, firstDiffMs } = summariseTask(record!);
    expect(record!.task.createdMs).toBe(START_MS);
    expect(record!.requests[0]).toMatchObject({ atMs: START_MS, waitedMs: 0 });
    // 4 s of silence, then at least four pieces, 1.5 s apart.
    expect(phaseMs.model).toBeGreaterThanOrEqual(4000 + 3 * 1500);
    expect(phaseMs.model).toBeLessThan(4000 + 8 * 1500);
    expect(firstDiffMs).toBeGreaterThanOrEqual(4000);
    expect(firstDiffMs).toBeLessThanOrEqual(4000 + 2 * 1500);
  },
);
