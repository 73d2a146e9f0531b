// The simulator as a whole: the real engine on virtual time. Promises about load and memory, the same bytes for the
// same seed, and prefix hits that are exactly those the hashes of a trace allow.
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { mix32 } from '../../kernels/random.ts';
import { namedShape } from '../../kernels/sim/catalogue.ts';
import { planSimDevice, type SimDevice } from '../../kernels/sim/device.ts';
import { maxLoadRate, sequencesAtMaxLoad, steadyRate } from '../../kernels/sim/fit/max-load.ts';
import {
  burstLoad,
  closedLoad,
  poissonLoad,
  promptTokens,
  type SimClient,
  type SimLoad,
} from '../../loadtest/simulate/load.ts';
import { replayLoad } from '../../loadtest/simulate/replay.ts';
import { type SimulationOptions, simulate } from '../../loadtest/simulate/simulation.ts';
import { summarise } from '../../loadtest/simulate/summary.ts';
import { simulateUsers } from '../../loadtest/simulate/sweep.ts';

const shape = namedShape('llama-3.1-8b');
const slo = { ttftMsMax: 1000, tpotMsMax: 50 };
const prices = { usdPerChipHour: new Map([['h100', 2]]), usdPerKWh: 0.1 };
const devices: Readonly<Record<string, SimDevice>> = {
  h100: planSimDevice({ device: 'h100', shape, precision: 'fp8' }),
  wse3: planSimDevice({ device: 'wse3', shape, precision: 'fp16' }),
  'wse3 with a store': planSimDevice({
    device: 'wse3',
    shape,
    precision: 'fp16',
    kvStoreBytes: 2e11,
    sequencesMax: 64,
  }),
};

function run(device: SimDevice, load: SimLoad, options: Partial<SimulationOptions> = {}) {
  const defaults = { slo, hostMs: 0, warmupRequests: 0, countedRequests: Number.POSITIVE_INFINITY };
  return simulate({ ...defaults, queueLengthMax: 10_000, device, load, ...options });
}

const users = (device: SimDevice, userCount: number, lengths = { isl: 300, osl: 60 }) =>
  simulateUsers(
    { ...{ device, lengths, slo, hostMs: 0, prices, queueLengthMax: 10_000, seed: 3 } },
    userCount,
  );

for (const [name, device] of Object.entries(devices)) {
  test(`${name}: the same seed gives the same report, another one another`, () => {
    const report = (seed: number) => {
      const load = poissonLoad({ isl: 200, osl: 20 }, { perSecond: 30, requestCount: 200, seed });
      const result = run(device, load);
      const { samples } = result.tally;
      return JSON.stringify([summarise(result, { device, load: load.label, prices }), samples]);
    };
    expect(report(5)).toBe(report(5));
    expect(report(5)).not.toBe(report(6));
  });

  test(`${name}: every request ends, none fails, and more users never wait less`, () => {
    let before = { ttft: 0, tpot: 0 };
    for (const userCount of [1, 4, 16, 64]) {
      const summary = users(device, userCount);
      expect(summary.failedCount + summary.refusedCount).toBe(0);
      const now = { ttft: summary.ttftMs!.mean, tpot: summary.tpotMs!.mean };
      // One per cent: in a closed loop arrivals fall differently.
      expect(now.ttft).toBeGreaterThan(before.ttft * 0.99);
      expect(now.tpot).toBeGreaterThan(before.tpot * 0.99);
      before = now;
    }
  });
}

test('on a wafer one user keeps its rate while the pipe has places, and shares the slowest stage after that', () => {
  const device = devices['wse3']!;
  if (device.kind !== 'wafer') throw new Error('not a wafer');
  const decode = { isl: 1, osl: 400 };
  const places = device.placement.stages.length;
  const alone = users(device, 1, decode).userTokensPerSecond!;
  const half = users(device, Math.floor(places / 2), decode).userTokensPerSecond!;
  const many = users(device, places * 4, decode);
  expect(half / alone).toBeGreaterThan(0.97);
  const slowestMs = device.stageTimes().slowestStageMs(200, true);
  expect(many.tokensPerSecond * slowestMs).toBeLessThan(1001);
  expect(many.tokensPerSecond * slowestMs).toBeGreaterThan(950);
});

test('a wafer with a store spills when its memory is full, and keeps every block somewhere', () => {
  const device = devices['wse3 with a store']!;
  const load = closedLoad({ isl: 12_000, osl: 20 }, { userCount: 24, turnCount: 40, seed: 1, inStep: true });
  const result = run(device, load);
  const { floor } = result.pace!;
  floor.check();
  expect(floor.use.spilledCount).toBeGreaterThan(0);
  expect(result.tally.failedCount).toBe(0);
  expect(result.tally.requestCount).toBe(64);
  expect(floor.fullestRowShare).toBeLessThanOrEqual(1);
});

test('a load without memory for all of it waits instead of failing', () => {
  const device = planSimDevice({ device: 'wse3', shape, precision: 'fp16', contextTokensMax: 40_000 });
  const load = closedLoad({ isl: 30_000, osl: 50 }, { userCount: 20, turnCount: 10, seed: 1, inStep: true });
  const { tally, requestCount } = run(device, load);
  expect(requestCount).toBe(30);
  expect(tally.failedCount).toBe(0);
  expect(tally.queue.maxMs!).toBeGreaterThan(100);
});

