// A target whose delays are known, on any clock: the load tester must recover them. Tokens are stamped; a fixed number
// of seats makes a queue; chosen turns can fail in every way a server can.
import type { Clock, Timer } from '../kernels/clock.ts';
import {
  type Ask,
  type Dialogue,
  plainEnd,
  type Target,
  type TurnEnd,
  type TurnEvents,
} from '../loadtest/measure/wires/target.ts';
import type { PlannedSession } from '../loadtest/workload/turn.ts';

export interface Script {
  readonly ttftMs: number; // from the moment a seat is free
  readonly gapMs: number; // between bursts
  readonly tokensPerBurst?: number;
  readonly seats?: number; // turns at a time; others wait in order
  readonly text?: (session: PlannedSession) => string; // spread over the bursts; tokens say "x" otherwise
  readonly end?: (session: PlannedSession, turn: number) => Partial<TurnEnd> | null; // null: as planned
  readonly afterStopMs?: number; // until an interrupted turn ends
  readonly ready?: 'at-once' | 'never';
}

export class ScriptedTarget implements Target {
  readonly name = 'scripted';
  readonly isWhole = false;
  readonly script: Script;
  readonly clock: Clock;
  readonly starts: { readonly session: number; readonly atMs: number; readonly ask: Ask }[] = [];
  readonly #waiting: (() => void)[] = [];
  #seated = 0;

  constructor(clock: Clock, script: Script) {
    this.clock = clock;
    this.script = script;
  }

  open(session: PlannedSession, onReady: () => void): Dialogue {
    if (this.script.ready !== 'never') this.clock.defer(onReady);
    return new ScriptedConversation(this, session);
  }

  close(): void {}

  /** Runs `fn` once a seat is free. */
  seat(fn: () => void): void {
    if (this.#seated < (this.script.seats ?? Number.POSITIVE_INFINITY)) {
      this.#seated++;
      fn();
    } else {
      this.#waiting.push(fn);
    }
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#seated--;
    else next();
  }
}

class ScriptedConversation implements Dialogue {
  readonly #target: ScriptedTarget;
  readonly #session: PlannedSession;
  #turn = -1;
  #timer: Timer | null = null;
  #events: TurnEvents | null = null;
  #seated = false;
  #sentTokens = 0;

  constructor(target: ScriptedTarget, session: PlannedSession) {
    this.#target = target;
    this.#session = session;
  }

  start(ask: Ask, events: TurnEvents): void {
    const { clock, script, starts } = this.#target;
    starts.push({ session: this.#session.index, atMs: clock.nowMs(), ask });
    this.#turn++;
    this.#events = events;
    this.#sentTokens = 0;
    this.#seated = false;
    clock.defer(() => events.onSent(clock.nowMs()));
    const forced = script.end?.(this.#session, this.#turn) ?? null;
    const text = script.text?.(this.#session) ?? null;
    this.#target.seat(() => {
      if (this.#events !== events) {
        this.#target.leave();
        return;
      }
      this.#seated = true;
      this.#timer = clock.schedule(script.ttftMs, () => this.#burst(ask, text, forced));
    });
  }

  interrupt(): void {
    this.#timer?.cancel();
    const { clock, script } = this.#target;
    this.#timer = clock.schedule(script.afterStopMs ?? 0, () =>
      this.#end({ ...plainEnd('interrupted'), outputTokens: this.#sentTokens }),
    );
  }

  close(): void {
    this.#timer?.cancel();
    if (this.#events !== null) this.#end(plainEnd('unfinished'));
  }

  #burst(ask: Ask, text: string | null, forced: Partial<TurnEnd> | null): void {
    const { clock, script } = this.#target;
    if (forced?.outcome === 'error' || forced?.outcome === 'rejected') {
      this.#end({ ...plainEnd(forced.outcome), ...forced });
      return;
    }
    const count = Math.min(script.tokensPerBurst ?? 1, ask.maxTokens - this.#sentTokens);
    const share = (tokens: number) => Math.round(((text?.length ?? 0) * tokens) / ask.maxTokens);
    const piece =
      text === null
        ? 'x '.repeat(count)
        : text.slice(share(this.#sentTokens), share(this.#sentTokens + count));
    this.#events?.onTokens(clock.nowMs(), { text: piece, count, index: this.#sentTokens, reasoning: false });
    this.#sentTokens += count;
    if (this.#sentTokens >= ask.maxTokens) {
      const known = { promptTokens: 100, cachedTokens: 40, outputTokens: this.#sentTokens, queueMs: 1 };
      this.#end({ ...plainEnd('ok'), ...known, ...forced });
    } else {
      this.#timer = clock.schedule(script.gapMs, () => this.#burst(ask, text, forced));
    }
  }

  #end(end: TurnEnd): void {
    const events = this.#events;
    this.#events = null;
    if (this.#seated) this.#target.leave();
    this.#seated = false;
    const { clock } = this.#target;
    const atMs = clock.nowMs();
    clock.defer(() => events?.onEnd(atMs, end));
  }
}
