// KV blocks that nodes share: engines of several nodes over simulated devices in virtual time, with one store between them. Whatever
// the store does, every answer is the one that a node without others gives.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { Random } from '../../../../kernels/random.ts';
import { SimBackend } from '../../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../../kernels/sim/cost-model.ts';
import { KeyChain } from '../../../../server/archive/key-chain.ts';
import { KvArchive } from '../../../../server/archive/kv-archive.ts';
import { HEADER_SIZE } from '../../../../server/archive/record.ts';
import { SharedBlocks } from '../../../../server/cluster/shared-blocks.ts';
import { Engine } from '../../../../server/engine/engine.ts';
import { MemoryBlocks } from '../../../memory-blocks.ts';
import { MemoryDisk } from '../../../memory-disk.ts';
import { turn } from '../../../native-world.ts';
import { quietObserver } from '../../../sim/observer.ts';

const blockSize = 4;
const PROMPT = 96; // tokens: 24 blocks
const FOUND = PROMPT - blockSize; // one token at least is computed
const limits = {
  ...{ replicaCount: 1, slotCount: 2, slotTokensMax: 256, blockSize, blockCount: 80 },
  ...{ rowTokensMax: 16, stepTokensMax: 64, sampleCountMax: 1, logprobsMax: 0, vocabSize: 32 },
};
const bounds = {
  ...{ prefillChunkTokens: 16, prefillTokensPerStep: 16, overtakeMsPerToken: 0.1, retryAfterMs: 1 },
  ...{ classDelayMs: { turn: 0, side: 10, background: 100 }, queueLengthMax: 100 },
};
const sampling = {
  ...{ temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1, frequencyPenalty: 0 },
  ...{ presencePenalty: 0, logitBias: null, seed: 1, stream: 0, logprobs: null },
  ...{ minTokens: 0, stopTokenIds: [] },
};

interface Answer {
  readonly tokens: readonly number[];
  readonly cachedTokens: number;
  readonly tookMs: number;
}

class Node {
  readonly clock = new VirtualClock();
  readonly losses: Record<string, number> = {};
  brought = 0;
  linksClosed = 0;
  readonly #engine: Engine;
  readonly archive: SharedBlocks | null;

  /** `store`: null for a node without others. */
  constructor(
    store: MemoryBlocks | null,
    { stepMs = 1, disk = false }: { readonly stepMs?: number; readonly disk?: boolean } = {},
  ) {
    const { clock } = this;
    const costModel = linearCostModel({ stepMs, rowMs: 0.2, tokenMs: 0.1, blockMs: 0.01 });
    const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
    const keys = new KeyChain({ blockSize, namespace: ['model'], secretOf: (salt) => salt });
    let fileCount = 0;
    const near = () =>
      new KvArchive({
        ...{ clock, keys, blocks: backend, freshName: () => `${fileCount++}`, onFault() {} },
        disk: new MemoryDisk({ clock, random: new Random(1), latencyMs: 0.1, faults: null }),
        bounds: { sizeMax: 1e6, segmentSizeMax: 1e5, queueSizeMax: 1e5 },
        observer: { onArchived() {}, onUnarchived() {}, onArchiveLoss() {}, onArchiveSize() {} },
      });
    this.archive =
      store === null
        ? null
        : new SharedBlocks({
            ...{ store, link: store, clock, keys, blocks: backend, near: disk ? near() : null },
            closeLink: () => {
              this.linksClosed++;
            },
            observer: {
              onBlocksShared() {},
              onBlocksBrought: (count) => {
                this.brought += count;
              },
              onBlocksLost: (reason, count) => {
                this.losses[reason] = (this.losses[reason] ?? 0) + count;
              },
            },
          });
    this.#engine = new Engine(backend, clock, bounds, quietObserver(), this.archive);
  }

