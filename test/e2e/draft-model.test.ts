import { afterAll, beforeAll, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import type { CpuBackend } from '../../kernels/onnx/backend.ts';
import { loadModel } from '../../models/model.ts';
import { type Config, ConfigError, loadConfig } from '../../server/config/config.ts';
import { type OpenDevice, openDevice } from '../../server/device/device.ts';
import { openDraftDevice } from '../../server/device/draft-device.ts';
import { DraftModel } from '../../server/engine/draft-model.ts';
import { Engine } from '../../server/engine/engine.ts';
import type { SequenceEnd, SequenceRequest } from '../../server/engine/request.ts';
import { greedy } from '../cpu-rig.ts';
import { writeTinyModel } from '../golden/tiny-model.ts';
import { servedEnv } from '../served-env.ts';
import { quietObserver } from '../sim/observer.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const model = loadModel('spark-nano');
const clock = new WallClock();
const world = { clock, log: { info() {}, warn() {} }, onProgress: () => {} };
const flags = { model: 'spark-nano', precision: 'fp32', slots: '2', contextTokens: '512' };
const bounds = {
  ...{ prefillChunkTokens: 128, prefillTokensPerStep: 128, overtakeMsPerToken: 0, queueLengthMax: 10 },
  ...{ classDelayMs: { turn: 0, side: 50, background: 500 }, retryAfterMs: 1000 },
};

const configWith = (more: object): Config =>
  loadConfig({ flags: { ...flags, ...more }, env: { ...process.env, ...servedEnv } });
let target: OpenDevice;
let draft: OpenDevice;
let engine: Engine;
const losses: string[] = [];

beforeAll(async () => {
  const config = configWith({ draftModel: 'spark-nano', draftPrecision: 'int4' });
  target = await openDevice(config, model, world);
  draft = (await openDraftDevice(config, model, target.backend, world))!;
  engine = openEngine();
});

/** One that has not learned yet what guesses cost on this machine. */
function openEngine(): Engine {
  const cheap = { ...draft.backend.costs!, decodeMs: [0.01, 0.01], rowMs: [0.01] }; // worth it on any machine
  const backend = Object.assign(Object.create(draft.backend), { costs: cheap });
  const free = Object.assign(Object.create(target.backend), {
    costs: { decodeMs: [5, 5], rowMs: new Array(9).fill(5) },
    step: target.backend.step.bind(target.backend),
    interrupt: (replica: number) => target.backend.interrupt?.(replica),
    releaseSlot: target.backend.releaseSlot.bind(target.backend),
    keepSlot: target.backend.keepSlot?.bind(target.backend),
  });
  backend.step = draft.backend.step.bind(draft.backend);
  backend.releaseSlot = draft.backend.releaseSlot.bind(draft.backend);
  const draftModel = new DraftModel(backend, clock, ({ code }) => losses.push(code));
  return new Engine(free, clock, bounds, quietObserver(), null, draftModel);
}

afterAll(async () => {
  await target.backend.close();
  await draft.backend.close();
});

function answer(change: Partial<SequenceRequest>, onToken: () => void = () => {}) {
  return new Promise<{ tokens: number[]; end: SequenceEnd }>((resolve) => {
    const tokens: number[] = [];
    const asked: SequenceRequest = {
      tokens: model.tokenizer.encode('import { readFile } from "node:fs";\n\nexport function parse'),
      ...{ maxTokens: 96, sampling: greedy, constraint: null, ignoreStopTokens: true },
      ...{ priority: 'turn', cacheSalt: 'a', deadlineMs: null },
      speculation: { draftTokensMax: 8, prediction: null },
      ...change,
    };
    engine.submit(asked, {
      onTokens(drawn) {
        tokens.push(...drawn);
        onToken();
      },
      onEnd: (end) => resolve({ tokens, end }),
    });
  });
}

test('int4 weights draft for the same weights at fp32: equal text, and most guesses are right', async () => {
  const plain = await answer({ speculation: null });
  const drafted = await answer({});
  expect(drafted.tokens).toEqual(plain.tokens);
  const { acceptedDraftTokens, rejectedDraftTokens } = drafted.end.usage;
  expect(acceptedDraftTokens).toBeGreaterThan(rejectedDraftTokens);
});

test('two streams at once, sampled, are each what they would be alone', async () => {
  const sampled = (seed: number) => ({ sampling: { ...greedy, temperature: 0.7, seed } });
  const alone = [
    await answer({ ...sampled(1), speculation: null }),
    await answer({ ...sampled(2), speculation: null }),
  ];
  const together = await Promise.all([answer(sampled(1)), answer(sampled(2))]);
  expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
});

test('a model with other tokens is refused, with the first difference', async () => {
  const directory = temporaryDirectory();
  const config = configWith({ draftModel: writeTinyModel(directory) });
  const refused = openDraftDevice(config, model, target.backend, world);
  await expect(refused).rejects.toThrow(ConfigError);
  await expect(refused).rejects.toThrow(/draftModel = .*instead of 8192/);
});

test('when the draft device dies in the middle of an answer, the answer goes on without it', async () => {
  const plain = await answer({ speculation: null, maxTokens: 200 });
  engine = openEngine(); // guesses at first, however slow this machine is at the moment
  let told = 0;
  const drafted = await answer({ maxTokens: 200 }, () => {
    if (told++ === 0) void (draft.backend as CpuBackend).terminateWorker(0);
  });
  expect(drafted.tokens).toEqual(plain.tokens);
  expect(losses).toEqual(['worker-died']);
});
