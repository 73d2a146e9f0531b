// Workloads that no trace is needed for: sessions whose lengths and gaps are drawn from a seed, and the habits of
// people laid over any workload (interruptions and steers).
import { createHash } from 'node:crypto';
import { Random } from '../../kernels/random.ts';
import { drawLength, type Lengths } from './lengths.ts';
import {
  cycled,
  joinSeeds,
  type PlannedSession,
  type PlannedTurn,
  scaledTokens,
  type Workload,
} from './turn.ts';

/** Drawn uniformly between the two bounds. */
interface Range {
  readonly min: number;
  readonly max: number;
}

export interface GeneratedOptions {
  readonly name: string;
  readonly seed: number;
  readonly scale: number;
  readonly contextTokens: number;
  readonly sharedTokens: number; // system prompt that all sessions have in common
  readonly promptTokens: Lengths; // new in each turn
  readonly outputTokens: Lengths;
  readonly turns: Range; // per session
  readonly gapMs: Range; // between turns, taken as tool gaps
}

const SESSIONS_PER_PASS = 1000;

export function generated(options: GeneratedOptions): Workload {
  const { name, seed, scale } = options;
  const parameters = JSON.stringify(options);
  const plan = function* (pass: number): Generator<PlannedSession> {
    for (let index = 0; index < SESSIONS_PER_PASS; index++) {
      const own = joinSeeds(joinSeeds(seed, pass), index);
      yield { index, name: `${name} ${index}`, arrivalMs: 0, turns: drawTurns(own, options) };
    }
  };
  return {
    name,
    source: {
      kind: 'generated',
      name: parameters,
      sha256: createHash('sha256').update(parameters).digest('hex'),
    },
    sessionCount: SESSIONS_PER_PASS,
    scale,
    notes: ['lengths and gaps are drawn from what the source says, uniformly from ranges'],
    sessions: () => cycled(plan),
  };
}

function drawTurns(seed: number, options: GeneratedOptions): PlannedTurn[] {
  const random = new Random(seed);
  const draw = ({ min, max }: Range) => random.integer(min, max);
  const drawTokens = (lengths: Lengths) => scaledTokens(drawLength(lengths, random), options.scale);
  const turns: PlannedTurn[] = [];
  const shared = options.sharedTokens === 0 ? 0 : scaledTokens(options.sharedTokens, options.scale);
  let history = 0;
  for (let left = draw(options.turns); left > 0; left--) {
    const added = drawTokens(options.promptTokens);
    const maxTokens = drawTokens(options.outputTokens);
    const first = turns.length === 0;
    const promptTokens = history + added + (first ? shared : 0);
    if (promptTokens + maxTokens > options.contextTokens && !first) break;
    const items: PlannedTurn['items'] = [
      { role: 'user', parts: [{ kind: 'filler', seed: joinSeeds(seed, turns.length), tokenCount: added }] },
    ];
    const system = { kind: 'filler', seed: options.seed, tokenCount: shared } as const;
    turns.push({
      reset: false,
      items: first && shared > 0 ? [{ role: 'system', parts: [system] }, ...items] : items,
      gapMs: first ? 0 : draw(options.gapMs),
      gap: first ? 'none' : 'tool',
      promptTokens,
      idealCachedTokens: first ? shared : history,
      maxTokens,
      exact: true,
      interruption: null,
      original: null,
    });
    history = promptTokens + maxTokens;
  }
  return turns;
}

export interface Habits {
  readonly seed: number;
  readonly interruptShare: number; // of turns: stopped, and that was it
  readonly steerShare: number; // of turns: stopped, and something else asked in the same breath
}

const STEER_TOKENS = 24; // "no, keep the old signature and only change the loop": about so long

/** The same workload with people in it who press Esc. */
export function withHabits(workload: Workload, habits: Habits): Workload {
  const play = (session: PlannedSession): PlannedSession => ({
    ...session,
    turns: session.turns.map((turn, at) =>
      interrupted(turn, joinSeeds(joinSeeds(habits.seed, session.index), at), habits),
    ),
  });
  const sessions = function* (): Generator<PlannedSession> {
    const source = workload.sessions();
    for (let next = source.next(); !next.done; next = source.next()) yield play(next.value);
  };
  const percent = (share: number) => `${Math.round(share * 1000) / 10} %`;
  return {
    ...workload,
    name: `${workload.name}-interrupts`,
    notes: [
      ...workload.notes,
      `${percent(habits.interruptShare)} of the turns are interrupted, ${percent(habits.steerShare)} are steered, after a number of tokens drawn uniformly from the first 80 % of the answer`,
    ],
    sessions,
  };
}

function interrupted(turn: PlannedTurn, seed: number, habits: Habits): PlannedTurn {
  const random = new Random(seed);
  const draw = random.next();
  if (draw >= habits.interruptShare + habits.steerShare) return turn;
  const afterTokens = 1 + Math.floor(random.next() * 0.8 * turn.maxTokens);
  if (afterTokens >= turn.maxTokens) return turn; // too short to be stopped
  const steered = draw >= habits.interruptShare;
  const part = { kind: 'filler', seed: joinSeeds(seed, 1), tokenCount: STEER_TOKENS } as const;
  return {
    ...turn,
    interruption: {
      afterTokens,
      steer: steered ? [{ role: 'user', parts: [part] }] : null,
      steerMaxTokens: turn.maxTokens,
    },
  };
}
