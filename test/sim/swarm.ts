// Swarm: one seed draws a whole engine (device, bounds, faults, archive) and a crowd of requests that come, pause,
// resume and cancel at random times, on devices that may be replaced meanwhile; then everything runs in virtual time and is checked against the oracle. Engines
// with an archive may be killed at any event, in mid-write too, and live again on what the disk holds then.
// Repeat one run with `make sim SEED=17`.
import assert from 'node:assert/strict';
import type { BackendLimits, TokenLogprobs } from '../../kernels/backend.ts';
import { VirtualClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { KeyChain } from '../../server/archive/key-chain.ts';
import { type ArchiveBounds, KvArchive } from '../../server/archive/kv-archive.ts';
import { HEADER_SIZE } from '../../server/archive/record.ts';
import { contextTokensMax } from '../../server/engine/admission.ts';
import { DraftModel } from '../../server/engine/draft-model.ts';
import { Engine, type EngineBounds } from '../../server/engine/engine.ts';
import type { SequenceEnd, SequenceRequest } from '../../server/engine/request.ts';
import { LyingTokens } from '../lying-tokens.ts';
import { MemoryDisk } from '../memory-disk.ts';
import { quietObserver } from './observer.ts';
import { oracleAnswer } from './oracle.ts';
import { drawRequest } from './swarm-requests.ts';

export interface SwarmResult {
  readonly transcript: string; // everything that clients saw, with virtual times: equal for equal seeds
  readonly submitted: number;
  readonly refused: number;
  readonly completed: number;
  readonly cancelled: number;
  readonly failed: number;
  readonly unsampled: number; // of them: by their own parameters
  readonly masked: number; // completed under a constraint
  readonly cachedTokens: number;
  readonly acceptedDraftTokens: number;
  readonly rejectedDraftTokens: number;
  readonly preemptions: number;
  readonly fetchedBlocks: number; // brought back from the archive
  readonly skippedBlocks: number; // computed, although the archive had them
  readonly recomputedTokens: number;
  readonly keptTokens: number; // found in the seat, where an answer had left them
  readonly moved: number; // sequences that went on on another device
  readonly shrunk: number; // sequences too long for it
  readonly stepCount: number;
  readonly virtualMs: number;
}

interface Client {
  readonly request: SequenceRequest; // its constraint is at the beginning
  readonly tokens: number[];
  readonly logprobs: TokenLogprobs[];
  judged: readonly TokenLogprobs[] | null; // of the prompt
  id: number;
  end: SequenceEnd | null;
  cancelledMs: number; // −1: never
}

/** Runs the swarm of `seed`; throws on the first violated promise. */
export function runSwarm(seed: number): SwarmResult {
  const random = new Random(seed);
  const limits = drawLimits(random);
  const bounds = drawBounds(random, limits);
  const faulty = random.next() < 0.4;
  const faultRates = faulty ? drawFaultRates(random) : null;
  const archived = random.next() < 0.6 ? drawArchive(random, limits) : null;
  const replaced = archived === null && random.next() < 0.75;
  const lives = archived === null ? 1 : random.integer(1, 3);
  const keepsSeats = new Random(seed ^ 0x5ea7).next() < 0.7; // from chance of its own, as draft models are
  const observer = quietObserver();
  const clients: Client[] = [];
  const lines: string[] = [];
  let disk: MemoryDisk | null = null;
  let stepCount = 0;
  const moves = { moved: 0, shrunk: 0 };
  let virtualMs = 0;
  for (let life = 1; life <= lives; life++) {
    const clock = new VirtualClock();
    const openBackend = (drawn: BackendLimits) =>
      new SimBackend('sim', {
        limits: drawn,
        clock,
        costModel: linearCostModel({ stepMs: 1, rowMs: 0.1, tokenMs: 0.05, blockMs: 0.01 }),
        keepsSeats,
        faults: faultRates === null ? null : { rates: faultRates, random },
      });
    const backend = openBackend(limits);
    if (archived !== null) {
      const world = { clock, random, latencyMs: archived.latencyMs, faults: archived.faults };
      disk = disk === null ? new MemoryDisk(world) : disk.crash(world);
    }
    const archive = disk === null ? null : openArchive({ disk, backend, clock, bounds: archived!, life });
    const draftModel = drawDraftModel(seed, limits, clock);
    const engine = new Engine(backend, clock, bounds, observer, archive, draftModel);
    const scene = {
      random,
      clock,
      engine,
      limits,
      clients: [] as Client[],
      elders: [...clients],
      lines,
      crowd: 60 / lives,
      contexts: [engine.contextTokensMax],
    };
    scheduleClients(scene);
    const devices = [backend];
    if (replaced) scheduleReplacements(scene, { devices, openBackend, moves });
    const killed = life < lives;
    for (let left = killed ? random.integer(20, 600) : -1; left !== 0 && clock.step(); left--) engine.check();
    if (!killed) verifyRest(engine);
    for (const client of scene.clients) verify(client, scene, { faulty, killed });
    clients.push(...scene.clients);
    for (const device of devices) stepCount += device.stepCount;
    virtualMs += clock.nowMs();
  }
  const { preemptions, fetchedBlocks, skippedBlocks, recomputedTokens, keptTokens } = observer;
  const counts = {
    ...{ preemptions, fetchedBlocks, skippedBlocks, recomputedTokens, keptTokens },
    ...{ stepCount, virtualMs },
  };
  return { ...summarise(clients, lines), ...counts, ...moves };
}

// From chance of its own: without it the same seed draws the same swarm. It may be right, wrong, slow, or fail.
function drawDraftModel(seed: number, limits: BackendLimits, clock: VirtualClock): DraftModel | null {
  const random = new Random(seed ^ 0xd4af7);
  if (random.next() < 0.4) return null;
  const tokens = new LyingTokens(limits, { share: random.next() ** 2, random });
  const costModel = linearCostModel({
    ...{ stepMs: 0.2 * random.next(), rowMs: 0.02, tokenMs: 0.01, blockMs: 0 },
  });
  const rates = drawFaultRates(random);
  const faults = random.next() < 0.3 ? { rates, random } : null;
  const backend = new SimBackend('sim', { limits, clock, costModel, tokens, faults });
  return new DraftModel(backend, clock, () => {});
}

function drawArchive(random: Random, { blockSize }: BackendLimits) {
  const recordSize = HEADER_SIZE + 4 * blockSize;
  const segmentSizeMax = random.integer(2, 10) * recordSize;
  const sick = random.next() < 0.3;
  return {
    sizeMax: random.integer(10, 400) * recordSize,
    segmentSizeMax,
    queueSizeMax: random.integer(1, 20) * recordSize,
    latencyMs: [0.01, 0.5, 20][random.integer(0, 2)]!,
    faults: sick ? { failWrites: 0.05, failReads: 0.1, damageReads: 0.1 } : null,
  };
}

function openArchive(world: {
  readonly disk: MemoryDisk;
  readonly backend: SimBackend;
  readonly clock: VirtualClock;
  readonly bounds: ArchiveBounds;
  readonly life: number;
}): KvArchive {
  const { disk, backend, clock, bounds, life } = world;
  const { blockSize } = backend.limits;
  let names = 0;
  return new KvArchive({
    disk,
    clock,
    bounds,
    blocks: backend,
    keys: new KeyChain({ blockSize, namespace: ['swarm'], secretOf: (salt) => salt }),
    freshName: () => `${life}-${names++}`,
    observer: { onArchived() {}, onUnarchived() {}, onArchiveLoss() {}, onArchiveSize() {} },
    onFault() {},
  });
}

interface Scene {
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly engine: Engine;
  readonly limits: BackendLimits;
  readonly clients: Client[]; // of this life
  readonly elders: readonly Client[]; // of lives before
  readonly lines: string[];
  readonly crowd: number; // clients at most
  readonly contexts: number[]; // contextTokensMax of each device that has served
}

interface Replacements {
  readonly devices: SimBackend[];
  readonly openBackend: (limits: BackendLimits) => SimBackend;
  readonly moves: { moved: number; shrunk: number };
}

// Other devices with other limits, at random times: some while another one is still on its way.
function scheduleReplacements(scene: Scene, { devices, openBackend, moves }: Replacements): void {
  const { random, clock, engine, contexts, lines } = scene;
  const replace = () => {
    const limits = drawLimits(random);
    const next = openBackend(limits);
    const from = devices.at(-1)!;
    const taken = engine.replaceBackend(next, drawBounds(random, limits), ({ moved, failed }) => {
      const { stepCount } = from;
      clock.schedule(1000, () => assert.equal(from.stepCount, stepCount, 'the old device is left alone'));
      moves.moved += moved;
      moves.shrunk += failed;
      lines.push(`${clock.nowMs().toFixed(3)} moved ${moved}, failed ${failed}`);
    });
    if (!taken) return;
    devices.push(next);
    contexts.push(contextTokensMax(limits));
  };
  for (let count = random.integer(1, 10); count > 0; count--) clock.schedule(random.next() * 450, replace);
}

function drawLimits(random: Random): BackendLimits {
  const blockSize = [1, 2, 4, 16][random.integer(0, 3)]!;
  const slotTokensMax = random.integer(24, 160);
  const slotCount = random.integer(1, 6);
  const blocksPerSlot = Math.ceil(slotTokensMax / blockSize);
  return {
    replicaCount: random.integer(1, 3),
    slotCount,
    slotTokensMax,
    blockSize,
    blockCount: random.integer(blocksPerSlot, blocksPerSlot * (slotCount + 1)), // often short of KV
    rowTokensMax: 64,
    stepTokensMax: 256,
    sampleCountMax: random.integer(1, 6),
    roundsMax: random.integer(1, 8),
    logprobsMax: 5,
    vocabSize: 40,
  };
}

function drawBounds(random: Random, limits: BackendLimits): EngineBounds {
  const prefillChunkTokens = random.integer(1, limits.rowTokensMax);
  return {
    prefillChunkTokens,
    prefillTokensPerStep: random.integer(prefillChunkTokens, 128),
    overtakeMsPerToken: random.next() * 2,
    classDelayMs: { turn: 0, side: 50, background: 500 },
    queueLengthMax: random.integer(4, 60),
    retryAfterMs: 1000,
  };
}

function drawFaultRates(random: Random) {
  return {
    slow: 0.05,
    slowFactor: 20,
    failRows: random.next() * 0.03,
    failSlots: random.next() * 0.02,
    failAll: random.next() * 0.01,
  };
}

// Conversations: prompts share prefixes, because they grow out of earlier prompts and answers.
function scheduleClients(scene: Scene): void {
  const { random, clock, crowd } = scene;
  const count = random.integer(10, crowd);
  for (let index = 0; index < count; index++) {
    clock.schedule(random.next() * 400, () => submit(scene));
  }
}

function submit(scene: Scene): void {
  const { random, clock, engine, clients, lines } = scene;
  const request = drawRequest(random, { ...scene, known: [...scene.elders, ...clients] });
  const client: Client = {
    request,
    tokens: [],
    logprobs: [],
    judged: null,
    id: -1,
    end: null,
    cancelledMs: -1,
  };
  const say = (text: string) => lines.push(`${clock.nowMs().toFixed(3)} #${client.id} ${text}`);
  const constraint = request.constraint?.fork() ?? null;
  const result = engine.submit(
    { ...request, constraint },
    {
      onPrompt(judged) {
        assert(
          client.judged === null && client.tokens.length === 0,
          'a prompt is judged once, before its answer',
        );
        client.judged = judged;
      },
      onTokens(tokens, index, logprobs) {
        assert.equal(client.end, null, 'no token after the end');
        assert.equal(client.cancelledMs, -1, 'no token after the cancellation');
        assert.equal(index, client.tokens.length, 'tokens come in order, each once');
        client.tokens.push(...tokens);
        client.logprobs.push(...(logprobs ?? []));
        say(`tokens ${tokens.join(',')}`);
      },
      onEnd(end) {
        assert.equal(client.end, null, 'one end');
        client.end = end;
        say(`${end.reason} ${end.failure?.code ?? ''}`);
      },
    },
  );
  if (!result.ok) {
    lines.push(`${clock.nowMs().toFixed(3)} refused ${result.reason}`);
    return;
  }
  client.id = result.sequenceId;
  clients.push(client);
  if (random.next() < 0.15) {
    clock.schedule(random.next() * 200, () => {
      if (client.end === null) client.cancelledMs = clock.nowMs();
      engine.cancel(client.id);
    });
  }
  if (random.next() < 0.2) {
    clock.schedule(random.next() * 100, () => engine.pause(client.id));
    clock.schedule(100 + random.next() * 200, () => engine.resume(client.id));
  }
}

function verifyRest(engine: Engine): void {
  const { waitingCount, runningCount, kv } = engine.load;
  assert.equal(waitingCount + runningCount, 0, 'nobody is left behind');
  assert.equal(kv.inUseCount, 0, 'no block is leaked');
  assert.equal(kv.freeCount + kv.idleCachedCount, kv.blockCount);
}

function verify(
  { id, end, request, tokens, logprobs, judged, cancelledMs }: Client,
  { limits, contexts }: Scene,
  { faulty, killed }: { readonly faulty: boolean; readonly killed: boolean },
): void {
  const longest = Math.max(...contexts);
  const answer = oracleAnswer(request, { vocabSize: limits.vocabSize, contextTokensMax: longest });
  assert.deepEqual(tokens, answer.tokens.slice(0, tokens.length), `sequence ${id} says what the oracle says`);
  assert.deepEqual(logprobs, answer.logprobs?.slice(0, tokens.length) ?? [], `sequence ${id}: as likely`);
  const isJudged = tokens.length > 0 || end?.reason === 'length';
  assert.deepEqual(judged, judged === null && !isJudged ? null : answer.judged, `sequence ${id}: its prompt`);
  if (killed && end === null) return;
  assert(end !== null, `sequence ${id} ended`);
  assert.equal(end.usage.outputTokens >= tokens.length, true);
  assert(end.usage.cachedTokens <= end.usage.promptTokens, 'cached tokens are prompt tokens');
  if (end.reason === 'stop' || end.reason === 'length') {
    const isFull = end.reason === 'length' && contexts.includes(request.tokens.length + tokens.length);
    if (isFull && tokens.length < answer.tokens.length) return; // on a device with a shorter context
    assert.equal(tokens.length, answer.tokens.length, `sequence ${id} is complete`);
    assert.equal(end.reason, answer.reason);
  } else if (end.reason === 'cancelled') {
    assert(cancelledMs >= 0, 'cancelled only if asked');
  } else if (end.failure?.code === 'sampling-failed') {
    assert.equal(answer.reason, 'failed', `sequence ${id} fails where its own parameters say so`);
    assert.equal(tokens.length, answer.tokens.length);
  } else if (end.failure?.code === 'context-shrunk') {
    const [, count, room] = / (\d+) tokens.* (\d+)$/.exec(end.failure.message)!.map(Number);
    assert(contexts.includes(room!) && count! >= room!, end.failure.message);
    assert.equal(count, request.tokens.length + tokens.length);
  } else {
    assert(faulty || end.failure?.code === 'deadline', `unexpected failure ${end.failure?.code}`);
  }
}

function summarise(clients: readonly Client[], lines: readonly string[]) {
  const count = (...reasons: string[]) =>
    clients.filter((client) => client.end !== null && reasons.includes(client.end.reason)).length;
  const sum = (key: 'cachedTokens' | 'acceptedDraftTokens' | 'rejectedDraftTokens') =>
    clients.reduce((total, client) => total + (client.end?.usage[key] ?? 0), 0);
  return {
    transcript: lines.join('\n'),
    submitted: clients.length,
    refused: lines.filter((line) => line.includes('refused')).length,
    completed: count('stop', 'length'),
    cancelled: count('cancelled'),
    failed: count('failed'),
    unsampled: clients.filter(({ end }) => end?.failure?.code === 'sampling-failed').length,
    masked: clients.filter(({ end, request }) => end?.failure === null && request.constraint !== null).length,
    cachedTokens: sum('cachedTokens'),
    acceptedDraftTokens: sum('acceptedDraftTokens'),
    rejectedDraftTokens: sum('rejectedDraftTokens'),
  };
}
