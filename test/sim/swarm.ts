// Swarm: one seed draws a whole engine (device, bounds, faults) and a crowd of requests that come, pause, resume and
// cancel at random times; then everything runs in virtual time and is checked against the oracle.
// Repeat one run with `make sim SEED=17`.
import assert from 'node:assert/strict';
import type { BackendLimits, SamplingParams } from '../../kernels/backend.ts';
import { VirtualClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { Engine, type EngineBounds } from '../../server/engine/engine.ts';
import type { Priority, SequenceEnd, SequenceRequest } from '../../server/engine/request.ts';
import { quietObserver } from './observer.ts';
import { oracleAnswer } from './oracle.ts';

export interface SwarmResult {
  readonly transcript: string; // everything that clients saw, with virtual times: equal for equal seeds
  readonly submitted: number;
  readonly refused: number;
  readonly completed: number;
  readonly cancelled: number;
  readonly failed: number;
  readonly cachedTokens: number;
  readonly acceptedDraftTokens: number;
  readonly rejectedDraftTokens: number;
  readonly preemptions: number;
  readonly stepCount: number;
  readonly virtualMs: number;
}

interface Client {
  readonly request: SequenceRequest;
  readonly tokens: number[];
  id: number;
  end: SequenceEnd | null;
  cancelledMs: number; // −1: never
}

/** Runs the swarm of `seed`; throws on the first violated promise. */
export function runSwarm(seed: number): SwarmResult {
  const random = new Random(seed);
  const limits = drawLimits(random);
  const clock = new VirtualClock();
  const faulty = random.next() < 0.4;
  const backend = new SimBackend('sim', {
    limits,
    clock,
    costModel: linearCostModel({ stepMs: 1, rowMs: 0.1, tokenMs: 0.05, blockMs: 0.01 }),
    faults: faulty ? { rates: drawFaultRates(random), random } : null,
  });
  const observer = quietObserver();
  const engine = new Engine(backend, clock, drawBounds(random, limits), observer);
  const clients: Client[] = [];
  const lines: string[] = [];
  const scene = { random, clock, engine, limits, clients, lines };
  scheduleClients(scene);
  while (clock.step()) engine.check();
  verify(scene, faulty);
  return {
    ...summarise(clients, lines),
    preemptions: observer.preemptions,
    stepCount: backend.stepCount,
    virtualMs: clock.nowMs(),
  };
}

interface Scene {
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly engine: Engine;
  readonly limits: BackendLimits;
  readonly clients: Client[];
  readonly lines: string[];
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
  const { random, clock } = scene;
  const count = random.integer(10, 60);
  for (let index = 0; index < count; index++) {
    clock.schedule(random.next() * 400, () => submit(scene));
  }
}

function submit(scene: Scene): void {
  const { random, clock, engine, clients, lines } = scene;
  const request = drawRequest(scene);
  const client: Client = { request, tokens: [], id: -1, end: null, cancelledMs: -1 };
  const say = (text: string) => lines.push(`${clock.nowMs().toFixed(3)} #${client.id} ${text}`);
  const result = engine.submit(request, {
    onTokens(tokens, index) {
      assert.equal(client.end, null, 'no token after the end');
      assert.equal(client.cancelledMs, -1, 'no token after the cancellation');
      assert.equal(index, client.tokens.length, 'tokens come in order, each once');
      client.tokens.push(...tokens);
      say(`tokens ${tokens.join(',')}`);
    },
    onEnd(end) {
      assert.equal(client.end, null, 'one end');
      client.end = end;
      say(`${end.reason} ${end.failure?.code ?? ''}`);
    },
  });
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

function drawRequest({ random, clock, engine, limits, clients }: Scene): SequenceRequest {
  const earlier = clients[random.integer(0, Math.max(0, clients.length - 1))];
  const base = earlier && random.next() < 0.7 ? [...earlier.request.tokens, ...earlier.tokens] : [];
  const kept = base.slice(0, random.integer(0, base.length));
  const fresh = Array.from({ length: random.integer(1, 40) }, () => random.integer(0, limits.vocabSize - 1));
  const tokens = Int32Array.from([...kept, ...fresh]).slice(0, engine.contextTokensMax + 2); // some too long
  const priority = (['turn', 'turn', 'side', 'background'] as const)[random.integer(0, 3)] satisfies
    | Priority
    | undefined;
  const asked: SequenceRequest = {
    tokens,
    maxTokens: random.next() < 0.15 ? 0 : random.integer(1, 40),
    sampling: drawSampling(random),
    constraint: null,
    ignoreStopTokens: random.next() < 0.2,
    speculation: null,
    priority: priority!,
    cacheSalt: random.next() < 0.8 ? 'a' : 'b',
    deadlineMs: random.next() < 0.1 ? clock.nowMs() + random.next() * 300 : null,
  };
  const { contextTokensMax } = engine;
  const answer = () => oracleAnswer(asked, { vocabSize: limits.vocabSize, contextTokensMax }).tokens;
  return { ...asked, speculation: drawSpeculation(random, answer) };
}

// Babble is never guessed right by lookup, so some clients predict the very answer, or half of it, or nonsense.
function drawSpeculation(random: Random, answer: () => readonly number[]) {
  if (random.next() < 0.3) return null;
  const draftTokensMax = random.integer(1, 8);
  const draw = random.next();
  if (draw < 0.3) return { draftTokensMax, prediction: null };
  const tokens = [...answer()];
  if (draw < 0.7)
    for (let index = 3; index < tokens.length; index += 5) tokens[index] = random.integer(0, 39);
  return { draftTokensMax, prediction: Int32Array.from(tokens) };
}

function drawSampling(random: Random): SamplingParams {
  const greedy = random.next() < 0.5;
  const penalised = random.next() < 0.2;
  return {
    temperature: greedy ? 0 : 0.2 + random.next(),
    topP: random.next() < 0.5 ? 1 : 0.9,
    topK: random.next() < 0.5 ? 0 : 5,
    minP: 0,
    repetitionPenalty: penalised ? 1.2 : 1,
    frequencyPenalty: penalised ? 0.3 : 0,
    presencePenalty: 0,
    logitBias: random.next() < 0.1 ? new Map([[3, 2]]) : null,
    seed: random.seed(),
    stream: random.integer(0, 2),
    logprobs: random.next() < 0.1 ? 2 : null,
    minTokens: random.integer(0, 3),
    stopTokenIds: [7],
  };
}

function verify({ engine, limits, clients }: Scene, faulty: boolean): void {
  const { waitingCount, runningCount, kv } = engine.load;
  assert.equal(waitingCount + runningCount, 0, 'nobody is left behind');
  assert.equal(kv.inUseCount, 0, 'no block is leaked');
  assert.equal(kv.freeCount + kv.idleCachedCount, kv.blockCount);
  for (const client of clients) {
    const { end, request, tokens } = client;
    assert(end !== null, `sequence ${client.id} ended`);
    const answer = oracleAnswer(request, {
      vocabSize: limits.vocabSize,
      contextTokensMax: engine.contextTokensMax,
    });
    const expected = answer.tokens.slice(0, tokens.length);
    assert.deepEqual(tokens, expected, `sequence ${client.id} says what the oracle says`);
    assert.equal(end.usage.outputTokens >= tokens.length, true);
    assert(end.usage.cachedTokens <= end.usage.promptTokens, 'cached tokens are prompt tokens');
    if (end.reason === 'stop' || end.reason === 'length') {
      assert.equal(tokens.length, answer.tokens.length, `sequence ${client.id} is complete`);
      assert.equal(end.reason, answer.reason);
    } else if (end.reason === 'cancelled') {
      assert(client.cancelledMs >= 0, 'cancelled only if asked');
    } else {
      assert(faulty || end.failure?.code === 'deadline', `unexpected failure ${end.failure?.code}`);
    }
  }
}

function summarise(clients: readonly Client[], lines: readonly string[]) {
  const count = (...reasons: string[]) =>
    clients.filter((client) => reasons.includes(client.end!.reason)).length;
  const sum = (key: 'cachedTokens' | 'acceptedDraftTokens' | 'rejectedDraftTokens') =>
    clients.reduce((total, client) => total + client.end!.usage[key], 0);
  return {
    transcript: lines.join('\n'),
    submitted: clients.length,
    refused: lines.filter((line) => line.includes('refused')).length,
    completed: count('stop', 'length'),
    cancelled: count('cancelled'),
    failed: count('failed'),
    cachedTokens: sum('cachedTokens'),
    acceptedDraftTokens: sum('acceptedDraftTokens'),
    rejectedDraftTokens: sum('rejectedDraftTokens'),
  };
}
