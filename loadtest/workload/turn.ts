// What a workload says: sessions of turns, each with its content, its limits and what its user does while it streams.
// Data only; nothing here knows time or protocols. Made by the other files of this folder, played by measure/play/driver.ts, turned
// into bytes by measure/wires.
import { mix32 } from '../../kernels/random.ts';

/** A piece of content: real text, or a stand-in of a given length that is the same whenever its seed is. */
export type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'filler'; readonly seed: number; readonly tokenCount: number };

export interface TurnItem {
  readonly role: 'system' | 'user' | 'tool';
  readonly parts: readonly Part[];
}

/** Who made the client wait before a turn: nobody, a tool it ran, or the person. */
export type Gap = 'none' | 'tool' | 'human';

/** The person stops the answer after so many of its tokens; with `steer`, they say something else in the same breath. */
interface Interruption {
  readonly afterTokens: number; // ≥ 1
  readonly steer: readonly TurnItem[] | null;
  readonly steerMaxTokens: number;
}

export interface PlannedTurn {
  readonly reset: boolean; // the history is dropped first: another agent, or a compacted conversation
  readonly items: readonly TurnItem[]; // appended to the history, which includes the answers so far
  readonly gapMs: number; // from the end of the previous answer to this turn; 0 for the first
  readonly gap: Gap;
  readonly promptTokens: number; // planned length of the whole prompt
  readonly idealCachedTokens: number; // of them, what an unbounded prefix cache could serve
  readonly maxTokens: number; // ≥ 1
  readonly exact: boolean; // the length is the trace's: end tokens are ignored where the server can
  readonly interruption: Interruption | null;
  readonly original: string | null; // the text that this turn's answer edits
}

export interface PlannedSession {
  readonly index: number; // in the order of the workload, from 0; goes on counting over its cycles
  readonly name: string; // for people: "trace_0001", "JavaScript/12"
  readonly arrivalMs: number; // where the trace has arrivals of its own, from its start; otherwise 0
  readonly turns: readonly PlannedTurn[]; // at least one
}

/** Where a workload's numbers come from. Its label is part of every result. */
interface WorkloadSource {
  readonly kind: 'trace' | 'generated';
  readonly name: string; // file name without folders, or the generator's parameters
  readonly sha256: string; // of the trace file as it is on disk, or of the parameters
}

export interface Workload {
  readonly name: string;
  readonly source: WorkloadSource;
  readonly sessionCount: number; // of one pass
  readonly scale: number; // every token count was divided by this
  readonly notes: readonly string[]; // what was cut, changed or assumed, in sentences
  /** One pass after another without end; each pass has content of its own, so that no pass warms the next one's cache. */
  sessions(): Iterator<PlannedSession>;
}

/** `agent-sessions@7c4008971fca ÷16` */
export function labelOf({ name, source, scale }: Workload): string {
  return `${name}@${source.sha256.slice(0, 12)}${scale === 1 ? '' : ` ÷${scale}`}`;
}

/** Tokens after scaling: never fewer than one. */
export function scaledTokens(tokenCount: number, scale: number): number {
  return Math.max(1, Math.round(tokenCount / scale));
}

/** A seed that belongs to two numbers, such as a session and a block. */
export function joinSeeds(first: number, second: number): number {
  return mix32(mix32(first ^ 0x9e3779b9) ^ Math.imul(second + 1, 0x85ebca6b));
}

/** Endless passes over `plan`, each with its own salt; `plan` of a pass gives all its sessions. */
export function* cycled(plan: (salt: number) => Iterable<PlannedSession>): Generator<PlannedSession> {
  let index = 0;
  for (let pass = 0; ; pass++) {
    const before = index;
    for (const session of plan(pass)) yield { ...session, index: index++ };
    if (index === before) return; // An empty workload has no second pass either.
  }
}

/** The same session with content that shares no prefix with the original's: lengths and structure stay. */
export function saltedSession(session: PlannedSession, salt: number): PlannedSession {
  if (salt === 0) return session;
  const saltPart = (part: Part): Part =>
    part.kind === 'filler' ? { ...part, seed: joinSeeds(part.seed, salt) } : part;
  const saltItems = (items: readonly TurnItem[], first: boolean): TurnItem[] =>
    items.map((item, at) => {
      const parts = item.parts.map(saltPart);
      // Real text cannot be changed, but a line before it keeps it from being found in a prefix cache.
      if (first && at === 0) parts.unshift({ kind: 'text', text: `// ${mix32(salt).toString(16)}\n` });
      return { ...item, parts };
    });
  const turns = session.turns.map((turn, at) => ({
    ...turn,
    items: saltItems(turn.items, at === 0 || turn.reset),
    interruption:
      turn.interruption === null || turn.interruption.steer === null
        ? turn.interruption
        : { ...turn.interruption, steer: saltItems(turn.interruption.steer, false) },
  }));
  return { ...session, turns };
}
