// Recorded requests under another routing policy: what it would have decided, session by session, in the order in which
// they came. Owns the sessions' states on the way, as server/lanes/router.ts keeps them. Pure: decideRoute is, and so
// is this.
import {
  decideRoute,
  NEW_SESSION,
  nextState,
  pinnedRoute,
  type RouteState,
} from '../../server/lanes/decide.ts';
import { AUTO } from '../../server/lanes/lanes-file.ts';
import type { Policy } from '../../server/lanes/policy.ts';
import { inOrder, type TaskRecord, type TaskRequest } from '../../server/outcomes/task-record.ts';
import { endMsOf } from '../../server/outcomes/task-summary.ts';

export interface ReplayedRequest {
  readonly request: TaskRequest;
  readonly task: number; // index of its record
  readonly pinned: boolean; // it named its lane, which no policy changes
  readonly lane: string; // that it would have had
  readonly rule: string; // that says so
}

export function replay(records: readonly TaskRecord[], policy: Policy): ReplayedRequest[] {
  const sessions = new Map<string, { readonly request: TaskRequest; readonly task: number }[]>();
  for (const [
    task,
    {
      task: { owner },
      requests,
    },
  ] of records.entries()) {
    for (const request of requests) {
      const key = `${owner}\0${request.session ?? `alone ${task} ${request.id}`}`;
      const session = sessions.get(key);
      if (session === undefined) sessions.set(key, [{ request, task }]);
      else session.push({ request, task });
    }
  }
  return [...sessions.values()].flatMap((session) => replaySession(session, policy));
}

function replaySession(
  session: readonly { readonly request: TaskRequest; readonly task: number }[],
  policy: Policy,
): ReplayedRequest[] {
  const taskOf = new Map(session.map(({ request, task }) => [request, task]));
  const requests = inOrder(session.map(({ request }) => request));
  const delegations = requests.filter(({ background }) => background);
  let state: RouteState = NEW_SESSION;
  return requests.map((request) => {
    const { signals, asked, background, atMs } = request;
    const delegated = delegations.filter((other) => other !== request && runsAt(other, atMs)).length;
    // Work in the background is apart from the lane in which the session talks.
    const known = { ...state, delegated, lane: background ? null : state.lane };
    const pinned = asked !== AUTO;
    const decision = pinned
      ? pinnedRoute(policy, signals, known, asked)
      : decideRoute(policy, signals, known);
    if (!background) state = nextState({ ...state, delegated }, decision, signals);
    const stays = pinned || decision.lane === request.decided;
    const lane = stays ? request.lane : decision.lane; // overflow is as it was where nothing else is
    return { request, task: taskOf.get(request)!, pinned, lane, rule: decision.rule };
  });
}

function runsAt(request: TaskRequest, atMs: number): boolean {
  return request.atMs <= atMs && (request.end === null || atMs < endMsOf(request));
}
