// Swarm of native clients: one seed draws a device, its faults and a crowd of sockets that open sessions, append,
// ask, cancel, stop reading, talk nonsense and vanish; everything runs in virtual time. Each client keeps its own
// idea of its transcripts; prompts, answers and positions are checked against it and against the oracle.
import assert from 'node:assert/strict';
import { pack } from 'msgpackr';
import { VirtualClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import type { GenerationEnded, ServerMessage, TokensFrame } from '../../server/client/messages.ts';
import { decodeServerFrame } from '../../server/client/protocol.ts';
import { Engine } from '../../server/engine/engine.ts';
import type { SequenceRequest } from '../../server/engine/request.ts';
import { BYTE_EOS, BYTE_VOCAB_SIZE } from '../byte-text.ts';
import type { MemorySocket } from '../memory-socket.ts';
import { countingTimers, NativeServer } from '../native-world.ts';
import { quietObserver } from './observer.ts';
import { oracleAnswer } from './oracle.ts';

export interface NativeSwarmResult {
  readonly log: string; // all that clients heard: equal for equal seeds
  readonly counts: Readonly<Record<string, number>>; // of messages by type, and of error codes
}

interface Asked {
  readonly generation: number;
  readonly got: number[];
  prompt: readonly number[] | null; // what the client believes it is; known once the answer begins
  keep: boolean | null; // null: not cancelled
}

interface PeerSession {
  readonly label: number;
  readonly mark: number; // first token of the transcript, tells sessions apart at the engine
  tokens: number[]; // acknowledged
  pending: { readonly request: number; readonly tokens: number[] }[]; // appended, not acknowledged
  readonly asked: Map<number, Asked>; // neither ended nor refused
  nextGeneration: number;
  gone: boolean;
}

/** Runs the swarm of `seed`; throws on the first broken promise. */
export function runNativeSwarm(seed: number): NativeSwarmResult {
  const swarm = new NativeSwarm(seed);
  swarm.run();
  return { log: swarm.log.join('\n'), counts: Object.fromEntries(swarm.counts) };
}

class NativeSwarm {
  readonly log: string[] = [];
  readonly counts = new Map<string, number>();
  readonly #random: Random;
  readonly #clock = new VirtualClock();
  readonly #timers = countingTimers(this.#clock);
  readonly #engine: Engine;
  readonly #server: NativeServer;
  readonly #requests = new Map<number, SequenceRequest[]>(); // accepted questions by the mark of their session
  readonly #peers: Peer[] = [];
  #marks = 0;

  constructor(seed: number) {
    const random = new Random(seed);
    this.#random = random;
    const limits = {
      replicaCount: random.integer(1, 2),
      slotCount: random.integer(1, 4),
      slotTokensMax: random.integer(64, 200),
      blockSize: [4, 8, 16][random.integer(0, 2)]!,
      blockCount: random.integer(60, 200),
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
      clock: this.#clock,
      costModel: linearCostModel({ stepMs: 1, rowMs: 0.1, tokenMs: 0.05, blockMs: 0.01 }),
      keepsSeats: true,
      faults: random.next() < 0.3 ? { rates, random } : null,
    });
    const bounds = {
      prefillChunkTokens: 16,
      prefillTokensPerStep: 32,
      overtakeMsPerToken: 1,
      classDelayMs: { turn: 0, side: 50, background: 500 },
      queueLengthMax: random.next() < 0.3 ? 0 : random.integer(1, 20),
      retryAfterMs: 100,
    };
    this.#engine = new Engine(backend, this.#clock, bounds, quietObserver());
    const submit = this.#engine.submit.bind(this.#engine);
    this.#engine.submit = (request, sink) => {
      const result = submit(request, sink);
      const mark = markOf(request.tokens);
      const copy = { ...request, tokens: request.tokens.slice() };
      if (result.ok && request.maxTokens > 0) {
        this.#requests.set(mark, [...(this.#requests.get(mark) ?? []), copy]);
      }
      return result;
    };
    this.#server = new NativeServer({
      clock: this.#clock,
      engine: this.#engine,
      session: { blockSize: limits.blockSize, unsentTokensMax: random.integer(1, 30), replayTokensMax: 16 },
      table: {
        sessionCountMax: random.integer(3, 20),
        sessionIdleTimeoutMs: random.next() < 0.3 ? 150 : 60_000,
      },
    });
  }

  run(): void {
    for (let i = this.#random.integer(2, 6); i > 0; i--) {
      this.#clock.schedule(this.#random.next() * 200, () => this.#join());
    }
    this.#clock.schedule(1500, () => {
      for (const peer of this.#peers) peer.leave();
    });
    for (let count = 0; this.#clock.step(); count++) {
      if (count % 16 === 0) this.#engine.check(); // O(blocks), dearer than a step
    }
    this.#engine.check();
    const { waitingCount, runningCount, kv } = this.#engine.load;
    assert.equal(waitingCount + runningCount, 0, 'no session is left generating');
    assert.equal(kv.inUseCount, 0, 'no block is leaked');
    assert.equal(this.#server.sessions.count, 0, 'no session is left in the table');
    assert.equal(this.#timers.pending(), 0, 'no timer is left');
  }

  #join(): void {
    const peer = new Peer({
      index: this.#peers.length,
      random: this.#random,
      socket: this.#server.socket('owner', this.#random.integer(16, 600)),
      clock: this.#clock,
      freshMark: () => this.#marks++,
      heard: (message) => this.#onHeard(message),
      say: (text) => this.log.push(`${this.#clock.nowMs().toFixed(3)} ${text}`),
      checkAnswer: (mark, asked, end) => this.#checkAnswer(mark, asked, end),
    });
    this.#peers.push(peer);
    peer.live();
  }

  #onHeard(message: ServerMessage): void {
    const key = message.type === 'error' ? `error ${message.code}` : message.type;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    if (message.type === 'generation.end') {
      const more = [`end ${message.reason}`, ...(message.usage.cachedTokens > 0 ? ['end cached'] : [])];
      for (const name of more) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    }
  }

  #checkAnswer(mark: number, asked: Asked, end: GenerationEnded): void {
    const request = this.#requests.get(mark)!.shift()!;
    assert.deepEqual([...request.tokens], asked.prompt, 'the prompt is what the client thinks it is');
    const { contextTokensMax } = this.#engine;
    const oracle = oracleAnswer(request, { vocabSize: BYTE_VOCAB_SIZE, contextTokensMax });
    const whole = end.reason === 'stop' || end.reason === 'length';
    assert.deepEqual(asked.got, whole ? oracle.tokens : oracle.tokens.slice(0, asked.got.length));
    if (whole) assert.equal(end.reason, oracle.reason);
    assert.equal(end.usage.outputTokens, asked.got.length);
  }
}

