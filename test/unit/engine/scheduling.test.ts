// What the scheduler decides, seen from the plans that it sends: order, seats, replicas, room, guesses, and where a
// prompt is cut after a cache hit. One rule a test, so that a wrong rule fails here and not only in a swarm.
import { expect, test } from 'vitest';
import { type BackendLimits, greedySampling, type StepPlan } from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { type LinearCosts, linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { matchLimit } from '../../../server/engine/chunks.ts';
import { Engine, type EngineBounds } from '../../../server/engine/engine.ts';
import type { Priority, SequenceRequest } from '../../../server/engine/request.ts';
import { newSequence } from '../../../server/engine/sequence.ts';
import { TokenSlab } from '../../../server/engine/token-slab.ts';
import { quietObserver } from '../../sim/observer.ts';
import { oracleAnswer } from '../../sim/oracle.ts';

const limits: BackendLimits = {
  replicaCount: 1,
  slotCount: 2,
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

/** An engine whose plans are kept; every step takes a millisecond unless `costs` say otherwise. */
function rig(
  change: Partial<BackendLimits> = {},
  costs: Partial<LinearCosts> = {},
  policy: Partial<EngineBounds> = {},
) {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0, ...costs });
  const backend = new SimBackend('sim', { limits: { ...limits, ...change }, clock, costModel, faults: null });
  const plans: StepPlan[] = [];
  const step = backend.step.bind(backend);
  backend.step = (plan, ...rest) => {
    plans.push(structuredClone(plan));
    step(plan, ...rest);
  };
  const observer = quietObserver();
  const engine = new Engine(backend, clock, { ...bounds, ...policy }, observer);
  const ended: string[] = [];
  const submit = (name: string, asked: Partial<SequenceRequest> & { readonly tokens: Int32Array }) => {
    const tokens: number[] = [];
    const request = { ...defaults, ...asked };
    const result = engine.submit(request, {
      onTokens: (drawn) => tokens.push(...drawn),
      onEnd: () => ended.push(name),
    });
    if (!result.ok) throw new Error(result.message);
    return { id: result.sequenceId, tokens, request };
  };
  return { clock, engine, observer, plans, submit, ended };
}

const defaults = {
  maxTokens: 4,
  sampling: { ...greedySampling, seed: 1 },
  constraint: null,
  ignoreStopTokens: true,
  speculation: null,
  priority: 'turn' as Priority,
  cacheSalt: '',
  deadlineMs: null,
};

const prompt = (count: number, from = 0): Int32Array =>
  Int32Array.from({ length: count }, (_, index) => (from + index * 5) % limits.vocabSize);

test('a lesser class waits as long as it is told to, and then goes before turns that came later', () => {
  const { clock, submit, ended } = rig({ slotCount: 1 });
  submit('seated', { tokens: prompt(8), maxTokens: 56 }); // 57 steps
  clock.schedule(1, () => submit('side', { tokens: prompt(8, 1), priority: 'side' })); // ranks with turns of 101
  clock.schedule(50, () => submit('turn', { tokens: prompt(8, 2) }));
  clock.run();
  expect(ended).toEqual(['seated', 'turn', 'side']);

  const late = rig({ slotCount: 1 }, { stepMs: 10 });
  late.submit('seated', { tokens: prompt(8), maxTokens: 56 }); // until 570
  late.clock.schedule(1, () => late.submit('side', { tokens: prompt(8, 1), priority: 'side' }));
  late.clock.schedule(200, () => late.submit('turn', { tokens: prompt(8, 2) }));
  late.clock.run();
  expect(late.ended).toEqual(['seated', 'side', 'turn']);
});

test('however long a prompt is, nobody overtakes it that came later than the policy lets them', () => {
  for (const [overtakeMsMax, order] of [
    [20, ['seated', 'long', 'short']],
    [60, ['seated', 'short', 'long']],
  ] as const) {
    const { clock, submit, ended } = rig({ slotCount: 1 }, {}, { overtakeMsMax });
    submit('seated', { tokens: prompt(8), maxTokens: 50 });
    clock.schedule(1, () => submit('long', { tokens: prompt(48, 1), maxTokens: 1 })); // 48 ms for its length
    clock.schedule(30, () => submit('short', { tokens: prompt(2, 2), maxTokens: 1 }));
    clock.run();
    expect(ended).toEqual(order);
  }
});

