// What the cpu backend does before its first request, over small backends that are right or wrong on purpose.
import { describe, expect, test } from 'vitest';
import type { Backend, BackendLimits, StepPlan, StepRow } from '../../../../kernels/backend.ts';
import { guessesAgree, SelfTestError, verifyInPlace } from '../../../../kernels/onnx/self-test.ts';
import { measureStepCosts } from '../../../../kernels/onnx/step-costs.ts';

const limits: BackendLimits = {
  replicaCount: 1,
  slotCount: 6,
  slotTokensMax: 64,
  blockSize: 4,
  blockCount: 16,
  rowTokensMax: 16,
  stepTokensMax: 32,
  sampleCountMax: 5,
  logprobsMax: 4,
  vocabSize: 100,
};

/** Says something that depends on the tokens of each seat; `isForgetful`: on those of the last step only. */
class Talker implements Backend {
  readonly name = 'talker';
  readonly limits = limits;
  readonly released = new Set<number>();
  readonly #isForgetful: boolean;
  readonly #deviceMs: (plan: StepPlan) => number;
  readonly #seats: number[][] = Array.from({ length: limits.slotCount }, () => []);

  constructor(isForgetful: boolean, deviceMs: (plan: StepPlan) => number = () => 1) {
    this.#isForgetful = isForgetful;
    this.#deviceMs = deviceMs;
  }

  step(plan: StepPlan, done: Parameters<Backend['step']>[1]): void {
    const rows = plan.rows.map((row) => ({
      tokens: new Array<number>(row.sampleCount).fill(0),
      logprobs: this.#speak(row),
    }));
    queueMicrotask(() => done({ ok: true, rows, deviceMs: this.#deviceMs(plan) }));
  }

  #speak({ slot, position, tokens, sampleCount }: StepRow) {
    const seat = this.#seats[slot]!;
    seat.length = this.#isForgetful ? 0 : position;
    this.released.delete(slot);
    const moods = Array.from(tokens, (token) => {
      seat.push(token);
      return seat.reduce((sum, each, index) => sum + each * (index + 1), 0) % 11;
    });
    return moods.slice(tokens.length - sampleCount).map((mood) => ({
      ...{ logprob: -1, topTokens: [1, 2, 3, 4] },
      topLogprobs: [-1, -2 - mood, -3 - mood, -9],
    }));
  }

  releaseSlot(_replica: number, slot: number): void {
    this.released.add(slot);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe('the self-test', () => {
  test('passes a device whose second step knows the first, and leaves the seat free', async () => {
    const talker = new Talker(false);
    await verifyInPlace(talker, 0);
    expect([...talker.released]).toEqual([limits.slotCount - 1]);
  });

  test('refuses a device that forgets, instead of letting it talk nonsense', async () => {
    await expect(verifyInPlace(new Talker(true), 0)).rejects.toThrow(SelfTestError);
    await expect(verifyInPlace(new Talker(true), 0)).rejects.toThrow('not updated in place');
  });

  test('refuses a model whose logits are no numbers', async () => {
    const talker = new Talker(false);
    const row = { tokens: [], logprobs: [], failure: 'logits that are not finite' };
    talker.step = (_, done) => queueMicrotask(() => done({ ok: true, rows: [row], deviceMs: 1 }));
    await expect(verifyInPlace(talker, 0)).rejects.toThrow('replica 0: logits that are not finite');
  });
});

test('step costs are the least of what was measured, with straight lines between', async () => {
  let stepCount = 0;
  const talker = new Talker(false, ({ rows }) => {
    const noiseMs = stepCount++ % 4 === 0 ? 10 : 0;
    const tokenCount = rows.reduce((sum, row) => sum + row.tokens.length, 0);
    return 1 + 0.5 * rows.length + 0.25 * tokenCount + noiseMs;
  });
  const costs = await measureStepCosts(talker);
  const close = (values: number[]) => values.map((value) => expect.closeTo(value, 9));
  expect(costs?.decodeMs).toEqual(close([1.75, 2.5, 3.25, 4, 4.75, 5.5]));
  expect(costs?.rowMs).toEqual(close([1.75, 2, 2.25, 2.5, 2.75]));
  expect(costs?.chunkTokenMs).toBeCloseTo(0.25, 9);
  expect(talker.released.size).toBe(limits.slotCount);
});

test('what context adds is measured where seats are long enough to tell', async () => {
  const talker = new Talker(false, ({ rows }) => 1 + 0.01 * rows[0]!.position * rows[0]!.tokens.length);
  expect((await measureStepCosts(talker))?.context).toBeUndefined();
  Object.assign(talker, { limits: { ...limits, slotTokensMax: 2048, blockSize: 16 } });
  const { context } = (await measureStepCosts(talker))!;
  expect(context?.tokens).toBe(128);
  expect(context?.decodeMs).toBeCloseTo(0.01, 9);
  expect(context?.rowMs).toEqual([0.01, 0.02, 0.03, 0.04, 0.05].map((ms) => expect.closeTo(ms, 9)));
});

describe('guesses', () => {
  test('agree where a row gives the same as its tokens one by one', async () => {
    expect(await guessesAgree(new Talker(false))).toBe(true);
  });

  test('do not where a longer row rounds otherwise', async () => {
    const talker = new Talker(false);
    const step = talker.step.bind(talker);
    talker.step = (plan, done) =>
      step(plan, (outcome) => {
        const [row] = plan.rows;
        if (outcome.ok && row!.sampleCount > 1)
          Object.assign(outcome.rows[0]!.logprobs![2]!, { logprob: -1.000001 });
        done(outcome);
      });
    expect(await guessesAgree(talker)).toBe(false);
  });
});
