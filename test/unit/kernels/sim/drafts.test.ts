// Speculation of simulated devices against its arithmetic, and against the chance that it stands for.
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice, type SimDevice } from '../../../../kernels/sim/device.ts';
import { bestDraftCount, expectedTokens } from '../../../../kernels/sim/drafts.ts';
import { GPU_CHIPS } from '../../../../kernels/sim/gpu/chips.ts';
import { draftedStepMs } from '../../../../kernels/sim/gpu/drafted-steps.ts';
import { gpuWeightBytes } from '../../../../kernels/sim/gpu/gpu-device.ts';
import { stepTerms } from '../../../../kernels/sim/gpu/roofline.ts';

const drafts = { acceptance: 0.8, tokensMax: 4 };

test('a verification brings as many tokens as drawing the guesses one by one does', () => {
  const random = new Random(7);
  let sum = 0;
  const rounds = 20_000;
  for (let round = 0; round < rounds; round++) {
    let right = 0;
    while (right < 4 && random.next() < drafts.acceptance) right++;
    sum += right + 1;
  }
  expect(expectedTokens(drafts, 4)).toBeCloseTo(sum / rounds, 1);
  expect(expectedTokens(drafts, 0)).toBe(1);
});

test('as many guesses as pay: all where they are free, none where each costs a whole step', () => {
  expect(bestDraftCount(drafts, () => 1)).toBe(4);
  expect(bestDraftCount(drafts, (count) => 1 + count)).toBe(0);
});

test('a GPU with few rows gains, one that is bound by compute does not draft', () => {
  const chip = GPU_CHIPS.find(({ name }) => name === 'h100')!;
  const shape = namedShape('llama-3.1-8b');
  const plain = {
    ...({ chip, gpuCount: 1, sharding: 'tensor', shape, precision: 'fp16', kvPrecision: 'fp16' } as const),
  };
  const setup = { ...plain, drafts };
  const rows = (rowCount: number) => ({
    ...{ rowCount, tokenCount: rowCount, sampledCount: rowCount, contextRead: 0, attentionPairs: 0 },
  });
  const gain = (rowCount: number) =>
    stepTerms(plain, rows(rowCount)).totalMs / draftedStepMs(setup, rows(rowCount), rows(rowCount));
  expect(gain(1)).toBeGreaterThan(1.5);
  expect(gain(1)).toBeLessThan(expectedTokens(drafts, 4));
  expect(gain(4096)).toBeCloseTo(1, 9);
  // A prompt beside them costs what it costs without drafts, not a share of it.
  const prompt = { prefillRows: 1, prefillTokens: 4096 };
  const both = { ...rows(1), tokenCount: 4097, attentionPairs: 4096 ** 2 / 2, ...prompt };
  const added = draftedStepMs(setup, rows(1), both) - draftedStepMs(setup, rows(1), rows(1));
  expect(added).toBeGreaterThan(0.5 * (stepTerms(plain, both).totalMs - stepTerms(plain, rows(1)).totalMs));
  expect(gpuWeightBytes(setup) / gpuWeightBytes(plain)).toBeCloseTo(1 + 6.98 / 8.03 / 32, 3); // one layer more
});

test('a lone user of a wafer waits for one walk, the stream behind it and the guesses, for several tokens', () => {
  const plan = (acceptance: number | null) =>
    planSimDevice({
      ...{ device: 'wse3', shape: namedShape('llama-3.1-8b'), precision: 'fp16' },
      ...(acceptance !== null && { drafts: { acceptance, tokensMax: 3 } }),
      demand: { userCount: 1, contextTokens: 4096, answerTokens: 512 },
    }) as Extract<SimDevice, { kind: 'wafer' }>;
  const times = plan(0.8).stageTimes();
  const plain = times.undrafted!;
  const cycleMs = times.tokenMs(2048) * expectedTokens({ acceptance: 0.8, tokensMax: 3 }, 3);
  expect(cycleMs).toBeGreaterThan(plain.tokenMs(2048) + 3 * plain.slowestStageMs(2048, true));
  expect(cycleMs).toBeLessThan(2 * plain.tokenMs(2048));
  // Stages are busy for what is verified, right or wrong.
  const work = { tokenCount: 1, position: 2048, draws: true };
  expect(times.workMs(0, work) / plain.workMs(0, work)).toBeCloseTo(4 / expectedTokens(drafts, 3), 9);
  const chunk = { tokenCount: 16, position: 0, draws: false };
  expect(times.workMs(0, chunk)).toBe(plain.workMs(0, chunk));
  // The drafter lies beside the output projection.
  const headOf = (device: ReturnType<typeof plan>) => {
    const { sram, columns, rows } = device.placement.stages.at(-1)!;
    return sram.weightsBytes * columns * rows;
  };
  expect(headOf(plan(0.8)) - headOf(plan(null))).toBeGreaterThan(0.9 * 2 * 218e6);
  expect(plan(0.1).stageTimes().tokenMs(0)).toBeLessThanOrEqual(plan(0.1).stageTimes().undrafted!.tokenMs(0));
});

test('guesses of a wafer are as many as pay for the users that are planned: none where its stages are full', () => {
  const busyMs = (userCount: number, acceptance: number): number => {
    const device = planSimDevice({
      ...{ device: 'wse3', shape: namedShape('llama-3.1-8b'), drafts: { acceptance, tokensMax: 16 } },
      demand: { userCount, contextTokens: 4096, answerTokens: 512 },
    }) as Extract<SimDevice, { kind: 'wafer' }>;
    const times = device.stageTimes();
    return times.slowestStageMs(2048, true) / times.undrafted!.slowestStageMs(2048, true);
  };
  for (const acceptance of [0.3, 0.6, 0.9]) {
    expect(busyMs(64, acceptance)).toBeCloseTo(1, 6);
    expect(busyMs(1, acceptance)).toBeGreaterThan(1.2); // what a lone user's guesses cost the stages
  }
});
