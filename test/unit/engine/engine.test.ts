import { expect, test } from 'vitest';
import { type BackendLimits, greedySampling, type SamplingParams } from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { Engine, type EngineBounds } from '../../../server/engine/engine.ts';
import type { SequenceEnd, SequenceRequest } from '../../../server/engine/request.ts';
import { quietObserver } from '../../sim/observer.ts';
import { oracleAnswer } from '../../sim/oracle.ts';

const limits: BackendLimits = {
  replicaCount: 1,
  slotCount: 2,
  slotTokensMax: 64,
  blockSize: 4,
  blockCount: 32,
  rowTokensMax: 8,
  stepTokensMax: 32,
  sampleCountMax: 1,
  logprobsMax: 5,
  vocabSize: 32,
};

const bounds: EngineBounds = {
  prefillChunkTokens: 8,
  prefillTokensPerStep: 8,
  overtakeMsPerToken: 1,
  classDelayMs: { turn: 0, side: 100, background: 1000 },
  queueLengthMax: 3,
  retryAfterMs: 500,
};

const greedy: SamplingParams = { ...greedySampling, seed: 1 };

function request(tokens: number[], overrides: Partial<SequenceRequest> = {}): SequenceRequest {
  return {
    tokens: Int32Array.from(tokens),
    maxTokens: 5,
    sampling: greedy,
    constraint: null,
    ignoreStopTokens: false,
    speculation: null,
    priority: 'turn',
    cacheSalt: '',
    deadlineMs: null,
    ...overrides,
  };
}

function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => (from + index) % limits.vocabSize);
}

function world(change: Partial<BackendLimits> = {}, more: Partial<EngineBounds> = {}) {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0 });
  const backend = new SimBackend('sim', { limits: { ...limits, ...change }, clock, costModel, faults: null });
  const observer = quietObserver();
  const engine = new Engine(backend, clock, { ...bounds, ...more }, observer);
  return { clock, backend, engine, observer };
}

class Reader {
  readonly tokens: number[] = [];
  readonly arrivalsMs: number[] = [];
  end: SequenceEnd | null = null;
  readonly #clock: VirtualClock;
  id = -1;

  constructor(engine: Engine, clock: VirtualClock, asked: SequenceRequest) {
    this.#clock = clock;
    const result = engine.submit(asked, this);
    if (result.ok) this.id = result.sequenceId;
    else throw new Error(result.reason);
  }

