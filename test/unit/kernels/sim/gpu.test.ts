// The roofline against numbers computed by hand from its formula.
import { expect, test } from 'vitest';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice } from '../../../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../../../kernels/sim/fit-error.ts';
import { allReduceMs, gpuChip } from '../../../../kernels/sim/gpu/chips.ts';
import { mixtureFitted } from '../../../../kernels/sim/gpu/fitted.ts';
import { gpuKvTokens } from '../../../../kernels/sim/gpu/gpu-device.ts';
import { boundOf, type GpuSetup, stepTerms } from '../../../../kernels/sim/gpu/roofline.ts';
import { stagedTerms } from '../../../../kernels/sim/gpu/stage-steps.ts';

const h100 = gpuChip('h100');
const shape = namedShape('llama-3.1-8b');
const setup: GpuSetup = {
  ...({ chip: h100, gpuCount: 1, sharding: 'tensor', shape } as const),
  ...({ precision: 'fp16', kvPrecision: 'fp16' } as const),
};
const fitted = {
  ...{ computeUtilisation: 0.5, layerOverheadUs: 50, rowOverheadUs: 2, ringStepUs: 4, pcie4Utilisation: 0.5 },
};
const toldMs = mixtureFitted.stageRowUs / 1e3; // of each row that a stage tells the next of
const halfTile = 64; // tokens that a product's last tile computes for nobody, on average
const oneToken = { rowCount: 1, tokenCount: 1, sampledCount: 1, contextRead: 0, attentionPairs: 0 };

test('one token reads all weights at 85 % of the bandwidth and pays each layer', () => {
  const terms = stepTerms(setup, oneToken, fitted);
  const weights = 32 * (4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336) + 128256 * 4096;
  expect(terms.weightsMs).toBeCloseTo((weights * 2 * 1000) / (3.35e12 * 0.85), 6);
  expect(terms.launchMs).toBeCloseTo((32 * 50) / 1000, 9);
  const activations = 32 * (6 * 4096 + 4 * (32 + 8) * 128 + 6 * 14336);
  expect(terms.activationsMs).toBeCloseTo((activations * 2 * 1000) / (3.35e12 * 0.85), 9);
  expect(terms.totalMs).toBeCloseTo(terms.weightsMs + terms.activationsMs + terms.launchMs + 0.002, 9);
  expect(boundOf(terms)).toContain('weights');
});

test('a long prompt is bound by compute', () => {
  const counts = {
    rowCount: 1,
    tokenCount: 4096,
    sampledCount: 1,
    contextRead: 4096,
    attentionPairs: 4096 * 2048,
  };
  const terms = stepTerms(setup, counts, fitted);
  const layer = 4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336;
  const flops = 2 * ((4096 + halfTile) * 32 * layer + (1 + halfTile) * 128256 * 4096);
  expect(terms.linearMs).toBeCloseTo((flops * 1000) / (989.5e12 * 0.5), 6);
  expect(terms.attentionMs).toBeCloseTo((2 * 32 * 2 * 4096 * 4096 * 2048 * 1000) / (989.5e12 * 0.5), 6);
  expect(boundOf(terms)).toContain('compute');
});

test('a mixture reads the experts that its tokens meet, in the end all of them', () => {
  const moe = { ...setup, gpuCount: 8, shape: namedShape('gpt-oss-120b') };
  const at = (tokenCount: number) => stepTerms(moe, { ...oneToken, tokenCount }, fitted).expertWeightsMs;
  expect(at(8) / at(1)).toBeGreaterThan(4);
  expect(at(1000) / at(500)).toBeCloseTo(1, 3);
});

test('NVFP4 on a chip without fp4 is widened, as INT4 is: a prompt computes at the rate of 16 bits', () => {
  const prompt = { ...oneToken, tokenCount: 2000 };
  const linearMs = (precision: 'nvfp4' | 'int4' | 'fp16') =>
    stepTerms({ ...setup, precision, kvPrecision: 'fp16' }, prompt, fitted).linearMs;
  expect(linearMs('nvfp4')).toBe(linearMs('int4'));
  expect(linearMs('nvfp4')).toBe(linearMs('fp16'));
  const mixture = { ...setup, shape: namedShape('qwen3-30b-a3b') };
  const expertMs = (precision: 'nvfp4' | 'int4') =>
    stepTerms({ ...mixture, precision }, prompt, fitted).expertLinearMs;
  expect(expertMs('nvfp4')).toBe(expertMs('int4'));
});

test('an all-reduce is latency for few bytes and the ring for many', () => {
  expect(allReduceMs(h100, 1, 1e9, fitted)).toBe(0);
  expect(allReduceMs(h100, 2, 0, fitted)).toBeCloseTo(0.008, 9);
  expect(allReduceMs(h100, 2, 5e5, fitted)).toBeCloseTo(0.008 + 0.004 + 5e5 / 370e6, 9); // half of the ring's two steps
  expect(allReduceMs(h100, 8, 370e6, fitted)).toBeCloseTo(0.016 + 14 * 0.004 + 1.75, 6); // 370 GB/s of 450: the rest is protocol
  const l40s = gpuChip('l40s');
  expect(allReduceMs(l40s, 2, 32e6, fitted)).toBeCloseTo(0.008 + 0.008 + 2, 6); // half of PCIe's rate, through the host
});

