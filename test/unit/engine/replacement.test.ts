// Everybody moves to another device: who goes on, who cannot, and what is left behind.
import { expect, test } from 'vitest';
import type { BackendLimits, SamplingParams } from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { Engine, type EngineBounds } from '../../../server/engine/engine.ts';
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
  logprobsMax: 5,
  vocabSize: 32,
};

const other = { replicaCount: 2, slotCount: 2, blockSize: 16, blockCount: 24, slotTokensMax: 96 };

const bounds: EngineBounds = {
  prefillChunkTokens: 8,
  prefillTokensPerStep: 8,
  overtakeMsPerToken: 1,
  classDelayMs: { turn: 0, side: 100, background: 1000 },
  queueLengthMax: 10,
  retryAfterMs: 500,
};

const greedy: SamplingParams = {
  ...{ temperature: 0, topP: 1, topK: 0, minP: 0, logitBias: null, logprobs: null, minTokens: 0 },
  ...{ repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, seed: 1, stream: 0, stopTokenIds: [] },
};

function ask(from: number, count: number, change: Partial<SequenceRequest> = {}): SequenceRequest {
  return {
    tokens: Int32Array.from({ length: count }, (_, index) => (from + index * 3) % limits.vocabSize),
    ...{ maxTokens: 20, sampling: greedy, constraint: null, ignoreStopTokens: false, speculation: null },
    ...{ priority: 'turn', cacheSalt: '', deadlineMs: null },
    ...change,
  };
}

function world() {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0 });
  const open = (change: Partial<BackendLimits> = {}) =>
    new SimBackend('sim', { limits: { ...limits, ...change }, clock, costModel, faults: null });
  const old = open();
  const observer = quietObserver();
  const engine = new Engine(old, clock, bounds, observer);
  const submit = (request: SequenceRequest) => {
    const reader = {
      tokens: [] as number[],
      end: null as SequenceEnd | null,
      endMs: -1,
      id: -1,
      request,
      onTokens: (tokens: readonly number[]) => void reader.tokens.push(...tokens),
      onEnd: (end: SequenceEnd) => {
        reader.end = end;
        reader.endMs = clock.nowMs();
      },
    };
    const result = engine.submit(request, reader);
    if (!result.ok) throw new Error(result.message);
    reader.id = result.sequenceId;
    return reader;
  };
  const run = (untilMs: number) => {
    while (clock.nowMs() < untilMs && clock.step()) engine.check();
  };
  const runAll = () => {
    while (clock.step()) engine.check();
    expect(engine.load).toMatchObject({ waitingCount: 0, runningCount: 0, kv: { inUseCount: 0 } });
  };
  const reports: object[] = [];
  const replace = (next: SimBackend) => engine.replaceBackend(next, bounds, (report) => reports.push(report));
  return { clock, engine, old, observer, open, submit, run, runAll, replace, reports };
}

function said(request: SequenceRequest, contextTokensMax = 64) {
  return oracleAnswer(request, { vocabSize: limits.vocabSize, contextTokensMax }).tokens;
}

test('whoever waits, computes a prompt, decodes or is paused goes on and says what it would have said', () => {
  const { clock, engine, old, open, submit, run, runAll, replace, reports } = world();
  const decoding = submit(ask(1, 5));
  const paused = submit(ask(2, 6));
  run(6);
  engine.pause(paused.id);
  const prefilling = submit(ask(3, 40));
  const cancelled = submit(ask(4, 9));
  const waiting = submit(ask(5, 30, { sampling: { ...greedy, temperature: 0.8, seed: 5 } }));
  run(9);
  expect(engine.load).toMatchObject({ runningCount: 3, waitingCount: 2 });
  const before = decoding.tokens.length;
  expect(before).toBeGreaterThan(0);
  expect(prefilling.tokens).toEqual([]);
  const next = open(other);
  expect(replace(next)).toBe(true);
  engine.cancel(cancelled.id);
  const heard = [...cancelled.tokens];
  const late = submit(ask(6, 4)); // while everybody is on the way
  expect(replace(open())).toBe(false);
  run(11);
  expect(reports).toEqual([{ moved: 5, failed: 0 }]);
  expect(engine.contextTokensMax).toBe(96);
  const { stepCount } = old;
  expect(engine.load).toMatchObject({ runningCount: 4, waitingCount: 1, kv: { blockCount: 24 } });
  clock.schedule(200, () => engine.resume(paused.id));
  runAll();
  expect(old.stepCount).toBe(stepCount);
  expect(paused.endMs).toBeGreaterThan(200);
  expect(cancelled).toMatchObject({ tokens: heard, end: { reason: 'cancelled' } });
  for (const reader of [decoding, paused, prefilling, waiting, late]) {
    expect(reader.tokens).toEqual(said(reader.request));
    expect(reader.end).toMatchObject({ reason: 'length', usage: { outputTokens: 20 } });
    expect(reader.end!.usage.cachedTokens).toBeLessThanOrEqual(reader.end!.usage.promptTokens);
  }
});