  onTokens(tokens: readonly number[]): void {
    this.tokens.push(...tokens);
    this.arrivalsMs.push(this.#clock.nowMs());
  }

  onEnd(end: SequenceEnd): void {
    this.end = end;
  }
}

test('a request gets its tokens and a second one with the same prefix computes only what is new', () => {
  const { clock, engine } = world();
  const prompt = range(20);
  const first = new Reader(engine, clock, request(prompt));
  clock.run();
  expect(first.tokens).toEqual(oracleAnswer(request(prompt), { vocabSize: 32, contextTokensMax: 64 }).tokens);
  expect(first.end).toMatchObject({ reason: 'length', usage: { cachedTokens: 0, outputTokens: 5 } });
  const second = new Reader(engine, clock, request(prompt));
  clock.run();
  expect(second.tokens).toEqual(first.tokens);
  expect(second.end!.usage.cachedTokens).toBe(16); // the last token is recomputed, so the fifth block does not count
});

test.each([
  [true, 24], // six whole blocks of prompt and answer
  [false, 8], // the prompt's two: what was computed token by token is computed anew, in a chunk
])(
  'where answers may be found: %s, a prompt that goes on from one finds %i tokens',
  (findsAnswers, found) => {
    const { clock, engine } = world({}, { findsAnswers });
    const prompt = range(10);
    const first = new Reader(engine, clock, request(prompt, { maxTokens: 16 }));
    clock.run();
    const next = new Reader(engine, clock, request([...prompt, ...first.tokens, 1, 2, 3]));
    clock.run();
    expect(next.end!.usage.cachedTokens).toBe(found);
    engine.check();
  },
);

test('prompts that came together share what the first of them computes', () => {
  const { clock, engine } = world();
  const readers = [0, 1].map(() => new Reader(engine, clock, request(range(33))));
  clock.run();
  expect(readers.map(({ end }) => end!.usage.cachedTokens)).toEqual([0, 32]);
});

test('however many side requests and warm-ups come between, a turn finds its prefix computed', () => {
  const { clock, engine } = world();
  new Reader(engine, clock, request(range(40)));
  clock.run();
  for (let other = 1; other <= 12; other++) {
    const priority = other % 2 === 0 ? 'side' : 'background';
    new Reader(engine, clock, request([other, other, ...range(14)], { priority }));
    clock.run();
  }
  const again = new Reader(engine, clock, request(range(40)));
  clock.run();
  expect(again.end!.usage.cachedTokens).toBe(36);
});

test('the engine calls nobody back from within submit or cancel', () => {
  const { clock, engine } = world();
  const reader = new Reader(engine, clock, request(range(4)));
  expect(reader.end).toBeNull();
  engine.cancel(reader.id);
  expect(reader.end).toBeNull();
  clock.run();
  expect(reader.end).toMatchObject({ reason: 'cancelled' });
});

test('a cancelled prefill returns its blocks before the next plan and keeps what it computed findable', () => {
  const { clock, engine } = world();
  const reader = new Reader(engine, clock, request(range(60), { maxTokens: 1 }));
  clock.run(2.5); // two chunks of eight are done, the third is in flight
  engine.cancel(reader.id);
  clock.run(3);
  expect(reader.end).toMatchObject({ reason: 'cancelled' });
  expect(engine.load.kv.inUseCount).toBe(0);
  const again = new Reader(engine, clock, request(range(60), { maxTokens: 1 }));
  clock.run();
  expect(again.end!.usage.cachedTokens).toBe(24);
});

test('no token is delivered after cancel() has returned', () => {
  const { clock, engine } = world();
  const reader = new Reader(engine, clock, request(range(3), { maxTokens: 50 }));
  clock.run(5.5);
  const seen = reader.tokens.length;
  expect(seen).toBeGreaterThan(0);
  engine.cancel(reader.id);
  clock.run();
  expect(reader.tokens.length).toBe(seen);
});

test('running decodes go on at every step while a long prompt is prefilled', () => {
  const { clock, engine } = world();
  const decoding = new Reader(engine, clock, request(range(3), { maxTokens: 30 }));
  clock.run(3.5);
  new Reader(engine, clock, request(range(56, 5), { maxTokens: 1 }));
  clock.run();
  const gaps = decoding.arrivalsMs.slice(1).map((atMs, index) => atMs - decoding.arrivalsMs[index]!);
  expect(Math.max(...gaps)).toBe(1);
});

test('a turn takes the seat of a background prefill at the next step, which then finishes from its blocks', () => {
  const { clock, engine, observer } = world({ slotCount: 1 });
  const background = new Reader(engine, clock, request(range(60), { maxTokens: 0, priority: 'background' }));
  clock.run(2.5);
  const turn = new Reader(engine, clock, request(range(4, 9), { maxTokens: 1 }));
  clock.run(4.5);
  expect(turn.end).toMatchObject({ reason: 'length' });
  expect(observer.preemptions).toBe(1);
  clock.run();
  expect(background.end).toMatchObject({ reason: 'length' });
});

test('a background prefill is not passed for ever', () => {
  const { clock, engine } = world({ slotCount: 1 });
  const background = new Reader(engine, clock, request(range(40), { maxTokens: 0, priority: 'background' }));
  let sent = 0;
  const send = () => {
    if (sent++ > 3000 || background.end !== null) return;
    if (engine.load.waitingCount < 2) new Reader(engine, clock, request(range(4, 9), { maxTokens: 1 }));
    clock.schedule(0.5, send);
  };
  send();
  clock.run();
  expect(background.end).toMatchObject({ reason: 'length' });
  expect(sent).toBeLessThan(3000);
});

test('a paused sequence keeps its place and gets nothing, a resumed one goes on where it was', () => {
  const { clock, engine } = world();
  const asked = request(range(3), { maxTokens: 20 });
  const reader = new Reader(engine, clock, asked);
  clock.run(4.5);
  engine.pause(reader.id);
  clock.run(5.5);
  const seen = reader.tokens.length;
  clock.run(50);
  expect(reader.tokens.length).toBe(seen);
  engine.resume(reader.id);
  clock.run();
  expect(reader.tokens).toEqual(oracleAnswer(asked, { vocabSize: 32, contextTokensMax: 64 }).tokens);
});

test('a prefill-only request ends without a token, and at once if all is cached', () => {
  const { clock, engine, backend } = world();
  const asked = request(range(32), { maxTokens: 0 });
  const first = new Reader(engine, clock, asked);
  clock.run();
  const steps = backend.stepCount;
  const second = new Reader(engine, clock, asked);
  clock.run();
  expect([first.tokens, second.tokens]).toEqual([[], []]);
  expect(second.end).toMatchObject({ reason: 'length', usage: { cachedTokens: 32 } });
  expect(backend.stepCount).toBe(steps);
});

test('refusals name the number and the bound', () => {
  const { clock, engine } = world();
  const sink = { onTokens() {}, onEnd() {} };
  expect(engine.submit(request(range(64)), sink)).toMatchObject({
    ok: false,
    reason: 'prompt-too-long',
    message: expect.stringMatching(/64 tokens.*63/),
    retryAfterMs: null,
  });
  for (let index = 0; index < 3; index++) engine.submit(request(range(5)), sink);
  expect(engine.submit(request(range(5)), sink)).toMatchObject({
    ok: false,
    reason: 'queue-full',
    message: expect.stringMatching(/3 requests.*3/),
    retryAfterMs: 500,
  });
  clock.run();
  engine.drain(() => {});
  expect(engine.submit(request(range(5)), sink)).toMatchObject({ ok: false, reason: 'draining' });
});

test('a request whose time runs out fails with its deadline, queued or running', () => {
  const { clock, engine } = world({ slotCount: 1 });
  const running = new Reader(engine, clock, request(range(3), { maxTokens: 60, deadlineMs: 10 }));
  const queued = new Reader(engine, clock, request(range(3), { maxTokens: 60, deadlineMs: 5 }));
  clock.run();
  for (const reader of [running, queued]) {
    expect(reader.end).toMatchObject({ reason: 'failed', failure: { code: 'deadline' } });
  }
  expect(running.tokens.length).toBeGreaterThan(5);
  expect(engine.load.kv.inUseCount).toBe(0);
});

test('the sequence ends where the context ends', () => {
  const { clock, engine } = world();
  const reader = new Reader(engine, clock, request(range(60), { maxTokens: 50 }));
  clock.run();
  expect(reader.tokens.length).toBe(4);
  expect(reader.end).toMatchObject({ reason: 'length' });
});

test('drain calls back when the last sequence has ended, abortAll ends them all', () => {
  const { clock, engine } = world();
  const reader = new Reader(engine, clock, request(range(3), { maxTokens: 60 }));
  clock.run(5.5);
  let idle = false;
  engine.drain(() => {
    idle = true;
  });
  expect(idle).toBe(false);
  engine.abortAll('the server is shutting down');
  clock.run();
  expect(idle).toBe(true);
  expect(reader.end).toMatchObject({ reason: 'failed', failure: { code: 'shutdown' } });
});

test.each([{ roundsMax: 1 }, { roundsMax: 8 }, { roundsMax: 1, sampleCountMax: 4 }])(
  'a row that cannot be sampled fails alone, with %o',
  (change) => {
    const { engine, clock, observer } = world({ slotCount: 3, ...change });
    const speculation = change.sampleCountMax === undefined ? null : { draftTokensMax: 3, prediction: null };
    // Whatever has been said divides its logit by next to nothing.
    const hopeless = { ...greedy, repetitionPenalty: 1e-45 };
    const asked = [
      request(range(5), { maxTokens: 20, speculation }),
      request([1, 2, 1, 2, 1], { sampling: hopeless, speculation }),
      request(range(7, 3), { maxTokens: 20, speculation, sampling: { ...greedy, temperature: 1 } }),
    ];
    const readers = asked.map((one) => new Reader(engine, clock, one));
    while (clock.step()) engine.check();
    const sizes = { vocabSize: limits.vocabSize, contextTokensMax: engine.contextTokensMax };
    for (const index of [0, 2]) {
      expect(readers[index]!.tokens).toEqual(oracleAnswer(asked[index]!, sizes).tokens);
      expect(readers[index]!.end!.reason).toBe('length');
    }
    expect(readers[1]!.tokens).toEqual([]);
    expect(readers[1]!.end).toMatchObject({ reason: 'failed', failure: { code: 'sampling-failed' } });
    expect(observer.stepFailures).toBe(0);
  },
);

test('what a row without a distribution was computed from is not found again', () => {
  const { engine, clock } = world();
  const prompt = range(12);
  const asked = request(prompt);
  const ask = (more: Partial<SequenceRequest> = {}) => {
    const reader = new Reader(engine, clock, { ...asked, ...more });
    while (clock.step()) engine.check();
    return reader;
  };
  ask();
  expect(ask().end!.usage.cachedTokens).toBe(8);
  ask({ sampling: { ...greedy, repetitionPenalty: 1e-45 } });
  const after = ask();
  expect(after.end!.usage.cachedTokens).toBe(0);
  const sizes = { vocabSize: limits.vocabSize, contextTokensMax: engine.contextTokensMax };
  expect(after.tokens).toEqual(oracleAnswer(asked, sizes).tokens);
});
