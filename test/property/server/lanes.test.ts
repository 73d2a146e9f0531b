// What holds for every policy input and every order of events: decisions are pure, limits are kept, no request is in two
// lanes at once, and whatever was held is given back.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../kernels/clock.ts';
import { decideRoute, NEW_SESSION, nextState, type RouteState } from '../../../server/lanes/decide.ts';
import { type GateLimits, LaneGate, type Ticket } from '../../../server/lanes/gate.ts';
import { parsePolicy } from '../../../server/lanes/policy.ts';
import type { TaskSignals } from '../../../server/lanes/signals.ts';
import { TokenBucket } from '../../../server/lanes/token-bucket.ts';
import { lanesServer } from '../../lanes-world.ts';
import { chunksOf } from '../../scripted-wire.ts';

const policy = parsePolicy(JSON.parse(readFileSync('policies/default.json', 'utf8')));
const count = fc.nat(6);

const signals: fc.Arbitrary<TaskSignals> = fc.record({
  turnIndex: count,
  midTurn: fc.boolean(),
  promptTokens: fc.constantFrom(0, 20, 300, 5000),
  contextTokens: fc.nat(100_000),
  outputTokensMax: fc.option(fc.nat(10_000)),
  toolsOffered: count,
  toolCalls: count,
  toolFailures: count,
  recentFailures: count,
  filesNamed: count,
  filesTouched: count,
  linesChanged: fc.constantFrom(0, 20, 500),
  reworkTurns: count,
  background: fc.boolean(),
  words: fc.dictionary(fc.constantFrom(...Object.keys(policy.words)), fc.nat(2)),
});

const state: fc.Arbitrary<RouteState> = fc.record({
  lane: fc.constantFrom(null, 'spark', 'reliability'),
  turnsInLane: count,
  promotions: count,
  delegated: fc.nat(2),
  filesTouched: count,
  linesChanged: fc.constantFrom(0, 20, 500),
  reworkTurns: count,
});

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) frozen(inner);
    Object.freeze(value);
  }
  return value;
}

test('a decision is a pure function of policy, signals and state, and survives JSON', () => {
  frozen(policy);
  fc.assert(
    fc.property(signals, state, (given, past) => {
      const decision = decideRoute(policy, frozen(given), frozen(past));
      const copied = JSON.parse(JSON.stringify([given, past])) as [TaskSignals, RouteState];
      expect(decideRoute(parsePolicy(JSON.parse(JSON.stringify(policy))), ...copied)).toEqual(decision);
      expect(policy.order).toContain(decision.lane);
      expect(decision.reason).not.toMatch(/\{\w+\}/);
    }),
  );
});

test('promotion goes right, demotion left, staying stays, and neither moves a session within a turn down', () => {
  const rank = (lane: string | null) => policy.order.indexOf(lane!);
  fc.assert(
    fc.property(signals, state, (given, past) => {
      const { move, lane, from } = decideRoute(policy, given, past);
      expect(from).toBe(past.lane);
      if (move === 'start') expect(past.lane).toBeNull();
      else if (move === 'stay') expect(lane).toBe(past.lane);
      else if (move === 'promote') expect(rank(lane)).toBeGreaterThan(rank(past.lane));
      else {
        expect(rank(lane)).toBeLessThan(rank(past.lane));
        expect(given.midTurn).toBe(false);
      }
    }),
  );
});

test('the same request again does not swing between lanes', () => {
  fc.assert(
    fc.property(signals, (given) => {
      let past: RouteState = NEW_SESSION;
      const lanes: string[] = [];
      for (let turn = 0; turn < 6; turn++) {
        const decision = decideRoute(policy, given, past);
        lanes.push(decision.lane);
        past = nextState(past, decision, given);
      }
      const moves = lanes.filter((lane, index) => index > 0 && lane !== lanes[index - 1]).length;
      expect(moves).toBeLessThanOrEqual(1);
    }),
  );
});

