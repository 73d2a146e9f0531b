// LiveSession: one session under way. Plays its turns one after the other, presses Esc where the plan says so, gives up
// on a turn that takes too long, and tells its host how it went.
import type { Clock, Timer } from '../../../kernels/clock.ts';
import { UsefulDiff } from '../../../server/outcomes/useful-diff.ts';
import type { PlannedSession, PlannedTurn, TurnItem } from '../../workload/turn.ts';
import {
  type Delta,
  type Dialogue,
  plainEnd,
  type Target,
  type TurnEnd,
  type TurnEvents,
} from '../wires/target.ts';
import type { DriverPlan } from './driver-plan.ts';
import type { DriverRecorder, FinishedSession } from './recorder.ts';
import { Timeline } from './timeline.ts';

/** The driver, as its sessions see it. */
export interface SessionHost {
  readonly clock: Clock;
  readonly target: Target;
  readonly recorder: DriverRecorder;
  readonly countTokens: ((text: string) => number) | null;
  readonly plan: DriverPlan;
  readonly originMs: number;
  readonly elapsedMs: number;
  /** Returns how many turns are under way now. */
  onTurnStarted(): number;
  onTurnEnded(): void;
  onSessionEnded(session: LiveSession, finished: FinishedSession): void;
}

/** Milliseconds; what is due this soon is due: sums of times are rounded, and a wait below that might never end. */
export const EARLY_MS = 0.001;

export class LiveSession {
  readonly #planned: PlannedSession;
  readonly #host: SessionHost;
  #conversation: Dialogue | null = null;
  #timer: Timer | null = null;
  #running: LiveTurn | null = null;
  #startMs: number | null = null;
  #turnIndex = 0;
  #played = 0;
  #toolGapMs = 0;
  #humanGapMs = 0;
  #allGood = true;
  #ended = false;

  constructor(planned: PlannedSession, host: SessionHost) {
    this.#planned = planned;
    this.#host = host;
  }

  /** `atMs`: intended time of the first turn; null = as soon as the connection stands (closed loop). */
  start(atMs: number | null): void {
    let ready = false;
    this.#conversation = this.#host.target.open(this.#planned, () => {
      if (ready || this.#ended) return;
      ready = true;
      if (atMs === null) this.#turnAt(this.#host.elapsedMs);
    });
    if (atMs !== null) this.#turnAt(atMs);
  }

  /** The run was stopped. */
  abandon(): void {
    this.#running?.giveUp(plainEnd('unfinished'));
    this.#finish({ complete: false, failed: false });
  }

  #turnAt(intendedMs: number): void {
    const { clock } = this.#host;
    const waitMs = intendedMs - this.#host.elapsedMs;
    if (waitMs <= EARLY_MS) this.#dispatch(intendedMs);
    // Timers of the system count whole milliseconds and may fire a fraction early: the rest is waited out in turns of
    // the event loop.
    else if (waitMs < 1 && this.#timer !== null) clock.defer(() => this.#turnAt(intendedMs));
    else this.#timer = clock.schedule(waitMs, () => this.#turnAt(intendedMs));
  }

  #dispatch(intendedMs: number): void {
    this.#timer = null;
    if (this.#ended) return;
    this.#startMs ??= intendedMs;
    this.#played++;
    const planned = this.#planned.turns[this.#turnIndex]!;
    const ask = { items: planned.items, maxTokens: planned.maxTokens };
    this.#run(intendedMs, planned, { kind: 'turn', ...ask }, (turn) => this.#afterTurn(turn));
  }

  #run(
    intendedMs: number,
    planned: PlannedTurn,
    ask: { kind: 'turn' | 'steer'; items: readonly TurnItem[]; maxTokens: number },
    after: (turn: LiveTurn) => void,
  ): void {
    const host = this.#host;
    const turn = new LiveTurn(host, this.#conversation!, {
      session: this.#planned,
      turnIndex: this.#turnIndex,
      planned,
      kind: ask.kind,
      intendedMs,
      onOver: () => {
        this.#running = null;
        if (!turn.isGood) this.#allGood = false;
        if (!this.#ended) after(turn);
      },
    });
    this.#running = turn;
    this.#conversation!.start(
      {
        reset: planned.reset && ask.kind === 'turn',
        items: ask.items,
        maxTokens: ask.maxTokens,
        exact: planned.exact,
      },
      turn,
    );
  }

  #afterTurn(turn: LiveTurn): void {
    const planned = this.#planned.turns[this.#turnIndex]!;
    const { interruption } = planned;
    const interruptedMs = turn.timeline.interruptedMs;
    if (turn.failed) {
      this.#finish({ complete: false, failed: true });
    } else if (interruptedMs !== null && interruption?.steer) {
      // What the person says next was said when they pressed Esc: its latency counts from there.
      const ask = {
        kind: 'steer',
        items: interruption.steer,
        maxTokens: interruption.steerMaxTokens,
      } as const;
      this.#run(interruptedMs, planned, ask, (steer) =>
        steer.failed ? this.#finish({ complete: false, failed: true }) : this.#goOn(steer.timeline.endMs),
      );
    } else {
      this.#goOn(turn.timeline.endMs);
    }
  }

  #goOn(endMs: number): void {
    this.#turnIndex++;
    const next = this.#planned.turns[this.#turnIndex];
    if (next === undefined) {
      this.#finish({ complete: true, failed: false });
      return;
    }
    const intendedMs = endMs + next.gapMs;
    if (intendedMs >= this.#host.plan.durationMs) {
      this.#finish({ complete: false, failed: false });
      return;
    }
    if (next.gap === 'tool') this.#toolGapMs += next.gapMs;
    if (next.gap === 'human') this.#humanGapMs += next.gapMs;
    this.#turnAt(intendedMs);
  }

  #finish(how: { readonly complete: boolean; readonly failed: boolean }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#conversation?.close();
    const endMs = this.#host.elapsedMs;
    this.#host.onSessionEnded(this, {
      plannedCount: this.#planned.turns.length,
      startMs: this.#startMs ?? endMs,
      endMs,
      turnCount: this.#played,
      toolGapMs: this.#toolGapMs,
      humanGapMs: this.#humanGapMs,
      allGood: this.#allGood,
      ...how,
    });
  }
}

