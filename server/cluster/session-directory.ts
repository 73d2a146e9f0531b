// Native sessions that outlive their node: every change is told to a store that nodes share, before its client hears of it, and a
// session that comes back to another node is fetched and goes on there. Owns which turn with a session is this node's (its fence), what
// the store has of it so that only what is new is told, and what it lacks while it is gone. Before it: sessions/session.ts tells;
// after it: session-bytes.ts and redis-sessions.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { SessionReader } from '../sessions/answer-line.ts';
import type { AnswerEnd } from '../sessions/session-answer.ts';
import type { KeptSession, SessionKeeper, SessionState } from '../sessions/session-state.ts';
import type { SessionTable } from '../sessions/session-table.ts';
import type { SessionStore, TakenSession } from './redis-sessions.ts';
import { changeSince, sessionBytes, sessionOf, type ToldColumn } from './session-bytes.ts';
import type { StoreLink } from './store-link.ts';

export interface SessionDirectoryOptions {
  readonly store: SessionStore;
  readonly link: StoreLink;
  readonly clock: Pick<Clock, 'schedule'>;
  readonly log: Log;
  readonly freshSeed: () => number;
  readonly ownerIdOf: (owner: string) => string; // the same on every node
  readonly keepMs: number; // without a change
}

/** What a client that comes back has. */
export interface WantedSession {
  readonly id: string;
  readonly owner: string;
  readonly generation?: number | undefined;
  readonly index?: number | undefined;
  readonly position?: number | undefined; // tokens
}

/** The answer to a session's question, as far as it has come. */
interface Drawn {
  readonly generation: number;
  readonly tokens: number[]; // bounded by the session's
  toldCount: number;
  telling: boolean;
}

/** The latest state of a session that the store was told. */
interface ToldState {
  readonly number: number;
  readonly columns: readonly ToldColumn[];
}

const IN_FLIGHT_SIZE_MAX = 64 * 2 ** 20; // bytes on their way to the store; beyond, what changes is told later
const DRAWN_TOLD_TOGETHER = 16; // tokens
const BEHIND_MS = 1000; // what a client knows of may still be on its way to the store
const BEHIND_PAUSE_MS = 20;
const FIRST_FENCE = 1;
const RETRY_MS = 2000; // after a store that is there has refused a change: it is full, say

export class SessionDirectory implements SessionKeeper {
  readonly #options: SessionDirectoryOptions;
  readonly #store: SessionStore;
  readonly #fences = new Map<string, number>(); // by id; bounded by the table's sessions
  readonly #untold = new Set<string>(); // likewise
  readonly #told = new Map<string, ToldState>(); // likewise
  readonly #drawn = new Map<string, Drawn>(); // likewise
  #table: SessionTable | null = null;
  #nextNumber = 1; // never one twice: what a change goes on from is exactly that
  #inFlightSize = 0;
  #retry: Timer | null = null;

