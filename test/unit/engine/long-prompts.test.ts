// Short chats beside a long prompt on a device where that takes a minute and more, and the long prompt beside them.
import { describe, expect, test } from 'vitest';
import { type BackendLimits, greedySampling, type StepRow } from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { Engine } from '../../../server/engine/engine.ts';
import { SERVED_POLICY } from '../../../server/engine/policy.ts';
import { PrefillPace } from '../../../server/engine/prefill-pace.ts';
import type { Priority, SequenceRequest } from '../../../server/engine/request.ts';
import { quietObserver } from '../../sim/observer.ts';

const TOKEN_MS = 14; // of a prompt
const CHUNK = 128;
const CHUNK_MS = CHUNK * TOKEN_MS;
const LONG = 6000;

const limits: BackendLimits = {
  replicaCount: 1,
  slotCount: 16,
  slotTokensMax: 8192,
  blockSize: 16,
  blockCount: 2048,
  rowTokensMax: CHUNK,
  stepTokensMax: 16 + CHUNK,
  sampleCountMax: 1,
  logprobsMax: 0,
  vocabSize: 512,
};

const bounds = {
  ...SERVED_POLICY,
  ...{ prefillChunkTokens: CHUNK, prefillTokensPerStep: CHUNK, queueLengthMax: 1000, retryAfterMs: 1 },
};

interface Asked {
  readonly atMs: number;
  readonly length: number;
  readonly priority?: Priority;
}

/** Ms from each question to its first token. */
function firstTokens(questions: readonly Asked[]): number[] {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 20, rowMs: 2, tokenMs: TOKEN_MS, blockMs: 0 });
  const engine = new Engine(
    new SimBackend('sim', { limits, clock, costModel, faults: null }),
    clock,
    bounds,
    quietObserver(),
  );
  const waits = questions.map(() => Number.NaN);
  for (const [index, question] of questions.entries()) {
    clock.schedule(question.atMs, () => {
      engine.submit(request(index, question), {
        onTokens: (_tokens, at) => {
          if (at === 0) waits[index] = clock.nowMs() - question.atMs;
        },
        onEnd: ({ reason }) => expect(reason).toBe('length'),
      });
    });
  }
  clock.run();
  engine.check();
  return waits;
}

function request(index: number, { length, priority = 'turn' }: Asked): SequenceRequest {
  return {
    tokens: Int32Array.from({ length }, (_, at) => (at * 7 + index * 13) % 512),
    maxTokens: 10,
    sampling: { ...greedySampling, seed: 1 },
    ...{ constraint: null, ignoreStopTokens: true, speculation: null, deadlineMs: null },
    ...{ priority, cacheSalt: `${index}` },
  };
}

/** A long prompt at once, and a chat of 60 to 100 tokens every `everyMs` for as long as `lastMs`. */
function besideChats(everyMs: number, lastMs: number): readonly Asked[] {
  const chats: Asked[] = [];
  for (let atMs = 2000; atMs < lastMs; atMs += everyMs)
    chats.push({ atMs, length: 60 + ((atMs / everyMs) % 40) });
  return [{ atMs: 0, length: LONG }, ...chats];
}

describe('a prompt that takes 84 s', () => {
  test('holds up short chats for a few chunks, at its beginning and near its end', () => {
    const [long, ...chats] = firstTokens(besideChats(2500, 240_000));
    // The chunk in flight, one more of the long prompt, two of chats; decodes beside them.
    expect(Math.max(...chats)).toBeLessThan(4.5 * CHUNK_MS);
    expect(long).toBeGreaterThan(LONG * TOKEN_MS); // it was overtaken
  });

  test('yields while it has not waited for as long as it takes, also to chats that need nearly all there is', () => {
    const [, ...chats] = firstTokens(besideChats(1300, 38_000));
    expect(Math.max(...chats)).toBeLessThan(4.5 * CHUNK_MS);
  });

  test('comes to its end however many chats come: it has a fourth of the steps', () => {
    // Chats alone would take more than the whole device.
    const [long] = firstTokens(besideChats(1000, 400_000));
    expect(long).toBeLessThan(SERVED_POLICY.overtakeMsMax! + 4 * LONG * TOKEN_MS);
  });

  test('shares with its own class only, once it is the most urgent', () => {
    const long = { atMs: 0, length: LONG };
    const warmUps = Array.from({ length: 20 }, (_, index) => ({
      ...{ atMs: 60_000 + index * 1000, length: 100, priority: 'background' as const },
    }));
    const [alone] = firstTokens([long]);
    const [beside, ...waits] = firstTokens([long, ...warmUps]);
    expect(beside).toBe(alone);
    expect(waits.every((ms) => ms > 0)).toBe(true);
  });
});

describe('what a token of a prompt costs', () => {
  const row = (count: number, sampleCount = 1) =>
    ({ tokens: new Int32Array(count), sampleCount }) as unknown as StepRow;

  test('is learned from chunks, and beside decodes from what they add to these', () => {
    const pace = new PrefillPace();
    expect(pace.tokenMs).toBe(null);
    pace.learn([row(100, 0), row(1)], 1400); // whose share was what?
    expect(pace.tokenMs).toBe(null);
    pace.learn([row(1), row(1)], 400);
    expect(pace.tokenMs).toBe(null);
    pace.learn([row(100, 0), row(1)], 1400);
    expect(pace.tokenMs).toBe(10);
    pace.learn([row(5, 5), row(1)], 9999); // guesses
    expect(pace.tokenMs).toBe(10);
    for (let i = 0; i < 20; i++) pace.learn([row(100, 0)], 2000);
    expect(pace.tokenMs).toBeCloseTo(20, 1);
  });

  test('is not a machine’s sleep', () => {
    const pace = new PrefillPace();
    pace.learn([row(100, 0)], 1000);
    pace.learn([row(100, 0)], 3_600_000);
    expect(pace.tokenMs).toBeLessThan(30);
  });
});
