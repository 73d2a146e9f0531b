// What a sequence leaves in its seat, and who gets it: seen from the plans that the engine sends. The simulated device
// computes from what its seats hold, and the oracle knows what it must say.
import { expect, test } from 'vitest';
import {
  type BackendLimits,
  type DeviceFailure,
  greedySampling,
  type StepPlan,
} from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { BlockPool } from '../../../server/engine/block-pool.ts';
import { Engine, type EngineBounds } from '../../../server/engine/engine.ts';
import { KEPT_MAX, KeptSeats } from '../../../server/engine/kept-seats.ts';
import type { SequenceEnd, SequenceRequest } from '../../../server/engine/request.ts';
import { quietObserver } from '../../sim/observer.ts';
import { oracleAnswer } from '../../sim/oracle.ts';

const limits: BackendLimits = {
  replicaCount: 1,
  slotCount: 3,
  slotTokensMax: 64,
  blockSize: 4,
  blockCount: 64,
  rowTokensMax: 8,
  stepTokensMax: 32,
  sampleCountMax: 1,
  logprobsMax: 0,
  vocabSize: 32,
};

const bounds: EngineBounds = {
  prefillChunkTokens: 8,
  prefillTokensPerStep: 8,
  overtakeMsPerToken: 1,
  classDelayMs: { turn: 0, side: 100, background: 1000 },
  queueLengthMax: 16,
  retryAfterMs: 500,
};

type Answer = ReturnType<ReturnType<typeof rig>['ask']>;

function rig(change: Partial<BackendLimits> = {}, more: Partial<EngineBounds> = {}) {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0 });
  const open = () =>
    new SimBackend('sim', {
      limits: { ...limits, ...change },
      ...{ clock, costModel, keepsSeats: true, faults: null },
    });
  const backend = open();
  const plans: StepPlan[] = [];
  const world = { failNext: null as DeviceFailure['lost'] | null };
  const step = backend.step.bind(backend);
  backend.step = (plan, done, onRounds) => {
    plans.push(structuredClone(plan));
    const lost = world.failNext;
    world.failNext = null;
    if (lost === null) return step(plan, done, onRounds);
    const failure: DeviceFailure = { code: 'worker-died', message: 'dead', lost };
    step(plan, () => done({ ok: false, failure }), onRounds); // in its last round
  };
  const observer = quietObserver();
  const engine = new Engine(backend, clock, { ...bounds, ...more }, observer);
  const ask = (tokens: readonly number[], asked: Partial<SequenceRequest> = {}) => {
    const answer = { prompt: tokens, tokens: [] as number[], end: null as SequenceEnd | null, id: -1 };
    const request = { ...defaults, ...asked, tokens: Int32Array.from(tokens) };
    const result = engine.submit(request, {
      onTokens: (drawn) => void answer.tokens.push(...drawn),
      onEnd: (end) => {
        answer.end = end;
        if (end.reason === 'failed') return;
        const sizes = { vocabSize: limits.vocabSize, contextTokensMax: engine.contextTokensMax };
        expect(answer.tokens).toEqual(oracleAnswer(request, sizes).tokens.slice(0, answer.tokens.length));
      },
    });
    if (!result.ok) throw new Error(result.message);
    answer.id = result.sequenceId;
    return answer;
  };
  const run = () => {
    while (clock.step()) engine.check();
  };
  /** Asks, waits for the end, and says where the first row of it was computed from and what was copied before. */
  const turn = (tokens: readonly number[], asked: Partial<SequenceRequest> = {}) => {
    const from = plans.length;
    const answer = ask(tokens, asked);
    run();
    return { ...answer, ...begun(plans.slice(from), answer.id) };
  };
  return { clock, engine, observer, plans, world, open, ask, run, turn };
}

function begun(plans: readonly StepPlan[], id: number) {
  const plan = plans.find(({ rows }) => rows.some(({ sequenceId }) => sequenceId === id))!;
  const { slot, position } = plan.rows.find(({ sequenceId }) => sequenceId === id)!;
  const restore = plan.restores.find((one) => one.slot === slot);
  return { replica: plan.replica, slot, position, copied: restore?.blocks.length ?? 0 };
}

