import { expect, test } from 'vitest';
import type { Backend, BackendLimits, StepPlan } from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel, modelledCosts } from '../../../kernels/sim/cost-model.ts';
import { DraftModel } from '../../../server/engine/draft-model.ts';
import { Engine } from '../../../server/engine/engine.ts';
import type { SequenceEnd, SequenceRequest } from '../../../server/engine/request.ts';
import { greedy } from '../../cpu-rig.ts';
import { LyingTokens } from '../../lying-tokens.ts';
import { quietObserver } from '../../sim/observer.ts';
import { oracleAnswer } from '../../sim/oracle.ts';

const limits: BackendLimits = {
  ...{ replicaCount: 1, slotCount: 2, slotTokensMax: 600, blockSize: 16, blockCount: 80, rowTokensMax: 64 },
  ...{ stepTokensMax: 256, sampleCountMax: 6, roundsMax: 8, logprobsMax: 5, vocabSize: 40 },
};
const bounds = {
  ...{ prefillChunkTokens: 64, prefillTokensPerStep: 64, overtakeMsPerToken: 0, queueLengthMax: 10 },
  ...{ classDelayMs: { turn: 0, side: 50, background: 500 }, retryAfterMs: 1000 },
};
// Of the target a longer row costs next to nothing, of the draft everything does.
const slow = linearCostModel({ stepMs: 10, rowMs: 0.1, tokenMs: 0.1, blockMs: 0 });
const quick = linearCostModel({ stepMs: 0.5, rowMs: 0.05, tokenMs: 0.02, blockMs: 0 });

interface Scene {
  readonly lies: number; // share of guesses that are wrong
  readonly failing?: boolean; // the draft's device
  readonly slower?: number; // it takes so many times what its costs say
  readonly request?: Partial<SequenceRequest>;
}

function play({ lies, failing = false, slower = 1, request = {} }: Scene) {
  const clock = new VirtualClock();
  const target = new SimBackend('sim', { limits, clock, costModel: slow, faults: null });
  const rates = { slow: 0, slowFactor: 1, failRows: 0, failSlots: failing ? 0.2 : 0, failAll: 0 };
  const draft = new SimBackend('sim', {
    limits,
    clock,
    costModel: { stepDurationMs: (work) => slower * quick.stepDurationMs(work) },
    tokens: new LyingTokens(limits, { share: lies, random: new Random(1) }),
    faults: failing ? { rates, random: new Random(3) } : null,
  });
  const plans: StepPlan[] = [];
  const watched: Backend = {
    name: draft.name,
    limits: draft.limits,
    costs: modelledCosts(quick, limits),
    step(plan, done, onRounds) {
      plans.push(plan);
      draft.step(plan, done, onRounds);
    },
    releaseSlot: (replica, slot) => draft.releaseSlot(replica, slot),
    close: () => draft.close(),
  };
  const losses: string[] = [];
  const model = new DraftModel(watched, clock, ({ code }) => losses.push(code));
  const engine = new Engine(target, clock, bounds, quietObserver(), null, model);
  const asked: SequenceRequest = {
    ...{ tokens: Int32Array.of(1, 2, 3, 4, 5), maxTokens: 200, sampling: greedy, constraint: null },
    ...{ ignoreStopTokens: true, priority: 'turn', cacheSalt: 'a', deadlineMs: null },
    speculation: { draftTokensMax: 5, prediction: null },
    ...request,
  };
  const tokens: number[] = [];
  const ends: SequenceEnd[] = [];
  engine.submit(asked, { onTokens: (drawn) => tokens.push(...drawn), onEnd: (end) => ends.push(end) });
  while (clock.step()) engine.check();
  const answer = oracleAnswer(asked, { vocabSize: 40, contextTokensMax: engine.contextTokensMax });
  return { tokens, usage: ends[0]!.usage, expected: answer.tokens, plans, losses, ms: clock.nowMs() };
}

const plain = { speculation: null };

test('a draft model that is right makes an answer much faster, and usage says how many guesses were right', () => {
  const alone = play({ lies: 0, request: plain });
  const drafted = play({ lies: 0 });
  expect(drafted.tokens).toEqual(drafted.expected);
  expect(drafted.usage.rejectedDraftTokens).toBeLessThan(10); // of lookups that were tried
  expect(drafted.usage.acceptedDraftTokens).toBeGreaterThan(120);
  expect(drafted.ms).toBeLessThan(alone.ms / 2.5);
});

test('a draft model that is always wrong changes no token and costs less than 3 %', () => {
  const request = { maxTokens: 500 };
  const alone = play({ lies: 1, request: { ...request, ...plain } });
  const drafted = play({ lies: 1, request });
  expect(drafted.tokens).toEqual(drafted.expected);
  expect(drafted.usage.acceptedDraftTokens).toBe(0);
  expect(drafted.ms).toBeLessThan(alone.ms / 0.97);
});

test('a draft device that is slower than it claims is found out by the clock, though all it says is right', () => {
  const request = { maxTokens: 500 };
  const alone = play({ lies: 0, request: { ...request, ...plain } });
  const drafted = play({ lies: 0, slower: 20, request });
  expect(drafted.tokens).toEqual(drafted.expected);
  expect(drafted.usage.acceptedDraftTokens).toBeGreaterThan(0);
  expect(drafted.ms).toBeLessThan(alone.ms / 0.97);
});

test('a request that is not to be drafted does not reach the draft model', () => {
  expect(play({ lies: 0, request: plain }).plans).toEqual([]);
});

test('sampling: the draft model draws with the same chance as the device, so that guesses can come true', () => {
  const sampling = { ...greedy, temperature: 1, seed: 5, repetitionPenalty: 1.1, logprobs: 2 };
  const drafted = play({ lies: 0.1, request: { sampling } });
  expect(drafted.tokens).toEqual(drafted.expected);
  expect(drafted.usage.acceptedDraftTokens).toBeGreaterThan(100);
});

test('a draft device that fails switches drafting off, once, and nothing else', () => {
  const drafted = play({ lies: 0, failing: true });
  expect(drafted.tokens).toEqual(drafted.expected);
  expect(drafted.losses).toEqual(['worker-died']);
});

test('a long prompt is caught up with in chunks, and not at all for a short answer', () => {
  const tokens = Int32Array.from({ length: 300 }, (_, index) => (index * index) % 37);
  const long = play({ lies: 0, request: { tokens } });
  expect(long.tokens).toEqual(long.expected);
  expect(Math.max(...long.plans.map(({ rows }) => rows[0]!.tokens.length))).toBe(limits.rowTokensMax);
  expect(long.usage.acceptedDraftTokens).toBeGreaterThan(100);
  expect(play({ lies: 0, request: { tokens, maxTokens: 2 } }).plans).toEqual([]);
});