test('nothing moves before the last step has answered, and no step is sent meanwhile', () => {
  const { clock, old, open, submit, run, replace, reports } = world();
  submit(ask(1, 5, { maxTokens: 50 }));
  run(3);
  clock.run(clock.nowMs() + 0.5); // in the middle of a step
  const next = open(other);
  replace(next);
  clock.run(clock.nowMs() + 0.2);
  expect(reports).toEqual([]);
  const { stepCount } = old;
  clock.run(clock.nowMs() + 0.4);
  expect(reports).toHaveLength(1);
  expect(old.stepCount).toBe(stepCount + 1);
  let closed = false;
  void old.close().then(() => {
    closed = true;
  });
  clock.run(clock.nowMs() + 5);
  expect(old.stepCount).toBe(stepCount + 1);
  expect(next.stepCount).toBeGreaterThan(2);
  return Promise.resolve().then(() => expect(closed).toBe(true));
});

test('what was written so far is computed again in chunks, not token by token', () => {
  const { open, submit, run, runAll, replace } = world();
  const reader = submit(ask(1, 5, { maxTokens: 50 }));
  run(41);
  const written = reader.tokens.length;
  expect(written).toBeGreaterThan(30);
  const next = open(other);
  replace(next);
  runAll();
  expect(next.stepCount).toBeLessThan(50 - written + Math.ceil((5 + written) / 8) + 2);
  expect(reader.tokens).toEqual(said(reader.request));
});

test('who does not fit the new device fails with both numbers; prefill needs no room for a token', () => {
  const { engine, open, submit, run, runAll, replace, reports } = world();
  const long = submit(ask(1, 50));
  const full = submit(ask(2, 32, { maxTokens: 0 }));
  const short = submit(ask(3, 8, { maxTokens: 4 }));
  const border = submit(ask(4, 32));
  run(2);
  replace(open({ slotTokensMax: 32, blockCount: 16 }));
  runAll();
  expect(reports).toEqual([{ moved: 2, failed: 2 }]);
  const { failure } = long.end!;
  expect(failure!.code).toBe('context-shrunk');
  expect(failure!.message).toMatch(/had 50 tokens; sim holds 32$/);
  expect(border.end!.failure!.message).toMatch(/had 32 tokens; sim holds 32$/);
  expect(full.end).toMatchObject({ reason: 'length' });
  expect(short.tokens).toEqual(said(short.request));
  expect(engine.submit(ask(1, 40), short)).toMatchObject({ ok: false, reason: 'prompt-too-long' });
});

test('deadlines, guesses and a drain go on across the move', () => {
  const { clock, engine, open, submit, run, runAll, replace, reports } = world();
  const late = submit(ask(1, 5, { maxTokens: 50, deadlineMs: 20 }));
  const asked = ask(2, 5, { maxTokens: 50 });
  const prediction = Int32Array.from(said(asked, 96));
  const guessed = submit({ ...asked, speculation: { draftTokensMax: 4, prediction } });
  run(8);
  let idleMs = -1;
  engine.drain(() => {
    idleMs = clock.nowMs();
  });
  replace(open({ ...other, sampleCountMax: 5, stepTokensMax: 64 })); // the first device could not draft
  runAll();
  expect(reports).toEqual([{ moved: 2, failed: 0 }]);
  expect(late).toMatchObject({ end: { reason: 'failed', failure: { code: 'deadline' } }, endMs: 20 });
  expect(guessed.tokens).toEqual([...prediction].slice(0, 50));
  expect(guessed.end!.usage.acceptedDraftTokens).toBeGreaterThan(10);
  expect(idleMs).toBe(guessed.endMs);
});

test('an idle engine moves too, and again, and back', () => {
  const { engine, old, open, submit, runAll, replace, reports } = world();
  for (const next of [open(other), open({ blockSize: 1 }), old]) {
    expect(replace(next)).toBe(true);
    runAll();
    const reader = submit(ask(1, 20));
    runAll();
    expect(reader.tokens).toEqual(said(reader.request));
  }
  expect(reports).toEqual([1, 2, 3].map(() => ({ moved: 0, failed: 0 })));
  expect(engine.load.kv.blockCount).toBe(64);
});
