// Router: which lane a request belongs to, given what its session has been through. Owns the sessions' states: a bounded
// table, the one that was quiet for longest goes first. Decides nothing itself (decide.ts does). Before it: visit.ts;
// after it: decide.ts.
import { createHash } from 'node:crypto';
import type { LaneConversation } from './conversation.ts';
import {
  decideRoute,
  NEW_SESSION,
  nextState,
  pinnedRoute,
  type RouteDecision,
  type RouteState,
} from './decide.ts';
import { handOffNote } from './hand-off.ts';
import { AUTO } from './lanes-file.ts';
import type { PolicySource } from './policy-source.ts';
import { changesOf, readSignals, type TaskSignals } from './signals.ts';

export interface RoutedTask {
  readonly decision: RouteDecision;
  readonly signals: TaskSignals;
  readonly handOff: string; // what the lane is told of work that came from another one; '' if none did
}

interface RoutedSession {
  state: RouteState;
  handOff: string; // as long as the session stays in the lane to which it was promoted
}

const KEYED_LENGTH_MAX = 16_384; // characters of the first message that tell a conversation from others

/** A conversation is known by what its client calls it, or by its first user message; null: it has neither. */
export function sessionKeyOf(
  owner: string,
  given: unknown,
  { entries }: Pick<LaneConversation, 'entries'>,
): string | null {
  const named = typeof given === 'string' && given !== '' ? `key ${given}` : null;
  const first = entries.find(({ kind }) => kind === 'user')?.text.slice(0, KEYED_LENGTH_MAX);
  const name = named ?? (first === undefined || first === '' ? null : `says ${first}`);
  return name === null ? null : createHash('sha256').update(`${owner}\0${name}`).digest('base64url');
}

export class Router {
  readonly #policies: PolicySource;
  readonly #sessionCountMax: number;
  readonly #sessions = new Map<string, RoutedSession>(); // quiet for longest first

  constructor(policies: PolicySource, sessionCountMax: number) {
    this.#policies = policies;
    this.#sessionCountMax = sessionCountMax;
  }

  /** Remembers nothing: `enter` does. `model`: a lane, or auto. */
  route(model: string, conversation: LaneConversation, sessionKey: string | null): RoutedTask {
    const { policy, vocabulary } = this.#policies.current();
    const changes = changesOf(conversation);
    const signals = readSignals(conversation, vocabulary, changes);
    const session = sessionKey === null ? undefined : this.#sessions.get(sessionKey);
    const state = session?.state ?? NEW_SESSION;
    // Work in the background is apart from the lane in which the session talks.
    const asked = conversation.background ? { ...state, lane: null } : state;
    const decision =
      model === AUTO ? decideRoute(policy, signals, asked) : pinnedRoute(policy, signals, asked, model);
    const moved = { ...decision, from: state.lane };
    const comes = state.lane !== null && state.lane !== decision.lane;
    const risen = policy.order.indexOf(decision.lane) > policy.order.indexOf(state.lane ?? decision.lane);
    const fresh = comes && risen ? handOffNote(conversation, changes, moved) : '';
    const kept = state.lane === decision.lane ? (session?.handOff ?? '') : '';
    return { decision, signals, handOff: fresh || kept };
  }

  /** The request is in its lane: its session is from now on. */
  enter({ decision, signals, handOff }: RoutedTask, sessionKey: string | null): void {
    if (sessionKey === null || signals.background) return;
    const { state } = this.#touch(sessionKey);
    this.#sessions.set(sessionKey, { state: nextState(state, decision, signals), handOff });
  }

  /** A background task of the session has begun (1) or ended (−1). */
  delegate(sessionKey: string | null, change: 1 | -1): void {
    if (sessionKey === null) return;
    const session = this.#touch(sessionKey);
    session.state = { ...session.state, delegated: Math.max(0, session.state.delegated + change) };
  }

  #touch(sessionKey: string): RoutedSession {
    const session = this.#sessions.get(sessionKey) ?? { state: NEW_SESSION, handOff: '' };
    this.#sessions.delete(sessionKey);
    this.#sessions.set(sessionKey, session);
    if (this.#sessions.size > this.#sessionCountMax) {
      const [oldest] = this.#sessions.keys();
      this.#sessions.delete(oldest!);
    }
    return session;
  }
}
