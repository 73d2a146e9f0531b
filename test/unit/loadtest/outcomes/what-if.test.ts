import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { addRequest, noSums, rateOf } from '../../../../loadtest/outcomes/lane-rates.ts';
import { replay } from '../../../../loadtest/outcomes/replay.ts';
import { whatIf } from '../../../../loadtest/outcomes/what-if.ts';
import { whatIfTable } from '../../../../loadtest/outcomes/what-if-table.ts';
import { decideRoute, NEW_SESSION, nextState } from '../../../../server/lanes/decide.ts';
import { parsePolicy } from '../../../../server/lanes/policy.ts';
import type { TaskRecord, TaskRequest } from '../../../../server/outcomes/task-record.ts';
import { TaskTracker } from '../../../../server/outcomes/tracker.ts';
import { lanesServer } from '../../../lanes-world.ts';
import { NO_SIGNALS, newTask, START_MS, taskRequest } from '../../../outcome-records.ts';
import { outcomesOn } from '../../../outcome-world.ts';

const STANDARD = parsePolicy(JSON.parse(readFileSync('policies/default.json', 'utf8')));

/** Everything with so many files goes to the strong lane, all else to the quick one. */
function threshold(files: number) {
  return parsePolicy({
    name: `files-${files}`,
    order: ['spark', 'reliability'],
    words: {},
    classes: {
      small: { lane: 'spark', costOfFailure: 'low' },
      wide: { lane: 'reliability', costOfFailure: 'high' },
    },
    rules: [
      { name: 'wide', when: { facts: { filesNamed: { atLeast: files } } }, class: 'wide', reason: 'wide' },
    ],
    otherwise: { class: 'small', reason: 'small' },
    promote: [],
    demote: [],
  });
}

const PACE = { spark: { baseMs: 100, perTokenMs: 2 }, reliability: { baseMs: 500, perTokenMs: 20 } };

/** One request of a session of its own, as the policy with a threshold of 3 files had decided. */
function recorded(id: number, files: number, outputTokens: number, noise = 1): TaskRecord {
  const lane = files >= 3 ? 'reliability' : 'spark';
  const { baseMs, perTokenMs } = PACE[lane];
  const request = taskRequest({
    ...{ id: `r${id}`, session: `s${id}`, lane, decided: lane, policy: 'files-3' },
    taskClass: lane === 'spark' ? 'small' : 'wide',
    signals: { ...NO_SIGNALS, filesNamed: files },
    end: {
      ...{
        durationMs: (baseMs + perTokenMs * outputTokens) * noise,
        promptTokens: 0,
        cachedTokens: 0,
        outputTokens,
      },
      ...{ cost: outputTokens * (lane === 'spark' ? 1 : 10), failed: false },
    },
  });
  return { task: { ...newTask({ id: `t${id}` }), updatedMs: START_MS }, events: [], requests: [request] };
}

function many(count: number, noisy = false): TaskRecord[] {
  const random = new Random(11);
  return Array.from({ length: count }, (_, id) =>
    recorded(id, random.integer(1, 6), random.integer(20, 400), noisy ? 0.8 + random.next() * 0.4 : 1),
  );
}

test('the policy that was recorded changes nothing', () => {
  const made = whatIf(many(40), { policy: threshold(3), prices: null, seed: 1 });
  expect(made).toMatchObject({ movedCount: 0, moves: [], requestCount: 40 });
  for (const { recorded: was, estimated, interval } of [made.modelMs, made.totalMs, made.cost]) {
    expect(estimated).toBeCloseTo(was, 6);
    expect(interval).toEqual({ low: 0, high: 0 });
  }
});

test('what moves gets the pace and the price of its new lane, exactly where there is no noise', () => {
  const records = many(60);
  const made = whatIf(records, { policy: threshold(5), prices: null, seed: 1 });
  const moving = records
    .flatMap(({ requests }) => requests)
    .filter(({ signals: { filesNamed: n } }) => n === 3 || n === 4);
  expect(made.movedCount).toBe(moving.length);
  const tokens = moving.reduce((sum, { end }) => sum + end!.outputTokens, 0);
  expect(made.modelMs.recorded - made.modelMs.estimated).toBeCloseTo(400 * moving.length + 18 * tokens, 4);
  expect(made.cost.recorded - made.cost.estimated).toBeCloseTo(9 * tokens, 4);
  expect(made.moves).toEqual([
    expect.objectContaining({
      from: 'reliability',
      to: 'spark',
      rule: 'otherwise',
      extrapolatedCount: moving.length,
    }),
  ]);
  expect(whatIfTable(made)).toContain(`extrapolated: ${moving.length} requests are of a class`);
});

test('the interval holds the truth where the pace is noisy, and the seed decides it', () => {
  const policy = threshold(5);
  const made = whatIf(many(200, true), { policy, prices: null, seed: 7 });
  const truth = whatIf(many(200), { policy, prices: null, seed: 7 });
  expect(made.modelMs.interval!.low).toBeLessThan(truth.modelMs.change!);
  expect(made.modelMs.interval!.high).toBeGreaterThan(truth.modelMs.change!);
  expect(whatIf(many(200, true), { policy, prices: null, seed: 7 })).toEqual(made);
  expect(whatIf(many(200, true), { policy, prices: null, seed: 8 }).modelMs.interval).not.toEqual(
    made.modelMs.interval,
  );
});