test('a bucket never gives more in a span than a minute’s worth and what flowed in', () => {
  const events = fc.array(fc.record({ waitMs: fc.nat(30_000), amount: fc.integer({ min: 1, max: 50 }) }), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(fc.integer({ min: 50, max: 500 }), events, (perMinute, asks) => {
      const bucket = new TokenBucket(perMinute, 0);
      const taken: { readonly atMs: number; readonly amount: number }[] = [];
      let nowMs = 0;
      for (const { waitMs, amount } of asks) {
        nowMs += waitMs;
        const missingMs = bucket.missingMs(amount, nowMs);
        if (missingMs > 0) nowMs += missingMs; // whoever waits as long as it is told gets it
        expect(bucket.missingMs(amount, nowMs)).toBe(0);
        bucket.take(amount, nowMs);
        taken.push({ atMs: nowMs, amount });
      }
      for (const [first, { atMs: from }] of taken.entries()) {
        let sum = 0;
        for (const { atMs, amount } of taken.slice(first)) {
          sum += amount;
          expect(sum).toBeLessThanOrEqual(perMinute + ((atMs - from) * perMinute) / 60_000 + 1e-3);
        }
      }
    }),
  );
});

interface Arrival {
  readonly atMs: number;
  readonly owner: string;
  readonly tokens: number;
  readonly workMs: number;
  readonly leavesAfterMs: number | null;
}

const arrival: fc.Arbitrary<Arrival> = fc.record({
  atMs: fc.nat(60_000),
  owner: fc.constantFrom('a', 'b'),
  tokens: fc.integer({ min: 1, max: 200 }),
  workMs: fc.nat(20_000),
  leavesAfterMs: fc.option(fc.nat(20_000)),
});

const limits: fc.Arbitrary<GateLimits> = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  queueLengthMax: fc.nat(6),
  queueWaitMsMax: fc.integer({ min: 1, max: 60_000 }),
  requestsPerMinute: fc.option(fc.integer({ min: 2, max: 20 }), { nil: undefined }),
  tokensPerMinute: fc.option(fc.integer({ min: 200, max: 1000 }), { nil: undefined }),
  perKey: fc.option(fc.record({ requestsPerMinute: fc.integer({ min: 1, max: 10 }) }), { nil: undefined }),
});

test('a gate keeps its limits under every interleaving, answers everybody, and is empty at the end', () => {
  fc.assert(
    fc.property(limits, fc.array(arrival, { maxLength: 25 }), (given, arrivals) => {
      const clock = new VirtualClock();
      const gate = new LaneGate(given, clock);
      const admitted: { readonly atMs: number; readonly arrival: Arrival }[] = [];
      let running = 0;
      let answered = 0;
      const work = (one: Arrival, ticket: Ticket) => {
        answered++;
        running++;
        expect(running).toBeLessThanOrEqual(given.concurrency);
        admitted.push({ atMs: clock.nowMs(), arrival: one });
        clock.schedule(one.workMs, () => {
          running--;
          ticket.leave(one.tokens);
          ticket.leave(one.tokens); // idempotent
        });
      };
      for (const one of arrivals) {
        clock.schedule(one.atMs, () => {
          const ticket = gate.tryEnter(one);
          if (ticket !== null) {
            work(one, ticket);
            return;
          }
          let over = false;
          const waiting = gate.wait(one, {
            onTicket: (granted) => {
              expect(over).toBe(false);
              over = true;
              work(one, granted);
            },
            onTooLong: () => {
              expect(over).toBe(false);
              over = true;
              answered++;
            },
            onPlace: ({ position, estimatedWaitMs }) => {
              expect(position).toBeGreaterThanOrEqual(1);
              expect(position).toBeLessThanOrEqual(given.queueLengthMax);
              expect(estimatedWaitMs).toBeGreaterThanOrEqual(0);
            },
          });
          if (waiting === null) answered++;
          else if (one.leavesAfterMs !== null) {
            clock.schedule(one.leavesAfterMs, () => {
              waiting.cancel();
              if (!over) answered++;
              over = true;
            });
          }
          expect(gate.report.waiting).toBeLessThanOrEqual(given.queueLengthMax);
        });
      }
      clock.run();
      expect(answered).toBe(arrivals.length);
      expect(gate.report).toEqual({ running: 0, waiting: 0 });
      const { requestsPerMinute = NO_LIMIT, perKey } = given;
      keeps(admitted, requestsPerMinute);
      for (const owner of ['a', 'b']) {
        const own = admitted.filter(({ arrival: { owner: whose } }) => whose === owner);
        keeps(own, perKey?.requestsPerMinute ?? NO_LIMIT);
      }
    }),
  );
});

