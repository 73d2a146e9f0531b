// A run that several threads play is the run that one plays: the same sessions at the same times, each once, counted alike.
import { expect, test } from 'vitest';
import { runLoadtest } from '../../../../../loadtest/main.ts';
import { messageOf, turnOf } from '../../../../../loadtest/measure/workers/turn-message.ts';
import { Histogram } from '../../../../../loadtest/statistics/histogram.ts';
import { loadPart, partOf, sharedOut } from '../../../../../loadtest/workload/share.ts';
import { smallPlan, virtualRun } from '../../../../load-world.ts';
import { MemoryIo } from '../../../../memory-io.ts';
import { ScriptedServer } from '../../../../sse-server.ts';

const server = { ttftMs: 80, gapMs: 20 };

test('parts of a load play each session once, at its time', () => {
  for (const load of [
    { kind: 'poisson', perSecond: 10 },
    { kind: 'constant', perSecond: 10 },
  ] as const) {
    const played = (plan: ReturnType<typeof smallPlan>) =>
      virtualRun(plan, server).turns.map(({ session, timeline }) => [session.index, timeline.intendedMs]);
    const whole = played({ ...smallPlan(), load });
    const parts = [0, 1, 2].flatMap((index) => played({ ...smallPlan(), load, share: { index, count: 3 } }));
    expect(parts.sort((a, b) => a[0]! - b[0]!)).toEqual(whole.sort((a, b) => a[0]! - b[0]!));
  }
});

test('parts add up to the whole', () => {
  for (const total of [0, 1, 7, 100]) {
    const parts = [0, 1, 2].map((index) => partOf(total, { index, count: 3 }));
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total);
  }
  expect(partOf(Number.POSITIVE_INFINITY, { index: 2, count: 3 })).toBe(Number.POSITIVE_INFINITY);
  expect(loadPart({ kind: 'closed', users: 5 }, { index: 1, count: 2 })).toEqual({
    kind: 'closed',
    users: 2,
  });
  expect([...sharedOut([1, 2, 3, 4, 5].values(), { index: 1, count: 2 })]).toEqual([2, 4]);
});

test('a turn that comes from a thread is measured as it was there', () => {
  const [turn] = virtualRun(smallPlan(), server).turns;
  const back = turnOf(structuredClone(messageOf(turn!)));
  const gapsOf = ({ timeline }: typeof back) => {
    const gaps: number[][] = [];
    timeline.eachGap((...gap) => gaps.push(gap));
    return gaps;
  };
  expect(gapsOf(back)).toEqual(gapsOf(turn!));
  expect(gapsOf(back).length).toBeGreaterThan(5);
  expect(back.timeline).toMatchObject({ intendedMs: turn!.timeline.intendedMs, endMs: turn!.timeline.endMs });
  expect(back.measures).toEqual(turn!.measures);
  expect(back.session).toEqual({ index: turn!.session.index, name: turn!.session.name });
});

test('a histogram goes to another thread whole', () => {
  const [here, there] = [new Histogram(), new Histogram()];
  for (const ms of [0.1, 5, 5, 700]) here.record(ms);
  there.record(9);
  there.add(structuredClone(here.data));
  expect([there.count, there.minMs, there.maxMs]).toEqual([5, 0.1, 700]);
  expect(there.meanMs).toBeCloseTo((0.1 + 5 + 5 + 700 + 9) / 5, 9);
  expect(there.quantileMs(0.5)).toBeCloseTo(5, 1);
});

test('threads against a real server: every session once, none lost in between', async () => {
  const answering = await ScriptedServer.start((_, response) => {
    response.stream();
    const chunk = (delta: object, rest: object = {}) => ({
      ...{ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'scripted' },
      choices: [{ index: 0, delta, finish_reason: null }],
      ...rest,
    });
    for (const text of ['a ', 'b ', 'c']) response.event(chunk({ content: text }));
    response.event({ ...chunk({}), choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
    response.event(
      chunk({}, { choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } }),
    );
    response.event('[DONE]');
    response.end();
  });
  const io = new MemoryIo();
  const flags = ['--target', 'chat', '--url', answering.url, '--model', 'scripted', '--workers', '2'];
  const load = [
    '--workload',
    'synthetic',
    '--isl',
    '9',
    '--osl',
    '3',
    '--load',
    'closed:3',
    '--sessions',
    '12',
  ];
  const rest = ['--duration', '20s', '--warmup', '0s', '--no-live', '--out', 'report'];
  await runLoadtest([...flags, ...load, ...rest], io);
  await answering.stop();
  const { counters } = JSON.parse(io.files.get('report/report.json')!);
  expect(counters).toMatchObject({ turns: 12, outputTokens: 36, sessions: 12, completeSessions: 12 });
  const lines = io.files.get('report/turns.csv')!.trim().split('\n').slice(1);
  const sessions = lines.map((line) => Number(line.split(',')[0]));
  expect(new Set(sessions).size).toBe(12);
});