const defaults = {
  maxTokens: 6,
  sampling: { ...greedySampling, seed: 1 },
  constraint: null,
  ignoreStopTokens: true,
  speculation: null,
  priority: 'turn' as const,
  cacheSalt: '',
  deadlineMs: null,
};

const text = (count: number, from = 0): number[] =>
  Array.from({ length: count }, (_, index) => (from + index * 5) % limits.vocabSize);

/** The conversation goes on by three tokens. */
const next = ({ prompt, tokens }: Pick<Answer, 'prompt' | 'tokens'>): number[] => [
  ...prompt,
  ...tokens,
  ...[1, 2, 3],
];

test('a turn goes on in the seat that the one before has left, and nothing is copied', () => {
  const { engine, observer, turn } = rig();
  const first = turn(text(20));
  expect(engine.load).toMatchObject({ runningCount: 0, seats: [], kv: { inUseCount: 0 } });
  const second = turn(next(first));
  // 25 of 26 tokens are computed; whole blocks are kept, as the cache finds whole blocks.
  expect(second).toMatchObject({ slot: 0, position: 24, copied: 0 });
  expect(second.end!.usage.cachedTokens).toBe(24);
  expect(turn(next(second))).toMatchObject({ slot: 0, position: 32, copied: 0 });
  expect(observer.keptTokens).toBe(24 + 32);
});

test('callers who take turns have a few seats between them, not all, and the latest of them go on where they were', () => {
  const { turn } = rig({ slotCount: 12, blockCount: 400 });
  const conversations = Array.from({ length: 9 }, (_, at) => turn([31, at, ...text(20, at)]));
  expect(Math.max(...conversations.map(({ slot }) => slot))).toBe(KEPT_MAX);
  expect(turn(next(conversations.at(-1)!))).toMatchObject({ slot: conversations.at(-1)!.slot, copied: 0 });
  expect(turn(next(conversations[0]!)).copied).toBeGreaterThan(0);
});

test('where it is switched off, what the cache has is copied', () => {
  const off = rig({}, { keepsSeats: false });
  expect(off.turn(next(off.turn(text(20))))).toMatchObject({ slot: 0, position: 24, copied: 6 });
  expect(off.observer.keptTokens).toBe(0);
});

test('an edited text goes on from where it is still the same; who shares only its beginning leaves it alone', () => {
  const { turn } = rig();
  const first = turn(text(20));
  const stranger = turn([...text(8), ...text(12, 7)]); // two of the six blocks that are kept
  expect(stranger).toMatchObject({ slot: 1, position: 8, copied: 2 });
  expect(turn([...text(16), 9, 9, 9, 9])).toMatchObject({ slot: 0, position: 16, copied: 0 });
  // What was behind it is overwritten there: the cache still has it.
  expect(turn(next(first))).toMatchObject({ position: 24, copied: 2 });
});

test('a newcomer takes a seat that keeps nothing, else the one that was used least recently, and never waits', () => {
  const { turn, ask, run, plans } = rig({ slotCount: 2 });
  const first = turn(text(20));
  const second = turn(text(20, 3));
  expect([first.slot, second.slot]).toEqual([0, 1]);
  const newcomer = turn(text(9, 4));
  expect(newcomer).toMatchObject({ slot: 0, position: 0, copied: 0 });
  expect(turn(next(second))).toMatchObject({ slot: 1, position: 24, copied: 0 });
  expect(turn(next(first))).toMatchObject({ slot: 0, position: 24, copied: 6 });
  const from = plans.length;
  const crowd = [ask(text(9, 5)), ask(text(9, 6))];
  run();
  for (const { id, end } of crowd) {
    expect(begun(plans.slice(from), id).position).toBe(0);
    expect(end!.usage.queueMs).toBe(0);
  }
});

test("another key's prompt finds neither blocks nor seat", () => {
  const { turn, observer } = rig();
  const first = turn(text(20), { cacheSalt: 'one' });
  const other = turn(next(first), { cacheSalt: 'another' });
  expect(other).toMatchObject({ slot: 1, position: 0, copied: 0 });
  expect(observer.keptTokens).toBe(0);
  expect(turn(next(first), { cacheSalt: 'one' })).toMatchObject({ slot: 0, position: 24, copied: 0 });
});