const NO_LIMIT = 1e9;

function keeps(admitted: readonly { readonly atMs: number }[], perMinute: number): void {
  for (const [first, { atMs: from }] of admitted.entries()) {
    for (const [later, { atMs }] of admitted.slice(first).entries()) {
      expect(later + 1).toBeLessThanOrEqual(perMinute + ((atMs - from) * perMinute) / 60_000 + 1e-3);
    }
  }
}

test('no request is in two lanes at once, however lanes overflow, fail and are left', async () => {
  const one = fc.record({
    atMs: fc.nat(5000),
    model: fc.constantFrom('spark', 'reliability', 'auto'),
    stream: fc.boolean(),
    leavesAfterMs: fc.option(fc.nat(6000)),
  });
  const upstream = fc.array(fc.constantFrom('ok', 'down', 'breaks', 'busy'), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: 10 }), upstream, async (requests, fates) => {
      const server = await lanesServer({
        lanes: {
          spark: {
            model: 'local',
            style: '',
            limits: { concurrency: 1, queueLength: 2 },
            overflow: { to: 'reliability' },
          },
          reliability: {
            upstream: { url: 'http://up.test/v1', model: 'm', attempts: 2 },
            style: '',
            limits: { concurrency: 1, queueLength: 2, queueWaitMs: 3000 },
            overflow: { to: 'spark' },
          },
        },
        engine: { stepMs: 300 },
        upstream: (_, attempt) => {
          const fate = fates[attempt % fates.length]!;
          if (fate === 'ok') return { pieces: chunksOf(['a', 'b']), pieceMs: 400 };
          if (fate === 'busy') return { status: 503 };
          return fate === 'down'
            ? { broken: 'ECONNREFUSED' }
            : { pieces: chunksOf(['a']).slice(0, 1), broken: 'reset' };
        },
      });
      const calls = requests.map(({ atMs, model, stream, leavesAfterMs }) => {
        const holder: { call?: ReturnType<typeof server.send>; left: boolean } = { left: false };
        server.clock.schedule(atMs, () => {
          const messages = [{ role: 'user', content: 'Refactor it everywhere' }];
          holder.call = server.send('POST', '/v1/chat/completions', { model, stream, messages });
          if (leavesAfterMs === null) return;
          server.clock.schedule(leavesAfterMs, () => {
            holder.left = !holder.call!.ended;
            holder.call!.leave();
          });
        });
        return holder;
      });
      const watch = () => {
        const held = server.lanes.report.reduce((sum, { running, waiting }) => sum + running + waiting, 0);
        const open = calls.filter(({ call }) => call !== undefined && !call.ended && !call.cutOff).length;
        expect(held).toBeLessThanOrEqual(open + calls.filter(({ left }) => left).length);
        expect(server.wire.runningMax).toBeLessThanOrEqual(1);
        if (server.clock.nowMs() < 12_000) server.clock.schedule(50, watch);
      };
      server.clock.schedule(0, watch);
      await server.settle(60_000);
      expect(server.lanes.report).toMatchObject([
        { running: 0, waiting: 0 },
        { running: 0, waiting: 0 },
      ]);
      expect(server.wire.running).toBe(0);
      for (const { call, left } of calls) if (!left) expect(call!.ended).toBe(true);
      expect(new Set(server.routed.map(({ requestId }) => requestId)).size).toBe(server.routed.length);
    }),
    { numRuns: 25 },
  );
});
