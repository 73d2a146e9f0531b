// A client that walks through the life of sessions: appends, edits, forks, asks, steers, cancels, loses its socket at
// any frame and comes back, or takes its session over from a socket that is still open. It does one thing at a time and
// knows at every moment what the session must hold; session-swarm.ts runs a crowd of them.
import assert from 'node:assert/strict';
import { pack } from 'msgpackr';
import type { VirtualClock } from '../../kernels/clock.ts';
import type { Random } from '../../kernels/random.ts';
import type {
  GenerationEnded,
  ServerMessage,
  SessionResumed,
  TokensFrame,
} from '../../server/client/messages.ts';
import { decodeServerFrame } from '../../server/client/protocol.ts';
import { BYTE_EOS } from '../byte-text.ts';
import type { MemorySocket } from '../memory-socket.ts';

export interface WalkerWorld {
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly freshSocket: () => MemorySocket;
  readonly freshSeed: () => number; // of a question; finds it again at the engine
  readonly count: (what: string) => void;
  readonly say: (text: string) => void;
  readonly checkAnswer: (question: Question, end: GenerationEnded) => void;
}

export interface Question {
  readonly generation: number;
  readonly seed: number;
  readonly got: number[];
  readonly brings: readonly number[]; // a steer's content, until it is in the transcript
  prompt: readonly number[] | null; // known once it begins
  brought: boolean;
  keep: boolean | null; // null: not cancelled
  replayed: boolean;
}

/** What was sent and not answered; at most one. */
type Pending =
  | { readonly kind: 'open' | 'resume' | 'fork' }
  | { readonly kind: 'change'; readonly to: readonly number[] };

const LIFE_MS = 1500;

export class Walker {
  readonly #world: WalkerWorld;
  #socket: MemorySocket;
  #abandoned: { readonly socket: MemorySocket; readonly label: number }[] = [];
  #label = 0;
  #id: string | null = null;
  #tokens: number[] = []; // acknowledged
  #pending: Pending | null = null;
  #asked: Question[] = []; // not ended; the second one is a steer's
  #nextGeneration = 0;
  #resumed: SessionResumed | null = null; // the last one, while its position may say something
  #lostContent: readonly number[] = []; // of a steer whose question is not at the server
  #deaf = false; // the server hears nothing
  over = false;

  constructor(world: WalkerWorld) {
    this.#world = world;
    this.#socket = world.freshSocket();
    this.#open();
    this.#act();
    this.#listen();
  }

  /** Everybody else's socket has been told. */
  verify(): void {
    for (const { socket, label } of this.#abandoned) {
      const told = socket.received.map((frame) => decodeServerFrame(frame)!);
      assert(
        told.some((message) => message.type === 'session.taken' && message.session === label),
        'the older socket is told',
      );
    }
    assert.equal(this.#asked.length, 0, 'every question has ended');
  }

  #open(): void {
    this.#send({ type: 'hello', version: { min: 1, max: 1 } });
    this.#label++;
    this.#id = null;
    this.#tokens = [];
    this.#nextGeneration = 0;
    this.#resumed = null;
    this.#pending = { kind: 'open' };
    this.#send({ type: 'session.open', session: this.#label, request: 1 });
  }

  #listen(): void {
    if (this.over) return;
    for (const frame of this.#socket.received.splice(0)) this.#hear(decodeServerFrame(frame)!);
    this.#world.clock.schedule(1, () => this.#listen());
  }

