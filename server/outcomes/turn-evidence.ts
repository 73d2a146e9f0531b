// What a request shows of the tools that ran since the last one: names, exit codes, told times, and whether a call was a
// check, a plan, an edit, a commit or a revert. Owns those readings and their bounds; keeps no text. Pure.
// Before it: tracker.ts; after it: server/lanes/evidence.ts.
import type { Entry, LaneConversation } from '../lanes/conversation.ts';
import { changeOfCall, exitCodeOf, toolFailed } from '../lanes/evidence.ts';

export interface ToolRun {
  readonly tool: string | null; // its name, where it is one
  readonly exitCode: number | null;
  readonly failed: boolean;
  readonly toldMs: number | null; // how long it ran, as its output tells
  readonly isCheck: boolean; // tests, a build, a linter
  readonly isPlan: boolean;
  readonly isEdit: boolean; // changes files by a diff or an editing tool
  readonly commits: boolean;
  readonly reverts: boolean;
}

export interface TurnEvidence {
  readonly outputCount: number; // of the whole conversation
  readonly runs: readonly ToolRun[]; // new ones, oldest first
}

const COMMAND_SCAN_MAX = 4096; // characters of a call's arguments
const EDIT_SCAN_MAX = 65_536;
const OUTPUT_SCAN_MAX = 2048;
const RUNS_MAX = 64; // of one request; the latest
const TOOL_NAME = /^[A-Za-z0-9_.:/@-]{1,64}$/;
const CHECK =
  /\b(?:(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?(?:test|lint|check|typecheck|build)|(?:cargo|go|dotnet|mix|swift)\s+(?:test|check|build|vet|clippy)|make\s+(?:test|check|lint|build)|pytest|vitest|jest|mocha|tsc|eslint|biome|ruff|mypy|flake8|ctest|gradlew?|mvn)\b/;
const PLAN = /plan|todo/i;
const COMMIT = /\bgit\s+(?:-\S+\s+(?:\S+\s+)?)?commit\b/;
const REVERT = /\bgit\s+(?:-\S+\s+(?:\S+\s+)?)?(?:revert|reset\s+--hard|restore|checkout\s+(?:--|HEAD\b))/;
const TOLD_TIME = /(?:wall time:|"duration_seconds":)\s*(\d+(?:\.\d+)?)/i; // Codex, of either format

/** `seenCount`: outputs that earlier requests have shown; null: unknown, only those at the end are new. */
export function turnEvidence({ entries }: LaneConversation, seenCount: number | null): TurnEvidence {
  const calls: Entry[] = [];
  const outputs: Entry[] = [];
  let trailing = 0; // outputs after everything else
  for (const entry of entries) {
    if (entry.kind === 'call') calls.push(entry);
    if (entry.kind === 'output') {
      outputs.push(entry);
      trailing++;
    } else trailing = 0;
  }
  const outputCount = outputs.length;
  // A conversation that was shortened has fewer than were seen.
  const fresh = seenCount === null || seenCount > outputCount ? trailing : outputCount - seenCount;
  const first = outputCount - Math.min(fresh, RUNS_MAX);
  const paired = calls.length === outputCount; // else nobody knows which call an output answers
  const runs = outputs.slice(first).map((output, offset) => {
    const call = paired ? calls[first + offset]! : calls.at(first + offset - outputCount);
    return runOf(call ?? null, output.text);
  });
  return { outputCount, runs };
}

function runOf(call: Entry | null, output: string): ToolRun {
  const name = call?.name ?? '';
  const command = call?.text.slice(0, COMMAND_SCAN_MAX) ?? '';
  const told = TOLD_TIME.exec(
    output.length <= 2 * OUTPUT_SCAN_MAX
      ? output
      : output.slice(0, OUTPUT_SCAN_MAX) + output.slice(-OUTPUT_SCAN_MAX),
  );
  return {
    tool: TOOL_NAME.test(name) ? name : null,
    exitCode: exitCodeOf(output),
    failed: toolFailed(output),
    toldMs: told === null ? null : Number(told[1]) * 1000,
    isCheck: CHECK.test(command),
    isPlan: PLAN.test(name),
    isEdit:
      call !== null && call.text.length <= EDIT_SCAN_MAX && changeOfCall(name, call.text).linesChanged > 0,
    commits: COMMIT.test(command),
    reverts: REVERT.test(command),
  };
}