test('a lane without records is not guessed at', () => {
  const records = many(20).filter(({ requests: [request] }) => request!.lane === 'spark');
  const made = whatIf(records, { policy: threshold(1), prices: null, seed: 1 });
  expect(made.movedCount).toBe(records.length);
  expect(made.modelMs.change).toBe(0);
  expect(made.moves[0]!.known).toBe(false);
  expect(whatIfTable(made)).toContain('nothing known: reliability has no requests');
});

test('a request that named its lane keeps it, and a single task has no interval', () => {
  const [record] = many(1);
  const requests = record!.requests.map((request) => ({ ...request, asked: request.lane }));
  const made = whatIf([{ ...record!, requests }], { policy: threshold(1), prices: null, seed: 1 });
  expect(made).toMatchObject({ pinnedCount: 1, movedCount: 0 });
  expect(made.modelMs.interval).toBeNull();
  expect(whatIfTable(made)).toContain('too few tasks');
});

test('prices of a lanes file go before those of the record', () => {
  const records = many(30);
  const prices = {
    spark: { inputPerMillion: 0, outputPerMillion: 5e6 },
    reliability: { inputPerMillion: 0, outputPerMillion: 0 },
  };
  const made = whatIf(records, { policy: threshold(7), prices, seed: 1 });
  const moving = records.flatMap(({ requests }) => requests).filter(({ lane }) => lane === 'reliability');
  const tokens = moving.reduce((sum, { end }) => sum + end!.outputTokens, 0);
  expect(made.cost.recorded - made.cost.estimated).toBeCloseTo((10 - 5) * tokens, 4);
});

test('words that the record lacks are named', () => {
  const made = whatIf(many(3), { policy: STANDARD, prices: null, seed: 1 });
  expect(made.unknownWords).toContain('rework');
  expect(whatIfTable(made)).toContain('not recorded: words.');
});

test('replaying the policy that decided gives the decisions that were made, whatever the sessions', () => {
  const signals = fc.record({
    turnIndex: fc.nat(20),
    midTurn: fc.boolean(),
    filesTouched: fc.nat(12),
    linesChanged: fc.nat(900),
    filesNamed: fc.nat(8),
    reworkTurns: fc.nat(4),
    toolFailures: fc.nat(5),
    background: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), signals), { maxLength: 30 }), (turns) => {
      const states = new Map<number, typeof NEW_SESSION>();
      const requests = turns.map(([session, some], index): TaskRequest => {
        const whole = { ...NO_SIGNALS, ...some };
        const state = states.get(session) ?? NEW_SESSION;
        const decision = decideRoute(STANDARD, whole, some.background ? { ...state, lane: null } : state);
        if (!some.background) states.set(session, nextState(state, decision, whole));
        const lane = decision.lane;
        const end = { ...taskRequest().end!, durationMs: 0 }; // nothing overlaps
        const id = `r${String(index).padStart(3, '0')}`;
        return taskRequest({
          id,
          session: `${session}`,
          atMs: START_MS + index,
          lane,
          decided: lane,
          signals: whole,
          background: some.background,
          end,
        });
      });
      const task = { ...newTask(), updatedMs: START_MS };
      for (const { request, lane } of replay([{ task, events: [], requests }], STANDARD)) {
        expect(lane).toBe(request.decided);
      }
    }),
  );
});

test('a lane’s pace is a base and so much per token, and never less than nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(2000), fc.nat(60_000)), { minLength: 1, maxLength: 40 }),
      (points) => {
        const sums = noSums();
        for (const [outputTokens, durationMs] of points) {
          const end = { ...taskRequest().end!, outputTokens, durationMs };
          addRequest(sums, taskRequest({ end }), end);
        }
        const rate = rateOf(sums)!;
        expect(rate.baseMs).toBeGreaterThanOrEqual(0);
        expect(rate.msPerToken).toBeGreaterThanOrEqual(0);
        const predicted = sums.count * rate.baseMs + sums.x * rate.msPerToken;
        expect(predicted).toBeCloseTo(sums.y, 2); // whatever the line, its sum is what was measured
      },
    ),
  );
});

test('what a server recorded is replayed to what it decided, promotions and background work included', async () => {
  let store: ReturnType<typeof outcomesOn>['store'] | null = null;
  const server = await lanesServer({
    beside: (clock) => {
      const made = outcomesOn(clock);
      store = made.store;
      return { observer: new TaskTracker(made.outcomes), routes: [] };
    },
  });
  const asked =
    (prompt_cache_key: string) =>
    async (content: string, more: object = {}) =>
      server.create({ model: 'auto', input: content, prompt_cache_key, ...more });
  const [one, two] = [asked('one'), asked('two')];
  const first = await one('Rename x in a.ts');
  const grown = { previous_response_id: (first.json as { id: string }).id };
  await one('Refactor the whole codebase on your own until all tests pass', grown);
  await one('Refactor the error handling across all packages', { background: true });
  await one('Fix the typo in README.md', grown);
  await two('Change how passwords are checked at login');
  await two('No, that is wrong, undo it');
  await two('What does parsePolicy do?', { model: 'spark' });
  await server.settle();
  const records = [...store!.readAll(0)];
  const requests = records.flatMap((record) => record.requests);
  expect(requests).toHaveLength(7);
  expect(new Set(requests.map(({ decided }) => decided)).size).toBe(2);
  for (const { request, lane } of replay(records, STANDARD)) expect(lane).toBe(request.lane);
  const made = whatIf(records, { policy: STANDARD, prices: null, seed: 1 });
  expect(made).toMatchObject({ movedCount: 0, pinnedCount: 1, unendedCount: 0, unknownWords: [] });
});
