// Driver: plays a workload against a target on the injected clock. Sends at the intended time and never waits for other
// sessions' answers; inside a session the next turn waits for the last answer and then for its tool or person. Owns who
// is under way; measures are timeline.ts's, sums are the recorder's.
import assert from 'node:assert/strict';
import type { Clock, Timer } from '../../../kernels/clock.ts';
import type { Random } from '../../../kernels/random.ts';
import { arrivals } from '../../workload/arrival.ts';
import { sharedOut } from '../../workload/share.ts';
import { type PlannedSession, saltedSession } from '../../workload/turn.ts';
import type { Target } from '../wires/target.ts';
import type { DriverPlan } from './driver-plan.ts';
import { EARLY_MS, LiveSession, type SessionHost } from './live-session.ts';
import type { DriverRecorder, FinishedSession } from './recorder.ts';

export interface DriverParts {
  readonly clock: Clock;
  readonly random: Random; // arrivals
  readonly target: Target;
  readonly sessions: Iterator<PlannedSession>;
  readonly recorder: DriverRecorder;
  readonly countTokens: ((text: string) => number) | null; // for protocols that stamp no counts
  readonly gauge?: InFlightGauge; // of all drivers, where several play one run
}

/** Turns under way, told to other drivers and heard from them. */
export interface InFlightGauge {
  tell(count: number): void;
  elsewhere(): number;
}

// A closed loop against a target that refuses everything would spin; a person would not.
const FAILED_USER_WAITS_MS = 1000;

export class Driver implements SessionHost {
  readonly clock: Clock;
  readonly target: Target;
  readonly recorder: DriverRecorder;
  readonly countTokens: ((text: string) => number) | null;
  readonly plan: DriverPlan;
  readonly #parts: DriverParts;
  readonly #sessions: Iterator<PlannedSession>;
  readonly #live = new Set<LiveSession>(); // bounded: sessionsInFlightMax
  readonly #timers = new Set<Timer>(); // of users who wait
  #arrivals: Iterator<number> | null = null;
  #next: { readonly atMs: number; readonly session: PlannedSession } | null = null;
  #ranOut = false;
  #startedCount = 0;
  #turnsInFlight = 0;
  #phase: 'idle' | 'running' | 'stopping' | 'done' = 'idle';
  #onDone: () => void = () => {};
  originMs = 0;

  constructor(plan: DriverPlan, parts: DriverParts) {
    this.plan = plan;
    this.clock = parts.clock;
    this.target = parts.target;
    this.recorder = parts.recorder;
    this.countTokens = parts.countTokens;
    this.#parts = parts;
    this.#sessions = plan.share === undefined ? parts.sessions : sharedOut(parts.sessions, plan.share);
  }

  get turnsInFlight(): number {
    return this.#turnsInFlight;
  }

  get sessionsInFlight(): number {
    return this.#live.size;
  }

  /** Whether sessions ended before the time did: none is left of the trace, or of those that were asked for. */
  get ranOut(): boolean {
    return this.#ranOut;
  }

  /** Milliseconds since the start of the run. */
  get elapsedMs(): number {
    return this.clock.nowMs() - this.originMs;
  }

  /** Calls back once, when the last turn has ended. */
  start(onDone: () => void): void {
    assert.equal(this.#phase, 'idle');
    this.#phase = 'running';
    this.#onDone = onDone;
    this.originMs = this.clock.nowMs();
    const { load, durationMs } = this.plan;
    if (load.kind === 'closed') {
      for (let user = 0; user < load.users; user++) this.#nextOfUser();
      this.#settle();
      return;
    }
    if (load.kind !== 'trace') {
      const all = arrivals(load, durationMs, this.#parts.random);
      this.#arrivals = this.plan.share === undefined ? all : sharedOut(all, this.plan.share);
    }
    this.#pull();
    this.#openDue();
  }

  /** Ends the run now: turns under way are given up as `unfinished`. Idempotent. */
  stop(): void {
    if (this.#phase !== 'running') return;
    this.#phase = 'stopping';
    this.#next = null;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const session of [...this.#live]) session.abandon();
    this.#settle();
  }

  onTurnStarted(): number {
    this.#tell(this.#turnsInFlight + 1);
    return this.#turnsInFlight + (this.#parts.gauge?.elsewhere() ?? 0);
  }

  onTurnEnded(): void {
    this.#tell(this.#turnsInFlight - 1);
  }

  #tell(count: number): void {
    this.#turnsInFlight = count;
    this.#parts.gauge?.tell(count);
  }

  onSessionEnded(session: LiveSession, finished: FinishedSession): void {
    this.#live.delete(session);
    this.recorder.onSession(finished);
    if (this.plan.load.kind === 'closed' && this.#phase === 'running') {
      if (finished.failed) this.#later(FAILED_USER_WAITS_MS, () => this.#userReturns());
      else this.#nextOfUser();
    }
    this.#settle();
  }

  // Takes the next arrival off the plan, if there is one.
  #pull(): void {
    this.#next = null;
    if (this.#isSpent()) return;
    const { load, durationMs } = this.plan;
    const arrival = this.#arrivals?.next();
    if (arrival?.done) return;
    const session = this.#draw();
    if (session === null) return;
    const atMs = load.kind === 'trace' ? session.arrivalMs / load.timeScale : arrival!.value;
    if (atMs >= durationMs) return;
    this.#next = { atMs, session };
  }

  #isSpent(): boolean {
    if (this.#startedCount < this.plan.sessionsMax) return false;
    this.#ranOut = true;
    return true;
  }

  #draw(): PlannedSession | null {
    const drawn = this.#sessions.next();
    if (drawn.done) {
      this.#ranOut = true;
      return null;
    }
    this.#startedCount++;
    return saltedSession(drawn.value, this.plan.salt);
  }

  // Opens every session whose time has come, then waits for the next one.
  #openDue(): void {
    while (this.#next !== null) {
      const { atMs, session } = this.#next;
      const waitMs = atMs - this.plan.leadMs - this.elapsedMs;
      if (waitMs > EARLY_MS) {
        this.#later(waitMs, () => this.#openDue());
        return;
      }
      this.#pull();
      if (this.#live.size >= this.plan.sessionsInFlightMax) this.recorder.onShed();
      else this.#open(session, atMs);
    }
    this.#settle();
  }

  #open(session: PlannedSession, atMs: number | null): void {
    const live = new LiveSession(session, this);
    this.#live.add(live);
    live.start(atMs);
  }

  #nextOfUser(): void {
    if (this.elapsedMs >= this.plan.durationMs || this.#isSpent()) return;
    const session = this.#draw();
    if (session !== null) this.#open(session, null);
  }

  // Nobody else may be left: then it is this that ends the run.
  #userReturns(): void {
    this.#nextOfUser();
    this.#settle();
  }

  #later(delayMs: number, fn: () => void): void {
    const timer = this.clock.schedule(delayMs, () => {
      this.#timers.delete(timer);
      fn();
    });
    this.#timers.add(timer);
  }

  #settle(): void {
    if (this.#phase === 'done' || this.#phase === 'idle') return;
    if (this.#live.size > 0 || this.#next !== null || this.#timers.size > 0) return;
    this.#phase = 'done';
    this.clock.defer(this.#onDone);
  }
}