test('what the cache has forgotten is not found in a seat either', () => {
  const { turn } = rig({ blockCount: 16 });
  const first = turn(text(20));
  turn(text(59, 1), { maxTokens: 4 }); // takes all of them
  expect(turn(next(first))).toMatchObject({ position: 0, copied: 0 });
});

test('a block that was handed out again is another one', () => {
  const pool = new BlockPool(3);
  const kept = new KeptSeats(limits, pool);
  const blocks = [pool.allocate(), pool.allocate(), pool.allocate()];
  const place = { replica: 0, slot: 1 };
  kept.keep(place, blocks);
  expect(kept.sharedCount(place, [...blocks, 0])).toBe(3);
  expect(kept.sharedCount(place, blocks.slice(0, 2))).toBe(2);
  pool.release(blocks[1]!);
  pool.free(blocks[1]!);
  expect(pool.allocate()).toBe(blocks[1]);
  expect(kept.sharedCount(place, blocks)).toBe(1);
  expect(kept.forget(place)).toBe(true);
  expect(kept.forget(place)).toBe(false);
  expect(kept.sharedCount(place, blocks)).toBe(0);
});

test('an answer that was stopped leaves its seat too, in the middle of a prompt as well', () => {
  const { ask, run, turn, engine, clock } = rig();
  const stopped = ask(text(20), { maxTokens: 30 });
  clock.run(12.5);
  engine.cancel(stopped.id);
  run();
  expect(stopped.end!.reason).toBe('cancelled');
  const whole = [...stopped.prompt, ...stopped.tokens];
  const goesOn = turn([...whole, 1, 2, 3]);
  expect(goesOn).toMatchObject({ slot: 0, copied: 0 });
  expect(goesOn.position).toBeGreaterThanOrEqual(20);
  const prompt = text(40, 2);
  const cut = ask(prompt);
  const begunMs = clock.nowMs();
  clock.run(begunMs + 1.5); // a chunk of eight is done, one in flight
  engine.cancel(cut.id);
  run();
  expect(turn(prompt)).toMatchObject({ position: 16, copied: 0 });
});

test('prefill ahead of a question leaves what it has computed where the question sits down', () => {
  const { turn } = rig();
  turn(text(32), { maxTokens: 0, priority: 'background' });
  expect(turn([...text(32), 1, 2])).toMatchObject({ slot: 0, position: 32, copied: 0 });
});

test('what was guessed beyond the end is not kept, whatever of it came true', () => {
  for (let wrong = 0; wrong < 6; wrong++) {
    const { turn, observer, plans } = rig({ sampleCountMax: 5, roundsMax: 4 });
    const alone = rig().turn(text(18), { maxTokens: 12 }).tokens;
    const prediction = Int32Array.from([...alone, ...text(8, 3)]);
    prediction[wrong] = (prediction[wrong]! + 1) % limits.vocabSize;
    const guessed = turn(text(18), { maxTokens: 7, speculation: { draftTokensMax: 4, prediction } });
    expect(plans.some(({ rows }) => rows.some(({ sampleCount }) => sampleCount > 1))).toBe(true);
    const second = turn(next(guessed), { maxTokens: 9 });
    expect(second).toMatchObject({ slot: 0, position: 24, copied: 0 });
    expect(observer.keptTokens).toBe(24);
  }
});

test('a step of several rounds that ran on for others leaves nothing behind an end', () => {
  const { ask, run, turn } = rig({ roundsMax: 8 });
  const answers = [5, 7, 13].map((maxTokens, from) => ask(text(11, from), { maxTokens }));
  run();
  for (const answer of answers) {
    const position = Math.floor((answer.prompt.length + answer.tokens.length - 1) / 4) * 4;
    expect(turn(next(answer))).toMatchObject({ position, copied: 0 });
  }
});

test.each([
  ['rows', 24, 6],
  ['slots', 24, 6],
  ['all', 0, 0],
] as const)(
  'a step that fails and loses %s takes along what its replica has kept',
  (lost, position, copied) => {
    const { turn, world, ask, run } = rig();
    const first = turn(text(20));
    world.failNext = lost;
    const failing = ask(text(20, 3));
    run();
    expect(failing.end).toMatchObject({ reason: 'failed', failure: { code: 'worker-died' } });
    expect(turn(next(first))).toMatchObject({ position, copied });
  },
);

