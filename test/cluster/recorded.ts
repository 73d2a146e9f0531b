// Recorded agent sessions (loadtest/traces) as what clients of a cluster say: how much each turn adds and how long its answer is. Prompts
// are a 32nd as long as they were, so that eight turns fit a small node, answers a quarter, so that faults meet them. Used by main.ts.
import { bundledTrace } from '../../loadtest/workload/catalog.ts';
import { agentSessions } from '../../loadtest/workload/trace-agent-sessions.ts';
import type { PlannedSession } from '../../loadtest/workload/turn.ts';

export interface RecordedTurn {
  readonly promptTokens: number; // that it adds
  readonly answerTokens: number;
}

const TURNS = 8;
const PROMPT_SCALE = 32;
const ANSWER_SCALE = 4;
const CONTEXT_TOKENS = 4000;
const ANSWER_TOKENS = [30, 250] as const; // at least and at most

/** Sessions of TURNS turns each, in the order of the trace. */
export function recordedSessions(): readonly (readonly RecordedTurn[])[] {
  const workload = agentSessions({
    ...{ path: bundledTrace('agent-sessions-40.rle.jsonl.gz'), seed: 1, scale: PROMPT_SCALE },
    ...{ contextTokens: CONTEXT_TOKENS, gapScale: 1, gapMsMax: 0 },
  });
  const sessions: (readonly RecordedTurn[])[] = [];
  const planned = workload.sessions();
  for (let index = 0; index < workload.sessionCount; index++) {
    const { turns } = planned.next().value as PlannedSession;
    const first = turns.slice(0, TURNS);
    if (first.length < TURNS || first.slice(1).some(({ reset }) => reset)) continue;
    sessions.push(
      first.map(({ items, maxTokens }) => ({
        promptTokens: items
          .flatMap(({ parts }) => parts)
          .reduce((sum, part) => sum + (part.kind === 'filler' ? part.tokenCount : 0), 0),
        answerTokens: Math.min(
          ANSWER_TOKENS[1],
          Math.max(ANSWER_TOKENS[0], Math.round((maxTokens * PROMPT_SCALE) / ANSWER_SCALE)),
        ),
      })),
    );
  }
  return sessions;
}

/** About so many tokens of text, the same for the same seed. */
export function fillerText(seed: number, tokenCount: number): string {
  return Array.from({ length: Math.ceil(tokenCount / 3) }, (_, at) => `v${(seed * 31 + at * 7) % 97}`).join(
    ' ',
  );
}