test('nobody sits down without room for all its tokens', () => {
  const { clock, engine, observer, submit, ended } = rig({ blockCount: 8 });
  submit('first', { tokens: prompt(20), maxTokens: 8 }); // 6 of 8 blocks for its prompt and a token
  clock.schedule(1.5, () => submit('second', { tokens: prompt(12, 1) })); // 4 blocks
  clock.run(3);
  expect(engine.load).toMatchObject({
    ...{ runningCount: 1, waitingCount: 1 },
    seats: [{ replica: 0, slot: 0, promptTokens: 20, outputTokensMax: 8 }],
  });
  clock.run();
  expect([ended, observer.preemptions]).toEqual([['first', 'second'], 0]);
});

test('whoever comes takes a seat at the emptiest replica', () => {
  const { clock, plans, submit } = rig({ replicaCount: 3, slotCount: 3 });
  const ids = Array.from({ length: 8 }, (_, from) => submit(`${from}`, { tokens: prompt(6, from) }).id);
  clock.run();
  const replicaOf = (id: number) =>
    plans.find(({ rows }) => rows.some((row) => row.sequenceId === id))!.replica;
  // Also when none is empty any more: by threes, whoever is first among equals.
  const taken = ids.map(replicaOf);
  expect([taken.slice(0, 3).sort(), taken.slice(3, 6).sort()]).toEqual([
    [0, 1, 2],
    [0, 1, 2],
  ]);
  expect(new Set(taken.slice(6)).size).toBe(2);
});

test('the guesses of a step fit into what its other rows may leave of its budget', () => {
  const room = 5;
  const slotCount = 4;
  const stepTokensMax = slotCount + bounds.prefillTokensPerStep + room;
  const dearRows = { stepMs: 0, rowMs: 1, tokenMs: 0.01 }; // guesses pay, however many decode
  const { clock, plans, submit } = rig({ slotCount, stepTokensMax, sampleCountMax: 4 }, dearRows);
  const context = { vocabSize: limits.vocabSize, contextTokensMax: limits.slotTokensMax };
  const answers = [0, 1, 2, 3].map((from) => {
    const asked = { tokens: prompt(6, from), maxTokens: 40 };
    const { tokens } = oracleAnswer({ ...defaults, ...asked }, context);
    const speculation = { draftTokensMax: 8, prediction: Int32Array.from(tokens) };
    return { expected: tokens, told: submit(`${from}`, { ...asked, speculation }).tokens };
  });
  clock.run();
  for (const { expected, told } of answers) expect(told).toEqual(expected);
  const guesses = plans.map(({ rows }) =>
    rows.reduce((sum, row) => sum + Math.max(0, row.sampleCount - 1), 0),
  );
  expect(Math.max(...guesses)).toBe(room); // all of it is used, and no more
});

test('after a cache hit a last token is computed alone only where it would be alone without one', () => {
  const { clock, plans, submit } = rig({ slotTokensMax: 256, blockCount: 128 });
  for (let count = 1; count <= 41; count++) {
    const spans = [0, 1].map(() => {
      plans.length = 0;
      submit('one', { tokens: prompt(count, count), maxTokens: 1 });
      clock.run();
      return plans.flatMap(({ rows }) => rows).find(({ sampleCount }) => sampleCount > 0)!;
    });
    const [fresh, found] = spans.map(({ tokens }) => tokens.length);
    expect([count, found === 1]).toEqual([count, fresh === 1]);
    // A chunk of 8 ends at each multiple of 8: alone is the token after it.
    expect([count, fresh === 1]).toEqual([count, count % 8 === 1]);
    const request = { ...defaults, tokens: prompt(count) };
    const sink = { onTokens() {}, onEnd() {} };
    const sequence = newSequence(1, request, sink, 0, new TokenSlab());
    expect(matchLimit(sequence, 8)).toBe(count % 8 === 1 ? count - 1 : count - 2);
  }
});