  constructor(options: SessionDirectoryOptions) {
    this.#options = options;
    this.#store = options.store;
    options.link.watch({ onUp: () => this.#tellUntold(), onDown: () => this.#onDown() });
  }

  get #up(): boolean {
    return this.#options.link.up;
  }

  /** Whose sessions these are. */
  serve(table: SessionTable): void {
    this.#table = table;
  }

  close(): void {
    this.#retry?.cancel();
  }

  freshSeed(): number {
    return this.#options.freshSeed();
  }

  changed(session: KeptSession): void {
    if (!this.#up || this.#inFlightSize > IN_FLIGHT_SIZE_MAX) this.#untold.add(session.id);
    else void this.#save(session);
  }

  drew({ id }: KeptSession, tokens: readonly number[]): void {
    const drawn = this.#drawn.get(id);
    if (drawn === undefined) return;
    for (const token of tokens) drawn.tokens.push(token);
    if (drawn.tokens.length - drawn.toldCount >= DRAWN_TOLD_TOGETHER) void this.#tellDrawn(id, drawn);
  }

  ended({ id }: KeptSession): void {
    const fence = this.#fences.get(id) ?? FIRST_FENCE;
    this.#letGo(id);
    if (this.#up) this.#store.forget(id, fence).catch((error: Error) => this.#note('forget', error));
  }

  /** Makes the session one of this node's if it is another's, drawn as far as its client has it; then `done`, whatever came. */
  readonly bring = (wanted: WantedSession, done: () => void): void => {
    if (!this.#up) {
      done();
      return;
    }
    this.#take(wanted, BEHIND_MS, done);
  };

  #take(wanted: WantedSession, leftMs: number, done: () => void): void {
    const { id, owner, position = 0 } = wanted;
    this.#store.take(id, this.#options.ownerIdOf(owner), leftMs > 0 ? position : 0).then(
      (taken) => {
        if (taken === 'behind') {
          const again = () => this.#take(wanted, leftMs - BEHIND_PAUSE_MS, done);
          this.#options.clock.schedule(BEHIND_PAUSE_MS, again);
        } else if (taken === null || this.#isOwn(wanted, taken.fence)) done();
        else this.#fetched(wanted, taken, done);
      },
      (error: Error) => {
        this.#note('take', error);
        done();
      },
    );
  }

  /** It is here, and nobody has had it since. */
  #isOwn({ id, owner }: WantedSession, fence: number): boolean {
    const session = this.#table?.find(id, owner) ?? null;
    if (session === null) return false;
    const own = fence === (this.#fences.get(id) ?? FIRST_FENCE) + 1;
    if (!own) this.#lose(session); // it has been elsewhere, and what is here is old
    this.#told.delete(id); // of the turn before
    this.#fences.set(id, fence);
    return own;
  }

  #fetched(wanted: WantedSession, taken: TakenSession, done: () => void): void {
    const state = sessionOf(taken.state);
    if (state === null) {
      this.#options.log.warn('a session of another node cannot be read', { id: wanted.id });
      done();
      return;
    }
    this.#fences.set(wanted.id, taken.fence);
    this.#told.delete(wanted.id);
    this.#adopt(wanted, { state, drawn: drawnOf(taken.drawn) }, done);
  }

  #adopt(
    { id, owner, generation, index = 0 }: WantedSession,
    found: { readonly state: SessionState; readonly drawn: Int32Array | null },
    done: () => void,
  ): void {
    const table = this.#table!;
    const { question, transcript } = found.state;
    const finish = () => {
      done();
      table.settle(id);
    };
    const wanted = question !== null && generation === question.generation ? index : 0;
    const refused = table.adopt({ id, owner }, found, new CatchUp(wanted, finish));
    if (refused !== null) {
      this.#letGo(id);
      this.#options.log.warn('a session of another node was not taken over', { id, reason: refused.message });
      done();
      return;
    }
    this.#options.log.info('a session goes on here', { id, tokens: transcript.tokens.length });
    if (wanted === 0) finish();
  }

