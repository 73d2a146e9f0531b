// Swarm of sessions: one seed draws a device, its faults, an archive and a crowd of walkers (session-walker.ts);
// everything runs in virtual time, and every answer is what the oracle says to the transcript that the client knows of.
import assert from 'node:assert/strict';
import { VirtualClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { KeyChain } from '../../server/archive/key-chain.ts';
import { KvArchive } from '../../server/archive/kv-archive.ts';
import type { GenerationEnded } from '../../server/client/messages.ts';
import { Engine } from '../../server/engine/engine.ts';
import type { SequenceRequest } from '../../server/engine/request.ts';
import { BYTE_VOCAB_SIZE } from '../byte-text.ts';
import { MemoryDisk } from '../memory-disk.ts';
import { countingTimers, NativeServer } from '../native-world.ts';
import { quietObserver } from './observer.ts';
import { oracleAnswer } from './oracle.ts';
import { type Question, Walker } from './session-walker.ts';

export interface SessionSwarmResult {
  readonly log: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** Runs the swarm of `seed`; throws on the first broken promise. */
export function runSessionSwarm(seed: number): SessionSwarmResult {
  const random = new Random(seed);
  const clock = new VirtualClock();
  const timers = countingTimers(clock);
  const counts = new Map<string, number>();
  const log: string[] = [];
  const count = (what: string, by = 1) => counts.set(what, (counts.get(what) ?? 0) + by);
  const observer = quietObserver();
  const { engine, blockSize } = createEngine({ random, clock, observer });
  const requests = recordRequests(engine);
  const server = new NativeServer({
    clock,
    engine,
    session: { blockSize, unsentTokensMax: random.integer(1, 30), replayTokensMax: 400 },
    table: { sessionCountMax: 40, sessionCountPerKeyMax: 40, sessionIdleTimeoutMs: 20_000 },
  });
  const checkAnswer = (question: Question, end: GenerationEnded) => {
    const request = requests.get(question.seed)!;
    assert.deepEqual([...request.tokens], question.prompt, 'the prompt is what the client thinks it is');
    const { contextTokensMax } = engine;
    const oracle = oracleAnswer(request, { vocabSize: BYTE_VOCAB_SIZE, contextTokensMax });
    const whole = end.reason === 'stop' || end.reason === 'length';
    assert.deepEqual(question.got, whole ? oracle.tokens : oracle.tokens.slice(0, question.got.length));
    if (end.usage.cachedTokens > 0) count('cached');
  };
  let seeds = 0;
  const walkers: Walker[] = [];
  for (let left = random.integer(2, 5); left > 0; left--) {
    const index = walkers.length;
    walkers.push(
      new Walker({
        random,
        clock,
        count,
        checkAnswer,
        freshSocket: () => server.socket('owner', random.integer(16, 600)),
        freshSeed: () => ++seeds,
        say: (text) => log.push(`${clock.nowMs().toFixed(3)} #${index} ${text}`),
      }),
    );
  }
  for (let steps = 0; clock.step(); steps++) if (steps % 16 === 0) engine.check();
  engine.check();
  for (const walker of walkers) walker.verify();
  const { waitingCount, runningCount, kv } = engine.load;
  assert.equal(waitingCount + runningCount + kv.inUseCount, 0, 'nothing is left at the engine');
  assert.equal(server.sessions.count, 0, 'every session has expired');
  assert.equal(timers.pending(), 0, 'no timer is left');
  count('fetched blocks', observer.fetchedBlocks);
  return { log: log.join('\n'), counts: Object.fromEntries(counts) };
}

function createEngine(world: {
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly observer: ReturnType<typeof quietObserver>;
}) {
  const { random, clock, observer } = world;
  const blockSize = [4, 8, 16][random.integer(0, 2)]!;
  const limits = {
    replicaCount: random.integer(1, 2),
    slotCount: random.integer(1, 4),
    slotTokensMax: 400,
    blockSize,
    blockCount: random.integer(Math.ceil(400 / blockSize), 200),
    rowTokensMax: 64,
    stepTokensMax: 256,
    sampleCountMax: random.integer(1, 5),
    roundsMax: random.integer(1, 8),
    logprobsMax: 5,
    vocabSize: BYTE_VOCAB_SIZE,
  };
  const rates = { slow: 0.05, slowFactor: 10, failRows: 0.01, failSlots: 0.005, failAll: 0.005 };
  const backend = new SimBackend('sim', {
    limits,
    clock,
    costModel: linearCostModel({ stepMs: 1, rowMs: 0.1, tokenMs: 0.05, blockMs: 0.01 }),
    keepsSeats: true,
    faults: random.next() < 0.3 ? { rates, random } : null,
  });
  const bounds = {
    prefillChunkTokens: 16,
    prefillTokensPerStep: 32,
    overtakeMsPerToken: 1,
    classDelayMs: { turn: 0, side: 50, background: 500 },
    queueLengthMax: random.next() < 0.3 ? 1 : 40,
    retryAfterMs: 100,
  };
  let names = 0;
  const archive = new KvArchive({
    disk: new MemoryDisk({ clock, random, latencyMs: 0.5, faults: null }),
    clock,
    blocks: backend,
    bounds: { sizeMax: 2 ** 16, segmentSizeMax: 2 ** 13, queueSizeMax: 2 ** 13 },
    keys: new KeyChain({ blockSize, namespace: ['swarm'], secretOf: (salt) => salt }),
    freshName: () => `${names++}`,
    observer: { onArchived() {}, onUnarchived() {}, onArchiveLoss() {}, onArchiveSize() {} },
    onFault() {},
  });
  return { engine: new Engine(backend, clock, bounds, observer, archive), blockSize };
}

/** Accepted questions by their seed. */
function recordRequests(engine: Engine): ReadonlyMap<number, SequenceRequest> {
  const requests = new Map<number, SequenceRequest>();
  const submit = engine.submit.bind(engine);
  engine.submit = (request, sink) => {
    const result = submit(request, sink);
    const { maxTokens, tokens, sampling } = request;
    if (result.ok && maxTokens > 0) requests.set(sampling.seed, { ...request, tokens: tokens.slice() });
    return result;
  };
  return requests;
}