test('guesses, rounds and late readers leave as much of an answer to be found as there would be without them', () => {
  const context = { vocabSize: limits.vocabSize, contextTokensMax: limits.slotTokensMax };
  for (let count = 2; count <= 14; count++) {
    const asked = { tokens: prompt(count, count), maxTokens: 12 };
    const { tokens: told } = oracleAnswer({ ...defaults, ...asked }, context);
    const stopping = { ...defaults.sampling, stopTokenIds: [told[6]!] };
    const said = (): Partial<SequenceRequest> => {
      let left = 7;
      return { endsWith: () => --left === 0 }; // by a text that ends there
    };
    for (const ends of [() => ({}), () => ({ sampling: stopping, ignoreStopTokens: false }), said]) {
      const prediction = Int32Array.from(told); // goes on behind a stop
      const ways = [
        { roundsMax: 1, speculation: null },
        { roundsMax: 4, speculation: null },
        { roundsMax: 4, speculation: { draftTokensMax: 3, prediction } },
        { roundsMax: 1, speculation: { draftTokensMax: 7, prediction } },
      ];
      const found = ways.map(({ roundsMax, speculation }) => {
        const world = rig({ sampleCountMax: 8, roundsMax }, { stepMs: 0, rowMs: 1, tokenMs: 0.01 });
        const first = world.submit('first', { ...asked, ...ends(), speculation });
        world.clock.run();
        const goesOn = Int32Array.from([...asked.tokens, ...first.tokens, 1, 2, 3, 4, 5, 6, 7, 8]);
        world.plans.length = 0;
        world.submit('next', { tokens: goesOn, maxTokens: 1 });
        world.clock.run();
        world.engine.check();
        return [first.tokens.length, world.plans[0]!.rows[0]!.position];
      });
      expect([count, ...found]).toEqual([count, found[0], found[0], found[0], found[0]]);
    }
  }
});

test('a turn that goes on from an answer finds what was drawn, also where somebody had been told it as a prompt', () => {
  const asked = { tokens: prompt(6), maxTokens: 7 }; // 13 tokens: the last block of 4 that is kept ends at 12
  const context = { vocabSize: limits.vocabSize, contextTokensMax: limits.slotTokensMax };
  const told = oracleAnswer({ ...defaults, ...asked }, context).tokens;
  const next = Int32Array.from([...asked.tokens, ...told, 1, 2, 3]);
  const { clock, engine, plans, submit } = rig();
  const blocksOf = (name: string, request: Parameters<typeof submit>[1]) => {
    plans.length = 0;
    submit(name, request);
    clock.run();
    engine.check();
    const blocks = (places: readonly { readonly position: number; readonly block: number }[]) =>
      Object.fromEntries(places.map(({ position, block }) => [position, block]));
    const saves = blocks(plans.flatMap((plan) => plan.saves));
    const restores = plans.flatMap((plan) => plan.restores).flatMap((one) => one.blocks);
    return { saves, restores };
  };
  const before = blocksOf('steered before', { tokens: next.slice(0, 12), maxTokens: 1 });
  const drawn = blocksOf('asked', asked);
  const found = blocksOf('goes on', { tokens: next, maxTokens: 1 });
  expect(found.restores).toEqual([before.saves[0], drawn.saves[4], drawn.saves[8]]);
  expect(drawn.saves[8]).not.toBe(before.saves[8]);
  // Whoever computes it as a prompt once more leaves it as it is.
  blocksOf('another', { tokens: next.slice(0, 12), maxTokens: 1, cacheSalt: 'else' });
  expect(blocksOf('goes on', { tokens: next, maxTokens: 1 }).restores.slice(0, 3)).toEqual(found.restores);
});

test('whoever gets the room of a reader that stopped at a later replica is computed at once', () => {
  const { clock, engine, submit, ended } = rig({ replicaCount: 2, slotCount: 1, blockCount: 16 });
  submit('first', { tokens: prompt(4), maxTokens: 2 });
  const paused = submit('paused', { tokens: prompt(40, 1), maxTokens: 20 }); // at the second replica
  clock.run(10);
  engine.pause(paused.id);
  clock.run(20);
  submit('newcomer', { tokens: prompt(40, 2) }); // the first is free, and the blocks are not
  clock.run();
  expect(ended).toEqual(['first', 'newcomer']);
});
