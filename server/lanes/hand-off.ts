// The hand-off: what a lane is told when work comes to it from another one, beside the transcript that travels anyway: why
// it comes, which files were changed, the diff so far, and what the tools said last. Text, so that any template takes it.
// Owns its size. Pure. Before it: router.ts; after it: the style that the lane's model is given.
import type { Entry, LaneConversation } from './conversation.ts';
import type { RouteDecision } from './decide.ts';
import { exitCodeOf, type TextChange } from './evidence.ts';

export interface HandOffBounds {
  readonly diffLengthMax: number; // characters of all diffs together, the latest win
  readonly outputLengthMax: number; // characters of one tool's output: its end
  readonly outputCountMax: number;
  readonly filesMax: number;
}

const HAND_OFF_BOUNDS: HandOffBounds = {
  diffLengthMax: 6000,
  outputLengthMax: 800,
  outputCountMax: 3,
  filesMax: 50,
};

/** '' if there is nothing that the transcript does not say more plainly. */
export function handOffNote(
  { entries }: LaneConversation,
  changes: readonly (TextChange | null)[], // of the entries (signals.ts)
  { from, lane, reason }: Pick<RouteDecision, 'from' | 'lane' | 'reason'>,
  bounds: HandOffBounds = HAND_OFF_BOUNDS,
): string {
  const files = new Set<string>();
  const diffs: string[] = []; // latest first
  let linesChanged = 0;
  let room = bounds.diffLengthMax;
  for (let index = entries.length - 1; index >= 0; index--) {
    const change = changes[index];
    if (change == null) continue;
    for (const file of change.files) if (files.size < bounds.filesMax) files.add(file);
    linesChanged += change.linesChanged;
    const whole = change.texts.join('\n');
    const diff = whole.slice(0, Math.max(0, room));
    room -= diff.length;
    if (diff !== '') diffs.push(diff.length < whole.length ? `${diff}\n[cut]` : diff);
  }
  const outputs = entries.filter(({ kind }) => kind === 'output').slice(-bounds.outputCountMax);
  if (files.size === 0 && outputs.length === 0) return '';
  return [
    `Work comes to you (${lane}) from ${from ?? 'another lane'}: ${reason}. What follows is the user's one conversation; go on with it.`,
    files.size === 0 ? '' : `Changed so far: ${[...files].join(', ')} (${linesChanged} lines).`,
    diffs.length === 0 ? '' : `The changes, oldest first:\n${diffs.reverse().join('\n')}`,
    outputs.length === 0
      ? ''
      : `What the tools said last:\n${outputs.map((entry) => evidence(entry, bounds)).join('\n')}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function evidence({ text }: Entry, { outputLengthMax }: HandOffBounds): string {
  const code = exitCodeOf(text);
  const shown = text.length <= outputLengthMax ? text : `[…] ${text.slice(-outputLengthMax)}`;
  return `- ${code === null ? '' : `(exit code ${code}) `}${shown}`;
}
