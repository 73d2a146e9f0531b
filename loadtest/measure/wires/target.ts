// The seam between the driver and whatever is measured: conversations that take turns and report tokens with the time
// they arrived. One file per protocol implements it. Callbacks only, so that it also runs on a virtual clock.
import type { PlannedSession, TurnItem } from '../../workload/turn.ts';

/** How a turn ended. Only `ok`, and `interrupted` where the plan said so, can be good. */
export type Outcome =
  | 'ok'
  | 'interrupted' // stopped by the client, as planned
  | 'rejected' // refused at the door: overloaded, rate limit, draining
  | 'truncated' // ended before the answer was complete: cut off, empty, or at a limit the plan did not ask for
  | 'error'
  | 'unfinished'; // the run was stopped first; counted nowhere

export interface TurnEnd {
  readonly outcome: Outcome;
  readonly errorKind: string | null; // short and the same for equal causes: "http 503", "timeout"
  readonly message: string | null; // the server's or the system's words, for people
  readonly promptTokens: number | null; // these as the server says, where it says
  readonly cachedTokens: number | null;
  readonly outputTokens: number | null;
  readonly queueMs: number | null;
  readonly acceptedTokens: number | null; // of speculation
  readonly rejectedTokens: number | null;
}

/** Something arrived. `count` and `index` are the server's own numbers, null where the protocol has none. */
export interface Delta {
  readonly text: string;
  readonly count: number | null; // tokens in it
  readonly index: number | null; // of the first of them within the answer
  readonly reasoning: boolean;
}

export interface TurnEvents {
  /** The request's last byte was handed to the operating system. At most once, before any token. */
  onSent(atMs: number): void;
  onTokens(atMs: number, delta: Delta): void;
  /** Exactly once; never in the stack of start() or interrupt(). */
  onEnd(atMs: number, end: TurnEnd): void;
}

/** What is asked for in one turn. */
export interface Ask {
  readonly reset: boolean;
  readonly items: readonly TurnItem[];
  readonly maxTokens: number;
  readonly exact: boolean;
}

/** One client with its history. Turns follow each other: start() after the previous turn's onEnd. */
export interface Dialogue {
  start(ask: Ask, events: TurnEvents): void;
  /** The person pressed Esc: stop the running turn by the protocol's own means. Its onEnd follows, `interrupted`. */
  interrupt(): void;
  /** Ends everything at once; a running turn's onEnd is `unfinished`. Idempotent. */
  close(): void;
}

export interface Target {
  readonly name: string; // protocol and address, for people
  readonly isWhole: boolean; // answers come whole: there are no tokens to time
  /** `onReady`: once it may be used without waiting for a connection. It may be used earlier. */
  open(session: PlannedSession, onReady: () => void): Dialogue;
  close(): void;
}

/** An end with nothing known but how it ended. */
export function plainEnd(
  outcome: Outcome,
  errorKind: string | null = null,
  message: string | null = null,
): TurnEnd {
  return {
    outcome,
    errorKind,
    message,
    promptTokens: null,
    cachedTokens: null,
    outputTokens: null,
    queueMs: null,
    acceptedTokens: null,
    rejectedTokens: null,
  };
}

/** The connection is gone; `text`: what of the answer had come. */
export function lostEnd(text: string, kind: string, message: string): TurnEnd {
  return text === '' ? plainEnd('error', kind, message) : plainEnd('truncated', `cut off: ${kind}`, message);
}

/** Whether an answer that ended by itself is complete. `reason` as in OpenAI's finish_reason. */
export function finishedOutcome(reason: string | null, ask: Ask): Pick<TurnEnd, 'outcome' | 'errorKind'> {
  if (reason === null) return { outcome: 'truncated', errorKind: 'stream ended without a finish reason' };
  // At its length limit a replayed answer is complete: the limit is the recorded length.
  if (reason === 'length' && !ask.exact) return { outcome: 'truncated', errorKind: 'length limit' };
  return { outcome: 'ok', errorKind: null };
}