  /** Whose answer comes next. With each state the store forgets what it was told of it. */
  #noteQuestion(id: string, { question }: SessionState): void {
    const before = this.#drawn.get(id);
    if (question === null) this.#drawn.delete(id);
    else if (before?.generation === question.generation) before.toldCount = 0;
    else this.#drawn.set(id, { generation: question.generation, tokens: [], toldCount: 0, telling: false });
  }

  /** What is lost of it costs whoever takes over that it is drawn one token at a time. */
  async #tellDrawn(id: string, drawn: Drawn): Promise<void> {
    const told = this.#told.get(id);
    const fence = this.#fences.get(id);
    if (!this.#up || drawn.telling || told === undefined || fence === undefined) return;
    const tokens = Int32Array.from(drawn.tokens.slice(drawn.toldCount));
    const start = drawn.toldCount * tokens.BYTES_PER_ELEMENT;
    drawn.toldCount = drawn.tokens.length;
    drawn.telling = true;
    const { keepMs } = this.#options;
    const piece = { fence, number: told.number, keepMs, start, bytes: new Uint8Array(tokens.buffer) };
    await this.#store.draw(id, piece).catch((error: Error) => this.#note('draw', error));
    drawn.telling = false;
  }

  async #save(session: KeptSession): Promise<void> {
    const { id, owner, state } = session;
    this.#noteQuestion(id, state);
    const fence = this.#fences.get(id) ?? FIRST_FENCE;
    this.#fences.set(id, fence);
    const { ownerIdOf, keepMs } = this.#options;
    const before = this.#told.get(id) ?? null;
    const { change, told } = changeSince(before?.columns ?? null, sessionBytes(state));
    const number = this.#nextNumber++;
    const position = state.transcript.tokens.length;
    this.#told.set(id, { number, columns: told }); // what comes next goes on from here, whether this has arrived yet or not
    const size = change.columns.reduce((sum, { bytes }) => sum + bytes.length, change.head.length);
    this.#inFlightSize += size;
    try {
      const entry = {
        fence,
        owner: ownerIdOf(owner),
        keepMs,
        after: before?.number ?? null,
        number,
        position,
        change,
      };
      const saved = await this.#store.save(id, entry);
      if (saved === 'stale') this.#lose(session);
      else if (saved === 'lost') this.#tellAll(session);
    } catch (error) {
      this.#untold.add(id);
      this.#told.delete(id);
      this.#note('save', error as Error);
      // What is there is old by now: better none than one that goes on from what its client has left behind.
      if (this.#up) this.#store.forget(id, fence).catch(() => {});
      this.#retryLater();
    } finally {
      this.#inFlightSize -= size;
    }
    if (this.#up && this.#inFlightSize === 0 && this.#retry === null) this.#tellUntold();
  }

  /** The store has lost what a change goes on from. */
  #tellAll(session: KeptSession): void {
    if (!this.#fences.has(session.id)) return; // it has ended meanwhile
    this.#told.delete(session.id);
    this.changed(session);
  }

  /** At once again would be refused again, as fast as the store can say so. */
  #retryLater(): void {
    this.#retry ??= this.#options.clock.schedule(RETRY_MS, () => {
      this.#retry = null;
      if (this.#up) this.#tellUntold();
    });
  }

  /** Another node has it: two never write one session. */
  #lose({ id, owner }: KeptSession): void {
    this.#letGo(id);
    const session = this.#table?.find(id, owner) ?? null;
    if (session === null) return;
    this.#options.log.info('a session has gone to another node', { id });
    this.#table!.yield(session);
  }

  #letGo(id: string): void {
    this.#fences.delete(id);
    this.#untold.delete(id);
    this.#told.delete(id);
    this.#drawn.delete(id);
  }

  #tellUntold(): void {
    const ids = [...this.#untold];
    this.#untold.clear();
    for (const session of this.#table?.all ?? []) if (ids.includes(session.id)) this.changed(session);
  }

  #onDown(): void {
    for (const { id } of this.#table?.all ?? []) this.#untold.add(id); // it may come back empty
    this.#told.clear();
  }

  #note(what: string, { message }: Error): void {
    if (this.#up) this.#options.log.warn('the nodes’ store did not answer', { what, reason: message });
  }
}

/** Null where nothing is known. */
function drawnOf(bytes: Uint8Array): Int32Array | null {
  const whole = Uint8Array.from(bytes.subarray(0, bytes.length - (bytes.length % 4)));
  return whole.length === 0 ? null : new Int32Array(whole.buffer);
}

/** Reads an answer that is drawn again, as far as its client has it already. */
class CatchUp implements SessionReader {
  readonly #goal: number; // tokens
  #finish: (() => void) | null;

  constructor(goal: number, finish: () => void) {
    this.#goal = goal;
    this.#finish = finish;
  }

  isReady(): boolean {
    return true;
  }

  onTokens(
    _: number,
    { index, tokens }: { readonly index: number; readonly tokens: readonly number[] },
  ): void {
    if (index + tokens.length >= this.#goal) this.#end();
  }

  onEnd(_: AnswerEnd): void {
    this.#end();
  }

  onPrefilled(): void {}

  onSteered(): void {}

  onRefused(): void {
    this.#end();
  }

  #end(): void {
    const finish = this.#finish;
    this.#finish = null;
    finish?.();
  }
}
