// decideRoute: policy, signals and the session's state → task class, lane and reason. A pure function: recorded signals
// give the same decision for ever, which is what `sparklane whatif` relies on. Before it: signals.ts and policy.ts;
// after it: router.ts, which keeps the states.
import type { Condition, CostOfFailure, Fact, Policy } from './policy.ts';
import type { TaskSignals } from './signals.ts';

/** What a session has been through, as far as routing goes. JSON-able. */
export interface RouteState {
  readonly lane: string | null; // null: nothing was decided yet
  readonly turnsInLane: number;
  readonly promotions: number;
  readonly delegated: number; // background tasks under way
  // As they were when the session came to its lane.
  readonly filesTouched: number;
  readonly linesChanged: number;
  readonly reworkTurns: number;
}

export const NEW_SESSION: RouteState = {
  lane: null,
  turnsInLane: 0,
  promotions: 0,
  delegated: 0,
  filesTouched: 0,
  linesChanged: 0,
  reworkTurns: 0,
};

export interface RouteDecision {
  readonly taskClass: string;
  readonly costOfFailure: CostOfFailure;
  readonly lane: string;
  readonly rule: string; // that chose the class, or the promotion or demotion that moved the session
  readonly reason: string; // with numbers
  readonly move: 'start' | 'stay' | 'promote' | 'demote';
  readonly from: string | null; // the session's lane before
  readonly policy: string; // its name
}

/** Total and pure. A session stays in its lane unless a promotion or a demotion holds. */
export function decideRoute(
  policy: Policy,
  signals: TaskSignals,
  state: RouteState = NEW_SESSION,
): RouteDecision {
  const facts = factsOf(signals, state);
  const rule = policy.rules.find(({ when }) => holds(when, facts)) ?? {
    name: 'otherwise',
    ...policy.otherwise,
  };
  const { lane: classLane, costOfFailure } = policy.classes[rule.class]!;
  facts.set('costOfFailure', costOfFailure);
  const wanted = rule.lane ?? classLane;
  const from = state.lane;
  const decided = { taskClass: rule.class, costOfFailure, from, policy: policy.name };
  const why = filled(rule.reason, facts);
  if (from === null || !policy.order.includes(from)) {
    return { ...decided, lane: wanted, rule: rule.name, reason: why, move: 'start' };
  }
  const moved = moveOf(policy, { from, wanted }, facts);
  if (moved !== null) {
    const reason = `${filled(moved.reason, facts)} (${rule.name}: ${why})`;
    return { ...decided, lane: moved.to, rule: moved.name, reason, move: moved.kind };
  }
  const reason =
    wanted === from ? why : `stays in ${from}, no condition to move holds (${rule.name}: ${why})`;
  return { ...decided, lane: from, rule: rule.name, reason, move: 'stay' };
}

/** The client named its lane: classified for the record, but not moved. */
export function pinnedRoute(
  policy: Policy,
  signals: TaskSignals,
  state: RouteState,
  lane: string,
): RouteDecision {
  const { taskClass, costOfFailure } = decideRoute(policy, signals, state);
  const reason = `the request names the lane ${lane}`;
  const move = state.lane === null ? 'start' : 'stay';
  return {
    taskClass,
    costOfFailure,
    lane,
    rule: 'asked',
    reason,
    move,
    from: state.lane,
    policy: policy.name,
  };
}

/** The state after the decision was carried out. Requests within a turn (tool outputs) count as the same turn. */
export function nextState(state: RouteState, decision: RouteDecision, signals: TaskSignals): RouteState {
  if (decision.lane === state.lane) {
    return { ...state, turnsInLane: state.turnsInLane + (signals.midTurn ? 0 : 1) };
  }
  return {
    lane: decision.lane,
    turnsInLane: 1,
    promotions: state.promotions + (decision.move === 'promote' ? 1 : 0),
    delegated: state.delegated,
    filesTouched: signals.filesTouched,
    linesChanged: signals.linesChanged,
    reworkTurns: signals.reworkTurns,
  };
}

type FactValue = number | boolean | CostOfFailure | null;
type Facts = Map<string, FactValue>;

function factsOf({ words, ...signals }: TaskSignals, state: RouteState): Facts {
  const facts: Facts = new Map<string, FactValue>(Object.entries(signals));
  for (const [category, count] of Object.entries(words)) facts.set(`words.${category}` satisfies Fact, count);
  // A history that was shortened has no growth, not a negative one.
  facts.set('filesGrown', Math.max(0, signals.filesTouched - state.filesTouched));
  facts.set('linesGrown', Math.max(0, signals.linesChanged - state.linesChanged));
  facts.set('reworkGrown', Math.max(0, signals.reworkTurns - state.reworkTurns));
  facts.set('turnsInLane', state.turnsInLane);
  facts.set('promotions', state.promotions);
  facts.set('delegated', state.delegated);
  return facts;
}

/** The first promotion to a lane further right, else, if the rules want it, the first demotion to one further left. */
function moveOf(
  { order, promote, demote }: Policy,
  { from, wanted }: { readonly from: string; readonly wanted: string },
  facts: Facts,
): (Policy['promote'][number] & { readonly kind: 'promote' | 'demote' }) | null {
  const rank = (lane: string) => order.indexOf(lane);
  const up = promote.find(({ to, when }) => rank(to) > rank(from) && holds(when, facts));
  if (up !== undefined) return { ...up, kind: 'promote' };
  if (rank(wanted) >= rank(from)) return null;
  const down = demote.find(({ to, when }) => rank(to) < rank(from) && holds(when, facts));
  return down === undefined ? null : { ...down, kind: 'demote' };
}

function holds({ any, not, facts: tests }: Condition, facts: Facts): boolean {
  for (const [fact, test] of Object.entries(tests ?? {})) {
    const value = facts.get(fact) ?? null; // recorded under another vocabulary: as if absent
    if (typeof test !== 'object') {
      if ((value ?? 0) !== test) return false;
    } else if ('oneOf' in test) {
      if (!test.oneOf.includes(value as CostOfFailure)) return false;
    } else {
      const number = Number(value ?? 0);
      const { atLeast, atMost } = test as { readonly atLeast?: number; readonly atMost?: number };
      if (number < (atLeast ?? number) || number > (atMost ?? number)) return false;
    }
  }
  if (any !== undefined && !any.some((condition) => holds(condition, facts))) return false;
  return not === undefined || !holds(not, facts);
}

function filled(reason: string, facts: Facts): string {
  return reason.replace(/\{([\w.-]+)\}/g, (whole, fact: string) => {
    const value = facts.get(fact);
    return value === undefined ? whole : String(value);
  });
}
