// The linter for agents: how much of each prompt a prefix cache could serve, where and why the prefix broke, and what that cost.
// Works on recordings, which have no text: blocks of the prompt tell where, its segments tell why. Pure.
import { BLOCK_CHARACTERS, BLOCK_TOKENS, type RecordedSession, type RecordedTurn } from './recording.ts';

export interface BrokenPrefix {
  readonly session: string;
  readonly turn: number; // from 1
  readonly atTokens: number; // how far the prompt is as it was, about
  readonly lostTokens: number; // that were in the last prompt behind it, and have to be computed again
  readonly why: string;
}

export type LintReport = Readonly<ReturnType<typeof lint>>;

export function lint(sessions: readonly RecordedSession[]) {
  const sums = {
    requests: 0,
    promptTokens: 0, // about: characters / 4
    cacheableTokens: 0, // of them, in the prompt before
    idealTokens: 0, // of them, were nothing rewritten
  };
  const served = { promptTokens: 0, cachedTokens: 0 };
  let isServed = false;
  const breaks: BrokenPrefix[] = [];
  for (const { id, requests } of sessions) {
    let previous: RecordedTurn | null = null;
    for (const [index, turn] of requests.entries()) {
      sums.requests++;
      sums.promptTokens += turn.in;
      if (turn.cached_tokens !== null && turn.prompt_tokens !== null) {
        isServed = true;
        served.promptTokens += turn.prompt_tokens;
        served.cachedTokens += turn.cached_tokens;
      }
      if (previous !== null) {
        const shared = sharedBlocks(turn, previous);
        const sharedTokens = Math.min(shared * BLOCK_TOKENS, turn.in, previous.in);
        const idealTokens = Math.min(previous.in, turn.in);
        sums.cacheableTokens += sharedTokens;
        sums.idealTokens += idealTokens;
        // The last block of a prompt is cut where the prompt ends: it differs whenever the prompt goes on.
        if (idealTokens - sharedTokens >= 2 * BLOCK_TOKENS) {
          const why = whyOf(turn, previous, shared * BLOCK_CHARACTERS);
          breaks.push({
            session: id,
            turn: index + 1,
            atTokens: sharedTokens,
            lostTokens: idealTokens - sharedTokens,
            why,
          });
        }
      }
      previous = turn;
    }
  }
  return {
    ...{ format: 'sparklane lint', formatVersion: 1, sessions: sessions.length, ...sums },
    lostTokens: breaks.reduce((sum, { lostTokens }) => sum + lostTokens, 0), // ideal − cacheable
    served: isServed ? served : null, // as the server says
    breaks: breaks.sort((a, b) => b.lostTokens - a.lostTokens), // the dearest first
  };
}

function sharedBlocks(turn: RecordedTurn, previous: RecordedTurn): number {
  const [a, b] = [idsOf(turn.hash_runs), idsOf(previous.hash_runs)];
  let shared = 0;
  while (shared < a.length && shared < b.length && a[shared] === b[shared]) shared++;
  return shared;
}

function idsOf(runs: readonly number[]): number[] {
  const ids: number[] = [];
  for (let at = 0; at < runs.length; at += 2) {
    for (let offset = 0; offset < runs[at + 1]!; offset++) ids.push(runs[at]! + offset);
  }
  return ids;
}

/** What stands where the prompts part, within a block of `offset` characters. */
function whyOf(turn: RecordedTurn, previous: RecordedTurn, offset: number): string {
  const index = segmentAt(turn, previous, offset);
  const [now, before] = [turn.segments[index], previous.segments[index]];
  const kind = now?.[0] ?? 'user';
  if (kind === 'tools' || before?.[0] === 'tools') {
    if (now?.[0] !== before?.[0])
      return 'tools were added or taken away: keep the list the same, and forbid calls instead';
    return 'the list of tools changed: other tools, another order, or other words in them';
  }
  if (kind === 'system') {
    const parts = turn.volatile.filter(([segment]) => segment === index).map(([, name]) => name);
    const hint =
      parts.length === 0 ? '' : `; it has ${parts.join(' and ')}: put what changes behind what does not`;
    return `the system prompt changed${hint}`;
  }
  if (turn.segments.length < previous.segments.length) {
    return `the history was cut from message ${messageOf(turn, index)} on: ${previous.segments.length} parts became ${turn.segments.length} (compacted, or its oldest dropped)`;
  }
  return `message ${messageOf(turn, index)} (${kind}) was rewritten after it had been sent`;
}

/** The first segment at the offset whose kind or length differs, else the one there. */
function segmentAt({ segments }: RecordedTurn, previous: RecordedTurn, offset: number): number {
  let end = 0;
  let at = segments.length - 1;
  for (const [index, [, length]] of segments.entries()) {
    end += length;
    if (end <= offset) continue;
    at = index;
    break;
  }
  // The block at the offset may hold several: what differs in it is to blame.
  for (let index = at, start = end; index < segments.length; index++) {
    const [now, before] = [segments[index]!, previous.segments[index]];
    if (before === undefined || now[0] !== before[0] || now[1] !== before[1]) return index;
    if (start >= offset + BLOCK_CHARACTERS) break;
    start += segments[index + 1]?.[1] ?? 0;
  }
  return at;
}

/** Counted from 1 among the messages. */
function messageOf({ segments }: RecordedTurn, index: number): number {
  return segments.slice(0, index + 1).filter(([kind]) => kind !== 'tools').length;
}