test('KV gets what 90 % of the memory leaves beside the weights and a step of 8,192 tokens', () => {
  const step = 8192 * (4 * 4096 + 3 * 14336) * 2;
  const tokens = Math.floor((0.9 * 81_559 * 2 ** 20 - step - 8_029_995_008 * 2) / (2 * 32 * 8 * 128 * 2));
  expect(Math.abs(gpuKvTokens(setup) - tokens)).toBeLessThan(10);
  expect(planSimDevice({ device: 'h100', shape: setup.shape, precision: 'fp16' }).limits.blockCount).toBe(
    Math.floor(gpuKvTokens(setup) / 16),
  );
});

test('tensor parallelism keeps latent KV, and KV of fewer heads than GPUs, more than once', () => {
  const tokens = (model: string, sharding: 'tensor' | 'expert') =>
    gpuKvTokens({ ...setup, gpuCount: 8, shape: namedShape(model), precision: 'nvfp4', sharding });
  expect(tokens('deepseek-v3', 'expert') / tokens('deepseek-v3', 'tensor')).toBeGreaterThan(3.5); // 8, but for the weights that every rank keeps and the tokens that it gathers
  const few = { ...setup, gpuCount: 8, shape: namedShape('qwen3-30b-a3b') } as const;
  expect(gpuKvTokens({ ...few, shape: { ...few.shape, kvHeadCount: 8 } }) / gpuKvTokens(few)).toBeCloseTo(
    1,
    3,
  );
});

test('what does not fit is refused with numbers', () => {
  const shape = namedShape('llama-3.1-70b');
  expect(() => planSimDevice({ device: 'h100', shape, precision: 'fp16' })).toThrow(/141\.1 GB.*85\.5 GB/);
  expect(() => planSimDevice({ device: 'h100x3', shape, precision: 'fp16' })).toThrow(DoesNotFitError);
  expect(() => planSimDevice({ device: 'a100', shape, precision: 'fp8' })).toThrow(/fp8/);
  expect(() => planSimDevice({ device: 'tpu', shape, precision: 'fp16' })).toThrow(/h100/);
});

test('kernels that widen MXFP4 route all tokens that ranks have gathered', () => {
  const experts = { ...setup, gpuCount: 4, sharding: 'expert', shape: namedShape('gpt-oss-120b') } as const;
  const routing = (precision: 'mxfp4' | 'fp8', sharding: 'expert' | 'tensor') =>
    stepTerms({ ...experts, precision, sharding }, { ...oneToken, tokenCount: 4096 }).routingMs;
  expect(routing('mxfp4', 'expert') / routing('mxfp4', 'tensor')).toBeCloseTo(4, 9);
  expect(routing('fp8', 'expert')).toBeCloseTo(routing('fp8', 'tensor'), 9);
});

test('pipeline stages: one user gains nothing but room, many keep all stages busy', () => {
  const staged = { ...setup, gpuCount: 4, stageCount: 4 };
  const one = { ...oneToken, contextRead: 1000 };
  const alone = stagedTerms(setup, one, fitted).totalMs;
  const hops = 4 * (0.008 + (4096 * 2) / (370e9 / 1e3));
  expect(stagedTerms(staged, one, fitted).totalMs).toBeCloseTo(alone + hops, 9);
  // A step of four times the rows takes what one GPU takes for its part, and what the last stage and every scheduler do alone
  // is waited for by the three other parts.
  const many = { rowCount: 64, tokenCount: 64, sampledCount: 64, contextRead: 64_000, attentionPairs: 0 };
  const all = { rowCount: 256, tokenCount: 256, sampledCount: 256, contextRead: 256_000, attentionPairs: 0 };
  const { totalMs, linkMs } = stagedTerms(staged, all, fitted);
  const head = (128_256 * 4096 * 2 * 1000) / (3.35e12 * 0.85);
  const expected = stagedTerms(setup, many, fitted).totalMs + 3 * (head + 64 * 0.002) + 4 * 64 * toldMs;
  expect(totalMs - linkMs).toBeCloseTo(expected, 9);
  expect(gpuKvTokens(staged)).toBeGreaterThan(4 * gpuKvTokens(setup));
});

test('a single prompt is in one stage at a time, several are in all', () => {
  const staged = { ...setup, gpuCount: 2, stageCount: 2 };
  const prompts = (prefillRows: number) => {
    const tokens = { tokenCount: 4096, contextRead: 4096, prefillTokens: 4096, prefillRows };
    return stagedTerms(
      staged,
      { ...tokens, rowCount: prefillRows, sampledCount: prefillRows, attentionPairs: 0 },
      fitted,
    ).linearMs;
  };
  expect(prompts(1) / prompts(2)).toBeGreaterThan(1.9);
});

test('layers that do not divide make everybody wait for the longest stage, once all stages are busy', () => {
  const staged = { ...setup, gpuCount: 3, stageCount: 3 };
  const lone = stagedTerms(staged, oneToken, fitted);
  const single = stagedTerms(setup, oneToken, fitted).totalMs;
  expect(lone.totalMs - lone.linkMs).toBeCloseTo(single, 9);
  const three = { ...oneToken, rowCount: 3, tokenCount: 3, sampledCount: 3 };
  const { totalMs, linkMs } = stagedTerms(staged, three, fitted);
  const alone = (128_256 * 4096 * 2 * 1000) / (3.35e12 * 0.85) + 0.002;
  expect(totalMs - linkMs).toBeCloseTo((33 / 32) * (single - alone) + 3 * (alone + toldMs), 9);
});

test('windowed layers keep the whole context, or their window', () => {
  const oss = { ...setup, shape: namedShape('gpt-oss-20b'), precision: 'mxfp4' } as const;
  const ratio = gpuKvTokens({ ...oss, windowedKv: 'window' }) / gpuKvTokens(oss);
  expect(ratio).toBeCloseTo(24 / (12 + (12 * 128) / 8192), 2);
});