test('requests that can never fit are refused one after the other, and time passes', () => {
  const device = planSimDevice({ device: 'h100', shape, precision: 'fp8', contextTokensMax: 512 });
  const load = closedLoad(
    { isl: 2000, osl: 5 },
    { userCount: 3, turnCount: Number.POSITIVE_INFINITY, seed: 1, inStep: true },
  );
  const { tally, elapsedMs } = run(device, load, { countedRequests: 30_000 });
  expect(tally.requestCount).toBe(0);
  expect([...tally.refusals.values()].reduce((sum, count) => sum + count, 0)).toBe(30_000);
  expect(elapsedMs).toBeGreaterThan(9_000_000);
});

test('the closed form of a steady state says what the engine does', () => {
  const mixture = namedShape('gpt-oss-20b');
  const userCount = 48;
  const device = planSimDevice({
    ...{ device: 'h100', shape: mixture, precision: 'mxfp4', sequencesMax: userCount },
  });
  if (device.kind !== 'gpu') throw new Error('not a GPU');
  const lengths = { isl: 4000, osl: 400 };
  const load = closedLoad(lengths, {
    ...{ userCount, turnCount: Number.POSITIVE_INFINITY, seed: 1, inStep: false },
  });
  const { tally, elapsedMs } = run(device, load, { warmupRequests: userCount, countedRequests: userCount });
  const closed = steadyRate(device.setup, lengths, userCount);
  expect(Math.abs((tally.outputTokens * 1000) / elapsedMs / closed - 1)).toBeLessThan(0.1);
});

for (const [model, device, precision, sharding] of [
  ['llama-3.1-70b', 'h100x2', 'fp8', 'tensor'],
  ['llama-4-maverick', 'b200x4', 'nvfp4', 'expert'],
] as const) {
  test(`the closed form of a published maximum load says what the engine does: ${model}`, () => {
    const lengths = { isl: 10_000, osl: 250 }; // 600 requests, rounds of them
    const options = { device, shape: namedShape(model), precision, sharding } as const;
    const planned = planSimDevice({ ...options, sequencesMax: 8192 });
    if (planned.kind !== 'gpu') throw new Error('not a GPU');
    const sequencesMax = sequencesAtMaxLoad(planned.setup, lengths);
    const full = planSimDevice({ ...options, sequencesMax, chunkTokens: lengths.isl });
    const { tally, elapsedMs } = run(full, burstLoad(lengths, 600));
    const closed = maxLoadRate(planned.setup, lengths);
    expect(Math.abs((tally.outputTokens * 1000) / elapsedMs / closed - 1)).toBeLessThan(0.1);
  });
}

const traces = {
  azure: '../shared/data/azure-llm-2023/AzureLLMInferenceTrace_code.csv.gz',
  mooncake: '../shared/data/mooncake-fast25/conversation_trace.jsonl.gz',
  agents: '../shared/data/agent-sessions/sessions.rle.jsonl.gz',
};
const roomy = planSimDevice({ device: 'b200x8', shape: namedShape('qwen2.5-coder-0.5b'), precision: 'fp8' });

for (const [name, path] of Object.entries(traces)) {
  const absent = !existsSync(path);
  test.skipIf(absent)(
    `${name}: the prefix cache finds what the hashes allow, token for token${absent ? ` (skipped: ${path} is absent)` : ''}`,
    () => {
      const load = replayLoad({
        ...{ path, timeScale: 1, sessionsPerHour: 60, requestsMax: 120, contextTokensMax: 32_000 },
      });
      const spaced = oneAfterAnother(load);
      const result = run(roomy, spaced.load);
      expect(result.tally.requestCount).toBe(spaced.requestCount);
      expect(result.tally.evictionCount).toBe(0);
      expect(result.tally.cachedTokens).toBe(spaced.allowedTokens);
      if (name !== 'azure') expect(spaced.allowedTokens).toBeGreaterThan(0);
    },
  );
}

// The same requests, an hour apart, and what a cache of 16-token blocks that forgets nothing may find of them.
function oneAfterAnother(load: SimLoad) {
  const clients: SimClient[] = [];
  const seen = new Set<string>();
  let allowedTokens = 0;
  let requestCount = 0;
  const all = load.clients();
  for (let next = all.next(); !next.done; next = all.next()) {
    const { turns } = next.value;
    for (let turn = turns.next(); !turn.done; turn = turns.next()) {
      const atMs = requestCount++ * 3_600_000;
      clients.push({ atMs, turns: [{ ...turn.value, gapMs: 0 }].values() });
      allowedTokens += allowed(promptTokens(turn.value), seen);
    }
  }
  return { load: { ...load, clients: () => clients.values() }, allowedTokens, requestCount };
}

function allowed(tokens: Int32Array, seen: Set<string>): number {
  let first = 1;
  let second = 2;
  let found = 0;
  let broken = false;
  for (let end = 16; end <= tokens.length; end += 16) {
    for (let index = end - 16; index < end; index++) {
      first = mix32(Math.imul(first, 31) + tokens[index]!);
      second = mix32(Math.imul(second, 37) ^ tokens[index]!);
    }
    const key = `${end} ${first} ${second}`;
    if (!seen.has(key)) broken = true;
    // The last token of a prompt is always computed.
    if (!broken && end < tokens.length) found = end;
    seen.add(key);
  }
  return found;
}