  async ask(seed: number, { salt = 'a', length = PROMPT } = {}): Promise<Answer> {
    const tokens = Int32Array.from({ length }, (_, at) => (at * 7 + seed) % 32);
    const drawn: number[] = [];
    const startMs = this.clock.nowMs();
    let ended: Answer | null = null;
    this.#engine.submit(
      {
        ...{ tokens, maxTokens: 12, sampling, cacheSalt: salt, priority: 'turn', deadlineMs: null },
        ...{ constraint: null, ignoreStopTokens: true, speculation: null },
      },
      {
        onTokens: (tokens) => void drawn.push(...tokens),
        onEnd: ({ usage }) => {
          ended = {
            tokens: drawn,
            cachedTokens: usage.cachedTokens,
            tookMs: this.clock.nowMs() - startMs,
          };
        },
      },
    );
    await this.pass(() => ended !== null);
    return ended!;
  }

  /** Time goes on, and what promises decide happens at its time. */
  async pass(until: () => boolean): Promise<void> {
    for (let idle = 0; !until() || idle < 3; ) {
      await turn();
      if (this.clock.step()) this.#engine.check();
      else if (++idle > 10) return;
    }
  }
}

const alone = (seed: number, more = {}) => new Node(null).ask(seed, more);

test('what one node has computed another fetches, with the tokens of a node that computes', async () => {
  const store = new MemoryBlocks();
  await new Node(store).ask(1);
  const other = new Node(store);
  const { tokens, cachedTokens } = await other.ask(1);
  const { tokens: expected } = await alone(1);
  expect(tokens).toEqual(expected);
  expect(cachedTokens).toBe(FOUND);
  expect(other.brought).toBe(FOUND / blockSize);
  expect(store.asked[1]).toBeGreaterThanOrEqual(PROMPT / blockSize - 1); // one question for all of them
  expect(other.losses).toEqual({});
});

test('a prompt that goes on: what its own memory has comes from there, the rest from the other node', async () => {
  const store = new MemoryBlocks();
  const [a, b] = [new Node(store), new Node(store)];
  await a.ask(1);
  await b.ask(1);
  await a.ask(1, { length: 160 });
  const { tokens, cachedTokens } = await b.ask(1, { length: 160 });
  expect(tokens).toEqual((await alone(1, { length: 160 })).tokens);
  expect(cachedTokens).toBe(160 - blockSize);
  expect(b.brought).toBe(160 / blockSize - 2); // the 24th block it has computed itself
});

test('another owner finds nothing, and nothing is told twice', async () => {
  const store = new MemoryBlocks();
  const first = new Node(store);
  await first.ask(1);
  const count = store.kept.size;
  const other = await new Node(store).ask(1, { salt: 'b' });
  expect(other.cachedTokens).toBe(0);
  expect(store.kept.size).toBe(2 * count);
  const writes = store.used.length;
  await first.ask(1);
  expect(store.used.length).toBe(writes);
});

test('blocks before new ones count as used, first to last', async () => {
  const store = new MemoryBlocks();
  const node = new Node(store);
  await node.ask(1);
  const first = [...store.kept.keys()].slice(0, PROMPT / blockSize);
  expect(store.used.flat()).toEqual([]);
  node.clock.schedule(20_000, () => {}); // they have not been heard of for a while
  await node.pass(() => node.clock.nowMs() > 20_000);
  await node.ask(1, { length: 128 });
  expect(store.used.flat().slice(0, first.length)).toEqual(first);
});

test('the store is gone: nobody waits for it; it is back: nodes share again', async () => {
  const store = new MemoryBlocks();
  const [a, b] = [new Node(store), new Node(store)];
  store.goes();
  const { tookMs } = await alone(1);
  for (const node of [a, b]) expect(await node.ask(1)).toMatchObject({ cachedTokens: 0, tookMs });
  expect(store.asked).toEqual([]);
  store.comes({ empty: true });
  await a.ask(2);
  expect((await b.ask(2)).cachedTokens).toBe(FOUND);
});

test('what was computed during an outage is told once the conversation goes on', async () => {
  const store = new MemoryBlocks();
  const [a, b] = [new Node(store), new Node(store)];
  store.goes();
  await a.ask(1);
  store.comes({ empty: true });
  await a.ask(1, { length: 160 });
  expect((await b.ask(1, { length: 160 })).cachedTokens).toBe(160 - blockSize);
});

test('a store that does not answer holds up one prompt, for a quarter of a second', async () => {
  const store = new MemoryBlocks();
  store.silent = true;
  const node = new Node(store);
  const { tookMs, tokens } = await alone(1);
  const first = await node.ask(1);
  expect(first.tookMs).toBeCloseTo(tookMs + 250, 0);
  expect(first.tokens).toEqual(tokens);
  expect((await node.ask(2)).tookMs).toBeCloseTo(tookMs, 0);
  expect(store.asked).toHaveLength(1);
});