interface TurnPlace {
  readonly session: PlannedSession;
  readonly turnIndex: number;
  readonly planned: PlannedTurn;
  readonly kind: 'turn' | 'steer';
  readonly intendedMs: number;
  readonly onOver: () => void;
}

/** One turn under way: notes the times, and hands itself to the recorder when it is over. */
class LiveTurn implements TurnEvents {
  readonly timeline: Timeline;
  readonly #host: SessionHost;
  readonly #conversation: Dialogue;
  readonly #place: TurnPlace;
  readonly #timeout: Timer;
  readonly #usefulDiff: UsefulDiff | null;
  readonly #inFlight: number;
  #firstDiffMs: number | null = null;
  #over = false;
  failed = false;
  isGood = false;

  constructor(host: SessionHost, conversation: Dialogue, place: TurnPlace) {
    this.#host = host;
    this.#conversation = conversation;
    this.#place = place;
    this.timeline = new Timeline(place.intendedMs, host.elapsedMs);
    this.#inFlight = host.onTurnStarted();
    const { original } = place.planned;
    this.#usefulDiff = original === null ? null : new UsefulDiff(original);
    const { turnTimeoutMs } = host.plan;
    this.#timeout = host.clock.schedule(turnTimeoutMs, () => {
      this.giveUp(plainEnd('error', 'timeout', `no end within ${turnTimeoutMs} ms`));
    });
  }

  onSent(atMs: number): void {
    this.timeline.sentMs ??= atMs - this.#host.originMs;
  }

  onTokens(atMs: number, delta: Delta): void {
    if (this.#over) return;
    const ms = atMs - this.#host.originMs;
    const { countTokens } = this.#host;
    const counted = delta.count === null && countTokens !== null ? countTokens(delta.text) : null;
    this.timeline.add(ms, delta, counted);
    if (this.#usefulDiff !== null && this.#firstDiffMs === null && !delta.reasoning) {
      if (this.#usefulDiff.push(delta.text)) this.#firstDiffMs = ms - this.timeline.intendedMs;
    }
    const { interruption } = this.#place.planned;
    if (interruption === null || this.#place.kind === 'steer' || this.timeline.interruptedMs !== null) return;
    if (this.timeline.receivedTokens < interruption.afterTokens) return;
    this.timeline.interrupt(ms);
    // Not in the target's own callback: it may be in the middle of a frame.
    this.#host.clock.defer(() => {
      if (!this.#over) this.#conversation.interrupt();
    });
  }

  onEnd(atMs: number, end: TurnEnd): void {
    this.#close(atMs - this.#host.originMs, end);
  }

  /** The driver ends the turn, not the server. */
  giveUp(end: TurnEnd): void {
    this.#close(this.#host.elapsedMs, end);
  }

  #close(ms: number, end: TurnEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#timeout.cancel();
    this.#host.onTurnEnded();
    this.timeline.end(ms, end);
    const outcome = this.#outcomeOf(end);
    this.failed = outcome === 'error' || outcome === 'rejected' || outcome === 'unfinished';
    this.isGood = this.#host.recorder.onTurn({
      session: this.#place.session,
      turnIndex: this.#place.turnIndex,
      planned: this.#place.planned,
      kind: this.#place.kind,
      outcome: outcome,
      end: outcome === end.outcome ? end : { ...end, outcome, errorKind: 'empty answer' },
      timeline: this.timeline,
      measures: this.timeline.measures(),
      firstUsefulDiffMs: this.#firstDiffMs,
      inFlight: this.#inFlight,
    });
    this.#place.onOver();
  }

  // An answer without a single token is not an answer.
  #outcomeOf(end: TurnEnd): TurnEnd['outcome'] {
    const isEmpty = this.timeline.firstMs === null && !this.#host.target.isWhole;
    return end.outcome === 'ok' && isEmpty ? 'truncated' : end.outcome;
  }
}
