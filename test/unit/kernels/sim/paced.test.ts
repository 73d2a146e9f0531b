// A real backend's tokens at a simulated pace: same tokens, other times.
import { expect, test } from 'vitest';
import { type Backend, type BackendLimits, greedySampling } from '../../../../kernels/backend.ts';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { SimBackend } from '../../../../kernels/sim/backend.ts';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { linearCostModel } from '../../../../kernels/sim/cost-model.ts';
import { openSimulated } from '../../../../kernels/sim/served.ts';
import { Engine } from '../../../../server/engine/engine.ts';
import { quietObserver } from '../../../sim/observer.ts';

const limits: BackendLimits = {
  ...{ replicaCount: 1, slotCount: 4, slotTokensMax: 512, blockSize: 16, blockCount: 128, rowTokensMax: 64 },
  ...{ stepTokensMax: 256, sampleCountMax: 1, logprobsMax: 5, vocabSize: 40 },
};
const shape = namedShape('llama-3.1-8b');

function inner(clock: VirtualClock, stepMs: number): Backend {
  const costModel = linearCostModel({ stepMs, rowMs: 0, tokenMs: 0, blockMs: 0 });
  return new SimBackend('inner', { limits, clock, costModel, faults: null });
}

function answer(backend: Backend, clock: VirtualClock): { tokens: number[]; endMs: number } {
  const bounds = { prefillChunkTokens: 64, prefillTokensPerStep: 64, overtakeMsPerToken: 0 };
  const classDelayMs = { turn: 0, side: 0, background: 0 };
  const rest = { classDelayMs, queueLengthMax: 10, retryAfterMs: 1 };
  const engine = new Engine(backend, clock, { ...bounds, ...rest }, quietObserver());
  const tokens: number[] = [];
  let endMs = 0;
  const sampling = { ...greedySampling, seed: 1 };
  const request = { tokens: Int32Array.from({ length: 50 }, (_, id) => id % 40), maxTokens: 30, sampling };
  const flags = {
    constraint: null,
    speculation: null,
    ignoreStopTokens: true,
    priority: 'turn',
    deadlineMs: null,
  } as const;
  engine.submit(
    { ...request, ...flags, cacheSalt: '' },
    {
      onTokens: (drawn) => void tokens.push(...drawn),
      onEnd: () => {
        endMs = clock.nowMs();
      },
    },
  );
  clock.run();
  engine.check();
  return { tokens, endMs };
}

function run(make: (clock: VirtualClock) => Backend): { tokens: number[]; endMs: number } {
  const clock = new VirtualClock();
  return answer(make(clock), clock);
}

for (const device of ['h100', 'wse3']) {
  test(`${device}: the tokens are the inner backend's, the times the simulated device's`, () => {
    const alone = run((clock) => inner(clock, 0.001));
    const open = (clock: VirtualClock) =>
      openSimulated({ device, shape, precision: 'fp16', clock, inner: inner(clock, 0.001) });
    const paced = run(open);
    expect(paced.tokens).toEqual(alone.tokens);
    const perTokenMs = paced.endMs / 30;
    expect(perTokenMs).toBeGreaterThan(device === 'h100' ? 6 : 0.3);
    expect(perTokenMs).toBeLessThan(device === 'h100' ? 9 : 0.8);
  });
}

test('hardware slower than the simulated device is not made faster', () => {
  const paced = run((clock) =>
    openSimulated({ device: 'wse3', shape, precision: 'fp16', clock, inner: inner(clock, 20) }),
  );
  expect(paced.endMs).toBeCloseTo(30 * 20, 3);
});

test('a simulated device of its own gives tokens of the vocabulary it is told', () => {
  const own = run((clock) =>
    openSimulated({ device: 'wse3', shape, precision: 'fp16', vocabSize: 40, clock, inner: null }),
  );
  expect(own.tokens.length).toBe(30);
  expect(Math.max(...own.tokens)).toBeLessThan(40);
});

test('its blocks are the inner backend’s, and can be copied where those can', () => {
  const clock = new VirtualClock();
  const device = inner(clock, 1);
  const paced = openSimulated({ device: 'h100', shape, precision: 'fp16', clock, inner: device });
  expect(paced.computedBy).toBe('inner');
  expect(paced.blockBytes).toBe(device.blockBytes);
  const content = Uint8Array.from({ length: device.blockBytes! }, (_, index) => index % 251);
  paced.writeBlock!(3, content);
  const copy = new Uint8Array(content.length);
  device.readBlock!(3, copy);
  expect(copy).toEqual(content);
  paced.readBlock!(3, copy.fill(0));
  expect(copy).toEqual(content);
});