function markOf(tokens: ArrayLike<number>): number {
  return tokens[0]! * 256 + tokens[1]!;
}

interface PeerWorld {
  readonly index: number;
  readonly random: Random;
  readonly socket: MemorySocket;
  readonly clock: VirtualClock;
  readonly freshMark: () => number;
  readonly heard: (message: ServerMessage) => void;
  readonly say: (text: string) => void;
  readonly checkAnswer: (mark: number, asked: Asked, end: GenerationEnded) => void;
}

class Peer {
  readonly #world: PeerWorld;
  readonly #sessions = new Map<number, PeerSession>();
  #nextLabel = 0;
  #nextRequest = 0;
  #garbageCount = 0;
  #left = false;

  constructor(world: PeerWorld) {
    this.#world = world;
  }

  live(): void {
    this.#send({ type: 'hello', version: { min: 1, max: 1 } });
    for (let i = this.#world.random.integer(1, 3); i > 0; i--) this.#open();
    this.#act();
    this.#listen();
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#world.socket.disconnect();
  }

  /** Reads what has arrived, again and again, as long as the peer is there. */
  #listen(): void {
    if (this.#left) return;
    for (const frame of this.#world.socket.received.splice(0)) this.#hear(decodeServerFrame(frame)!);
    this.#world.clock.schedule(2, () => this.#listen());
  }

  #act(): void {
    const { random, clock, socket } = this.#world;
    if (this.#left || clock.nowMs() > 1400) return;
    const draw = random.next();
    if (draw < 0.08) this.#open();
    else if (draw < 0.11) this.#sendGarbage();
    else if (draw < 0.16) socket.stopReading();
    else if (draw < 0.3) socket.startReading();
    else if (draw < 0.32) this.leave();
    else this.#actOn([...this.#sessions.values()][random.integer(0, Math.max(0, this.#sessions.size - 1))]);
    clock.schedule(random.next() * 25, () => this.#act());
  }

  #actOn(session: PeerSession | undefined): void {
    if (session === undefined || session.gone) return;
    const { random } = this.#world;
    const draw = random.next();
    if (draw < 0.4) this.#append(session);
    else if (draw < 0.75) this.#ask(session);
    else if (draw < 0.9) this.#cancel(session);
    else if (draw < 0.93) {
      session.gone = true;
      this.#send({ type: 'session.close', session: session.label, request: this.#nextRequest++ });
    } else this.#send({ type: 'ping', nonce: this.#nextRequest++ });
  }

  #open(): void {
    const mark = this.#world.freshMark();
    const session: PeerSession = {
      label: this.#nextLabel++,
      mark,
      tokens: [],
      pending: [],
      asked: new Map(),
      nextGeneration: 0,
      gone: false,
    };
    this.#sessions.set(session.label, session);
    this.#send({ type: 'session.open', session: session.label, request: this.#nextRequest++ });
    this.#sendAppend(session, [Math.floor(mark / 256), mark % 256]);
  }

  #append(session: PeerSession): void {
    const { random } = this.#world;
    const tokens = Array.from({ length: random.integer(1, 30) }, () => random.integer(0, 255));
    this.#sendAppend(session, tokens);
  }