test('who had said all when its last step failed leaves nothing in its seat', () => {
  const [, , stop] = rig().turn(text(20)).tokens;
  const { turn, world, ask, run, clock } = rig({ roundsMax: 8 });
  const sampling = { ...defaults.sampling, stopTokenIds: [stop!] };
  const first = ask(text(20), { maxTokens: 9, ignoreStopTokens: false, sampling });
  clock.run(2.5); // the last chunk is in flight; the stop token is drawn in the second round of the next step
  world.failNext = 'rows';
  run();
  expect(world.failNext).toBe(null);
  expect([first.end!.reason, first.tokens.length]).toEqual(['stop', 3]);
  expect(turn(next(first))).toMatchObject({ position: 20, copied: 5 });
});

test('a seat between two that are taken keeps nothing: those would be computed apart', () => {
  const { ask, run, engine, plans, clock } = rig();
  ask(text(9), { maxTokens: 40 });
  const middle = ask(text(9, 1), { maxTokens: 8 });
  ask(text(9, 2), { maxTokens: 40 });
  clock.run(20);
  expect(middle.end!.reason).toBe('length');
  expect(engine.load.runningCount).toBe(2);
  const from = plans.length;
  const again = ask(next(middle), { maxTokens: 2 });
  run();
  expect(begun(plans.slice(from), again.id)).toMatchObject({ slot: 1, position: 16, copied: 4 });
});

test('a turn does not sit down apart from others for the sake of its seat, and its seat stays for later', () => {
  const { turn, ask, run, plans } = rig({ slotCount: 4 });
  const turns = [0, 1, 2].map((from) => turn(text(20, from)));
  expect(turns.map(({ slot }) => slot)).toEqual([0, 1, 2]);
  const from = plans.length;
  const last = ask(next(turns[2]!), { maxTokens: 20 });
  const first = ask(next(turns[0]!), { maxTokens: 2 });
  run();
  expect(begun(plans.slice(from), last.id)).toMatchObject({ slot: 2, copied: 0 });
  expect(begun(plans.slice(from), first.id)).toMatchObject({ slot: 3, position: 24, copied: 6 });
  expect(turn(next(turns[1]!))).toMatchObject({ slot: 1, copied: 0 });
});

test('of two replicas the one with the seat is taken where no more sit there than at the other', () => {
  const { turn, ask, run, plans } = rig({ replicaCount: 2 });
  const busy = ask(text(9), { maxTokens: 12 });
  const first = turn(text(20, 3), { maxTokens: 6 });
  expect(begun(plans, first.id).replica).toBe(1);
  run();
  expect(busy.end!.reason).toBe('length');
  const second = turn(next(first));
  expect(second).toMatchObject({ replica: 1, copied: 0 });
  const from = plans.length;
  ask(next(second), { maxTokens: 30 });
  const twin = ask(next(second)); // the same again: its seat is taken
  run();
  expect(begun(plans.slice(from), twin.id)).toMatchObject({ replica: 0, position: 32, copied: 8 });
});

test('where two have computed the same at once, only the seat whose bits are found is kept for them', () => {
  const { ask, run, plans } = rig({ replicaCount: 2 });
  const twins = [ask(text(20)), ask(text(20))];
  run();
  expect(twins.map(({ id }) => begun(plans, id).position)).toEqual([0, 0]);
  const from = plans.length;
  const seconds = twins.map((twin) => ask(next(twin)));
  run();
  expect(seconds.map(({ id }) => begun(plans.slice(from), id).copied)).toEqual([0, 6]);
});

test('on another device nothing is kept of the one before', () => {
  const { engine, turn, ask, open, run, plans } = rig();
  const first = turn(text(20));
  const replacement = open();
  const moved: StepPlan[] = [];
  const step = replacement.step.bind(replacement);
  replacement.step = (plan, ...rest) => {
    moved.push(structuredClone(plan));
    step(plan, ...rest);
  };
  engine.replaceBackend(replacement, bounds, () => {});
  run();
  const before = plans.length;
  ask(next(first));
  run();
  expect(plans.length).toBe(before);
  expect(moved[0]).toMatchObject({ restores: [], rows: [{ position: 0 }] });
});
