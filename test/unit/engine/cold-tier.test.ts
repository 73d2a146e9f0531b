import { expect, test } from 'vitest';
import { VirtualClock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { KeyChain } from '../../../server/archive/key-chain.ts';
import { KvArchive } from '../../../server/archive/kv-archive.ts';
import { Engine } from '../../../server/engine/engine.ts';
import { TierRates } from '../../../server/engine/tier-rates.ts';
import { MemoryDisk } from '../../memory-disk.ts';
import { quietObserver } from '../../sim/observer.ts';

const blockSize = 4;
const limits = {
  replicaCount: 1,
  slotCount: 2,
  slotTokensMax: 128,
  blockSize,
  blockCount: 32,
  rowTokensMax: 16,
  stepTokensMax: 64,
  sampleCountMax: 1,
  logprobsMax: 0,
  vocabSize: 32,
};
const bounds = {
  prefillChunkTokens: 16,
  prefillTokensPerStep: 16,
  overtakeMsPerToken: 0.1,
  classDelayMs: { turn: 0, side: 10, background: 100 },
  queueLengthMax: 100,
  retryAfterMs: 1,
};
const sampling = {
  ...{ temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1, frequencyPenalty: 0 },
  ...{
    presencePenalty: 0,
    logitBias: null,
    seed: 1,
    stream: 0,
    logprobs: null,
    minTokens: 0,
    stopTokenIds: [],
  },
};

/** One process on a disk: 32 blocks of memory, an archive behind them. */
function start(diskLatencyMs: number, before: MemoryDisk | null = null) {
  const clock = new VirtualClock();
  const world = { clock, random: new Random(1), latencyMs: diskLatencyMs, faults: null };
  const disk = before === null ? new MemoryDisk(world) : before.crash(world);
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0.2, tokenMs: 0.1, blockMs: 0.01 });
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  let names = disk.fileCount;
  const archive = new KvArchive({
    disk,
    clock,
    blocks: backend,
    keys: new KeyChain({ blockSize, namespace: ['model'], secretOf: (salt) => salt }),
    bounds: { sizeMax: 1e6, segmentSizeMax: 1e5, queueSizeMax: 1e5 },
    freshName: () => `${names++}`,
    observer: { onArchived() {}, onUnarchived() {}, onArchiveLoss() {}, onArchiveSize() {} },
    onFault() {},
  });
  const observer = quietObserver();
  const engine = new Engine(backend, clock, bounds, observer, archive);
  const ask = (seed: number, cacheSalt: string, maxTokens: number, repetitionPenalty = 1) => {
    const tokens = Int32Array.from({ length: 96 }, (_, at) => (at * 7 + seed) % 32);
    const request = {
      tokens,
      maxTokens,
      sampling: { ...sampling, repetitionPenalty },
      cacheSalt,
      priority: 'turn',
      deadlineMs: null,
    } as const;
    let cachedTokens = -1;
    const startMs = clock.nowMs();
    let tookMs = 0;
    engine.submit(
      { ...request, constraint: null, ignoreStopTokens: true, speculation: null },
      {
        onTokens() {},
        onEnd: ({ usage }) => {
          cachedTokens = usage.cachedTokens;
          tookMs = clock.nowMs() - startMs;
        },
      },
    );
    while (clock.step()) engine.check();
    return { cachedTokens, tookMs };
  };
  const prefill = (seed: number, cacheSalt = 'a') => ask(seed, cacheSalt, 0);
  const answer = (seed: number, tokens: number) => ask(seed, 'a', tokens);
  const hopeless = (seed: number) => ask(seed, 'a', 4, 1e-45); // no distribution to draw from
  return { disk, observer, prefill, answer, hopeless };
}

test('what memory has evicted, or a process has left behind, comes back from the archive', () => {
  const first = start(0.1);
  expect(first.prefill(1)).toMatchObject({ cachedTokens: 0 });
  first.prefill(2); // 24 blocks each, 32 in memory
  const back = first.prefill(1);
  expect(back.cachedTokens).toBe(96);
  expect(first.observer.fetchedBlocks).toBeGreaterThan(10);
  const second = start(0.1, first.disk);
  const restored = second.prefill(1);
  expect(restored.cachedTokens).toBe(96);
  expect(restored.tookMs).toBeLessThan(2);
});

test('what a row without a distribution was computed from does not come back from the archive, what others were does', () => {
  const first = start(0.1);
  first.prefill(1);
  first.prefill(2); // pushes half of it out of memory
  first.hopeless(1);
  expect(first.prefill(1).cachedTokens).toBe(0);
  const second = start(0.1, first.disk);
  second.prefill(3);
  expect(second.prefill(2).cachedTokens).toBe(96); // is still there
});

test('another salt finds nothing of it, and takes as long as if there were nothing', () => {
  const first = start(0.1);
  first.prefill(1);
  const cold = start(0.1).prefill(1, 'b');
  const second = start(0.1, first.disk);
  expect(second.prefill(1, 'b')).toEqual(cold);
  expect(second.observer.fetchedBlocks).toBe(0);
});

test('a disk that is slower than computing is asked once, then left alone', () => {
  const first = start(400);
  first.prefill(1);
  first.prefill(2);
  first.prefill(1); // measures the disk
  const fetched = first.observer.fetchedBlocks;
  first.prefill(2);
  expect(first.observer.fetchedBlocks).toBe(fetched);
  expect(first.observer.skippedBlocks).toBeGreaterThan(0);
});

test('rates: unknown is tried, slow is not, and a slow disk is forgiven after a while', () => {
  const rates = new TierRates();
  expect(rates.fetchPays(10, 160)).toBe(true);
  rates.learnCompute(100, 100); // 1 ms a token
  rates.learnFetch(10, 320); // 32 ms a block of 16: twice as slow
  let refused = 0;
  while (!rates.fetchPays(10, 160)) refused++;
  expect(refused).toBeGreaterThan(5);
  expect(refused).toBeLessThan(15);
  rates.learnFetch(10, 1);
  rates.learnFetch(10, 1);
  expect(rates.fetchPays(10, 160)).toBe(true);
});

test('what computing costs is learnt from prompts alone: a token of an answer costs many times one of a prompt', () => {
  const { prefill, answer, observer } = start(40);
  const computed = prefill(1);
  prefill(2);
  const fetched = prefill(1); // measures the disk: slower than computing, quicker than as many tokens of an answer
  expect(fetched.cachedTokens).toBe(96);
  expect(fetched.tookMs).toBeGreaterThan(1.2 * computed.tookMs);
  const answered = answer(1, 30);
  expect(answered.tookMs / 30).toBeGreaterThan(2 * (fetched.tookMs / 96));
  const { skippedBlocks } = observer;
  expect(prefill(2)).toMatchObject({ cachedTokens: 0 });
  expect(observer.skippedBlocks).toBeGreaterThan(skippedBlocks);
});