  #sendAppend(session: PeerSession, tokens: number[]): void {
    const request = this.#nextRequest++;
    session.pending.push({ request, tokens });
    this.#send({ type: 'session.append', session: session.label, request, tokens });
  }

  #ask(session: PeerSession): void {
    const { random } = this.#world;
    const generation = session.nextGeneration++;
    session.asked.set(generation, { generation, got: [], prompt: null, keep: null });
    const sampling = random.next() < 0.5 ? {} : { temperature: 0.8, topP: 0.9, seed: random.seed() };
    const maxTokens = random.integer(1, 40);
    this.#send({ type: 'generate', session: session.label, generation, maxTokens, ...sampling });
  }

  #cancel(session: PeerSession): void {
    const keep = this.#world.random.next() < 0.5;
    for (const asked of session.asked.values()) {
      asked.keep ??= keep; // only the first one counts
      this.#send({ type: 'cancel', session: session.label, generation: asked.generation, keep });
    }
  }

  #sendGarbage(): void {
    if (++this.#garbageCount > 6) return;
    const { random } = this.#world;
    const bytes = Uint8Array.from({ length: random.integer(0, 40) }, () => random.integer(0, 255));
    this.#world.socket.transmit(bytes);
  }

  #send(message: object): void {
    this.#world.socket.transmit(pack(message));
  }

  #hear(message: ServerMessage): void {
    this.#world.heard(message);
    this.#world.say(`#${this.#world.index} ${JSON.stringify(message)}`);
    const session = 'session' in message ? this.#sessions.get(message.session ?? -1) : undefined;
    if (session === undefined) return;
    if (message.type === 'session.appended') this.#onAppended(session, message.request!, message.position);
    else if (message.type === 'tokens') this.#onTokens(session, message);
    else if (message.type === 'generation.end') this.#onEnd(session, message);
    else if (message.type === 'session.closed') this.#sessions.delete(session.label);
    else if (message.type === 'error') this.#onError(session, message);
  }

  #onAppended(session: PeerSession, request: number, position: number): void {
    const first = session.pending.shift()!;
    assert.equal(first.request, request, 'replies come in order');
    session.tokens.push(...first.tokens);
    assert.equal(position, session.tokens.length);
  }

  #onTokens(session: PeerSession, { generation, index, tokens }: TokensFrame): void {
    const asked = this.#begin(session, generation);
    assert.equal(index, asked.got.length, 'tokens come in order, each once');
    assert(tokens.length > 0);
    asked.got.push(...tokens);
  }

  /** Replies come in order: whatever the question's prompt was, it has been acknowledged by now. */
  #begin(session: PeerSession, generation: number): Asked {
    const asked = session.asked.get(generation);
    assert(asked !== undefined, 'what is heard belongs to a generation that was asked for and has not ended');
    asked.prompt ??= [...session.tokens];
    return asked;
  }

  #onEnd(session: PeerSession, end: GenerationEnded): void {
    const asked = this.#begin(session, end.generation);
    session.asked.delete(end.generation);
    this.#world.checkAnswer(session.mark, asked, end);
    // A cancellation that came too late drops nothing.
    const kept = asked.keep !== false || end.reason !== 'cancelled';
    const answer = asked.got.at(-1) === BYTE_EOS ? asked.got.slice(0, -1) : asked.got;
    session.tokens = kept ? [...asked.prompt!, ...answer] : [...asked.prompt!];
    assert.equal(end.position, session.tokens.length, 'client and server agree on the transcript');
  }

  #onError(session: PeerSession, message: Extract<ServerMessage, { type: 'error' }>): void {
    const index = session.pending.findIndex(({ request }) => request === message.request);
    if (index >= 0) session.pending.splice(index, 1);
    if (message.generation !== undefined) session.asked.delete(message.generation);
    if (message.code === 'unknown_session') this.#sessions.delete(session.label);
  }
}