test('an answer that came while the node was busy counts, though time was up when it could be read', async () => {
  const store = new MemoryBlocks();
  await new Node(store).ask(1);
  const node = new Node(store);
  store.answers = (answer) => node.clock.schedule(250, answer); // behind the end of the wait, in the same moment
  expect((await node.ask(1)).cachedTokens).toBe(FOUND);
});

test('a value that was altered, cut or lost is refused and computed again, and the answer is the same', async () => {
  const store = new MemoryBlocks();
  await new Node(store).ask(1);
  const { tokens } = await alone(1);
  const names = [...store.kept.keys()];
  const whole = new Map(store.kept);
  const damages: [string, (name: string) => void][] = [
    ['damaged', (name) => store.kept.get(name)!.set([255], HEADER_SIZE + 3)], // a byte of the block
    ['damaged', (name) => store.kept.set(name, whole.get(name)!.subarray(0, 70))],
    ['damaged', (name) => store.kept.set(name, whole.get(names[0]!)!)], // another block, whole
    ['gone', (name) => store.kept.delete(name)],
  ];
  for (const [reason, damage] of damages) {
    for (const [name, bytes] of whole) store.kept.set(name, bytes.slice());
    const node = new Node(store);
    const read = store.read.bind(store);
    // It is there when it is asked for, and not when it is read.
    store.read = (wanted) => {
      damage(names[10]!);
      store.read = read;
      return store.read(wanted);
    };
    const answer = await node.ask(1);
    expect(answer.tokens, reason).toEqual(tokens);
    expect(answer.cachedTokens, reason).toBe(10 * blockSize);
    expect(node.losses, reason).toEqual({ [reason]: 1 });
  }
});

test('a full store: answers are not held up, blocks are told again after a while', async () => {
  const store = new MemoryBlocks();
  store.full = true;
  const node = new Node(store);
  const { tookMs, tokens } = await alone(1);
  const answer = await node.ask(1);
  expect(answer.tokens).toEqual(tokens);
  expect(answer.tookMs).toBeCloseTo(tookMs, 0);
  expect(node.losses['full']).toBeGreaterThan(0);
  store.full = false;
  await node.ask(2);
  expect(store.kept.size).toBe(0); // not yet
  node.clock.schedule(2000, () => {});
  await node.pass(() => node.clock.nowMs() > 2000);
  await node.ask(3);
  expect(store.kept.size).toBeGreaterThan(PROMPT / blockSize - 1);
});

test('where computing is quicker than asking, nobody is asked after a while', async () => {
  const store = new MemoryBlocks();
  const node = new Node(store, { stepMs: 0 });
  const slow = store.count.bind(store);
  store.count = (names) =>
    new Promise((resolve) => node.clock.schedule(50, () => void slow(names).then(resolve)));
  for (let seed = 1; seed < 8; seed++) await node.ask(seed);
  expect(store.asked.length).toBeLessThan(4);
});

test('behind a disk: what lies there comes from there, the rest from the other node; both are given what is new', async () => {
  const store = new MemoryBlocks();
  const [a, b] = [new Node(store), new Node(store, { disk: true })];
  await b.ask(1);
  await a.ask(1, { length: 160 });
  for (const seed of [3, 4, 5]) await b.ask(seed); // memory has forgotten the first
  const before = b.brought;
  const { tokens, cachedTokens } = await b.ask(1, { length: 160 });
  expect(tokens).toEqual((await alone(1, { length: 160 })).tokens);
  expect(cachedTokens).toBe(160 - blockSize);
  expect(b.brought - before).toBeLessThan(160 / blockSize);
  expect(b.brought - before).toBeGreaterThan(0);
});

test('a node that stops tells what waits, and does not wait for a store that does not answer', async () => {
  const store = new MemoryBlocks();
  const node = new Node(store);
  await node.ask(1);
  let closed = 0;
  node.archive!.close(() => closed++);
  await node.pass(() => closed > 0);
  const stuck = new Node(store);
  store.silent = true;
  await stuck.ask(2);
  stuck.archive!.close(() => closed++);
  await stuck.pass(() => closed > 1);
  expect(closed).toBe(2);
  expect([node.linksClosed, stuck.linksClosed]).toEqual([1, 1]);
});