  #act(): void {
    const { random, clock } = this.#world;
    const late = clock.nowMs() > LIFE_MS;
    if (late && this.#pending === null && this.#asked.length === 0) {
      this.over = true;
      this.#socket.disconnect();
      return;
    }
    const draw = random.next();
    if (draw < 0.05 && !late) {
      this.#deaf = draw < 0.02; // the last thing it says gets lost
      if (this.#deaf && this.#pending === null && this.#asked.length === 0) this.#change();
      this.#deaf = false;
      this.#reconnect();
    } else if (draw < 0.1) this.#socket.stopReading();
    else if (draw < 0.3 || late) this.#socket.startReading();
    else if (this.#pending === null && this.#asked.length === 0) this.#change();
    else if (this.#pending === null && draw < 0.5) this.#interrupt();
    clock.schedule(random.next() * 20, () => this.#act());
  }

  /** Nothing is under way. */
  #change(): void {
    const { random } = this.#world;
    const draw = random.next();
    const request = 2;
    const session = this.#label;
    if (draw < 0.35 || this.#tokens.length === 0) {
      const tokens = this.#fresh(30);
      this.#pending = { kind: 'change', to: [...this.#tokens, ...tokens] };
      this.#send({ type: 'session.append', session, request, tokens });
    } else if (draw < 0.5) {
      const start = random.integer(0, this.#tokens.length - 1);
      const count = random.integer(1, this.#tokens.length - start);
      let tokens = this.#fresh(10);
      if (tokens.length === count) tokens = [...tokens, 1]; // the length tells whether it arrived
      this.#pending = { kind: 'change', to: this.#tokens.toSpliced(start, count, ...tokens) };
      this.#send({ type: 'session.edit', session, request, start, count, tokens });
    } else if (draw < 0.6) {
      const count = random.integer(1, this.#tokens.length);
      this.#pending = { kind: 'fork' };
      this.#send({ type: 'session.fork', session: this.#label + 1, request, of: session, count });
    } else this.#ask();
  }

  #fresh(countMax: number): number[] {
    const { random } = this.#world;
    return Array.from({ length: random.integer(1, countMax) }, () => random.integer(0, 255));
  }

  #question(brings: readonly number[]): Question {
    const question = {
      generation: this.#nextGeneration++,
      seed: this.#world.freshSeed(),
      got: [],
      brings,
      prompt: null,
      brought: false,
      keep: null,
      replayed: false,
    };
    this.#asked.push(question);
    return question;
  }

  #ask(): void {
    const { generation, seed } = this.#question([]);
    const maxTokens = this.#world.random.integer(1, 60);
    this.#send({ type: 'generate', session: this.#label, generation, seed, temperature: 0.8, maxTokens });
  }

  /** An answer is running, or its end is on the way. */
  #interrupt(): void {
    const { random } = this.#world;
    const [running, next] = this.#asked;
    if (running === undefined || next !== undefined || random.next() < 0.5) return;
    const keep = random.next() < 0.5;
    running.keep ??= keep; // only the first one counts
    const { generation } = running;
    if (random.next() < 0.4) {
      this.#send({ type: 'cancel', session: this.#label, generation, keep });
      return;
    }
    const tokens = this.#fresh(10);
    const steered = this.#question(tokens);
    const numbers = { session: this.#label, generation: steered.generation, running: generation, keep };
    this.#world.count('steer');
    this.#send({ type: 'steer', ...numbers, tokens, seed: steered.seed, temperature: 0.8, maxTokens: 20 });
  }

  /** Loses the socket at some frame, or leaves it open and takes the session over with another. */
  #reconnect(): void {
    const { random, freshSocket } = this.#world;
    for (const frame of this.#socket.received.splice(0, random.integer(0, this.#socket.received.length))) {
      this.#hear(decodeServerFrame(frame)!);
    }
    const takesOver = this.#id !== null && random.next() < 0.4;
    if (takesOver) this.#abandoned.push({ socket: this.#socket, label: this.#label });
    else this.#socket.disconnect();
    this.#socket = freshSocket();
    this.#world.count(takesOver ? 'takeover' : 'reconnect');
    if (this.#id === null) {
      this.#asked = [];
      this.#open();
      return;
    }
    if (takesOver) this.#abandoned.at(-1)!.socket.startReading();
    this.#send({ type: 'hello', version: { min: 1, max: 1 } });
    const [first] = this.#asked;
    const from = first === undefined ? {} : { generation: first.generation, index: first.got.length };
    this.#label += 2; // a fork may have taken the next one
    if (this.#pending?.kind !== 'change') this.#pending = { kind: 'resume' };
    for (const question of this.#asked) question.replayed = true;
    this.#resumed = null;
    this.#send({ type: 'session.resume', session: this.#label, request: 3, id: this.#id, ...from });
  }

  #hear(message: ServerMessage): void {
    this.#world.count(message.type === 'error' ? `error ${message.code}` : message.type);
    this.#world.say(JSON.stringify(message));
    switch (message.type) {
      case 'session.opened':
        this.#id = message.id;
        this.#pending = null;
        return;
      case 'session.resumed':
        this.#onResumed(message);
        return;
      case 'session.forked':
        this.#onForked(message);
        return;
      case 'session.appended':
      case 'session.edited':
        this.#onChanged(message);
        return;
      case 'tokens':
        this.#onTokens(message);
        return;
      case 'generation.end':
        this.#onEnd(message);
        return;
      case 'error':
        this.#onError(message);
        return;
      case 'session.closed':
        assert(message.session !== this.#label && message.reason === 'requested', 'only trunks are closed');
        return;
      case 'session.taken':
        assert.fail('nobody else takes this session');
    }
  }

  #onResumed(message: SessionResumed): void {
    const pending = this.#pending;
    this.#pending = null;
    if (pending?.kind === 'change') {
      const arrived = message.position === pending.to.length;
      assert(arrived || message.position === this.#tokens.length, 'a change arrives whole or not at all');
      if (arrived) this.#tokens = [...pending.to];
    }
    // Questions above the session's latest never arrived.
    const lost = this.#asked.filter(({ generation }) => generation > (message.generation ?? -1));
    this.#asked = this.#asked.filter((question) => !lost.includes(question));
    if (this.#asked.length === 0 && lost.length === 0) {
      assert.equal(message.position, this.#tokens.length);
      return;
    }
    const refusedSteer = lost.find(({ brings }) => brings.length > 0);
    if (refusedSteer !== undefined && !message.running) this.#resumed = message;
    if (this.#asked.length === 0) this.#settlePosition(refusedSteer?.brings ?? []);
    else this.#lostContent = refusedSteer?.brings ?? [];
  }

  /** A steer whose question was refused while nobody listened may have left its content. */
  #settlePosition(brings: readonly number[]): void {
    const position = this.#resumed?.position ?? this.#tokens.length;
    this.#resumed = null;
    this.#lostContent = [];
    if (position !== this.#tokens.length) this.#tokens.push(...brings);
    assert.equal(position, this.#tokens.length, 'the position says what arrived');
  }

  #onForked(message: Extract<ServerMessage, { type: 'session.forked' }>): void {
    this.#pending = null;
    this.#world.count('fork used');
    // Goes on with the branch; the trunk is closed.
    this.#send({ type: 'session.close', session: this.#label });
    this.#label = message.session;
    this.#id = message.id;
    this.#tokens = this.#tokens.slice(0, message.position);
    this.#nextGeneration = 0;
  }

  #onChanged(message: Extract<ServerMessage, { type: 'session.appended' | 'session.edited' }>): void {
    if (message.type === 'session.appended' && message.generation !== undefined) {
      const question = this.#asked[0]!;
      assert.equal(question.generation, message.generation, 'after the end of the answer that it stopped');
      this.#bring(question);
    } else {
      assert(this.#pending?.kind === 'change');
      this.#tokens = [...this.#pending.to];
      this.#pending = null;
    }
    assert.equal(message.position, this.#tokens.length);
  }

  #bring(question: Question): void {
    if (question.brought) return;
    question.brought = true;
    this.#tokens.push(...question.brings);
  }

  #begin(generation: number): Question {
    const question = this.#asked[0];
    assert(question?.generation === generation, `generation ${generation} is told in its turn`);
    this.#bring(question);
    question.prompt ??= [...this.#tokens];
    return question;
  }

  #onTokens({ generation, index, tokens }: TokensFrame): void {
    const question = this.#begin(generation);
    assert.equal(index, question.got.length, 'exactly the next token, also after a reconnect');
    if (question.replayed) this.#world.count('replayed');
    question.got.push(...tokens);
  }

  #onEnd(end: GenerationEnded): void {
    // A session that is resumed without a wish tells an end that was not told, maybe again.
    if (this.#asked[0]?.generation !== end.generation) {
      assert(end.generation < this.#nextGeneration && this.#asked.length === 0);
      return;
    }
    const question = this.#begin(end.generation);
    this.#asked.shift();
    this.#world.count(`end ${end.reason}`);
    this.#world.checkAnswer(question, end);
    const kept = question.keep !== false || end.reason !== 'cancelled';
    const answer = question.got.at(-1) === BYTE_EOS ? question.got.slice(0, -1) : question.got;
    this.#tokens = kept ? [...question.prompt!, ...answer] : [...question.prompt!];
    assert.equal(end.position, this.#tokens.length, 'client and server agree on the transcript');
    if (this.#asked.length === 0 && this.#resumed !== null) this.#settlePosition(this.#lostContent);
  }

  #onError(message: Extract<ServerMessage, { type: 'error' }>): void {
    if (message.generation !== undefined) {
      this.#asked = this.#asked.filter(({ generation }) => generation !== message.generation);
      return;
    }
    assert(['context_length_exceeded', 'session_limit'].includes(message.code), message.message);
    this.#pending = null;
  }

  #send(message: object): void {
    if (!this.#deaf) this.#socket.transmit(pack(message));
  }
}
