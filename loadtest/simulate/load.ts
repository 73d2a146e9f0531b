// Load of a simulation: who sends what, and when. A client is a chain of turns, the next one sent some time after the
// answer to the one before; a single request is a client of one turn. Content is runs of equal token ids: enough
// for a prefix cache to find what it should, and nothing else. Made here and in replay.ts, played by simulation.ts.
import { Random } from '../../kernels/random.ts';

export interface SimTurn {
  readonly gapMs: number; // from the end of the previous answer (the client's arrival for the first) to this turn
  readonly prompt: readonly number[]; // [id, count, id, count, …]; ids in [0, outputIdMin)
  readonly outputTokens: number; // ≥ 1
}

export interface SimClient {
  readonly atMs: number;
  readonly turns: Iterator<SimTurn>;
}

export interface SimLoad {
  readonly label: string;
  readonly notes: readonly string[]; // what was cut, changed or assumed
  /** By atMs, ascending; taken one at a time, so an endless one is fine. */
  clients(): Iterator<SimClient>;
}

/** Ids from here on are outputs: they are never part of a prompt, so answers are never found in the prefix cache. */
export const outputIdMin = 2 ** 30;

export function promptCount(turn: SimTurn): number {
  let count = 0;
  for (let index = 1; index < turn.prompt.length; index += 2) count += turn.prompt[index]!;
  return count;
}

/** [promptCount] the prompt's ids, in an array that the next call of that length fills again: the engine takes a copy. */
export function promptTokens(turn: SimTurn): Int32Array {
  const tokens = scratchOf(promptCount(turn));
  let filled = 0;
  for (let index = 0; index < turn.prompt.length; index += 2) {
    const end = filled + turn.prompt[index + 1]!;
    tokens.fill(turn.prompt[index]!, filled, end);
    filled = end;
  }
  return tokens;
}

// The last array alone is kept: prompts of random lengths would keep as many.
let scratch = new Int32Array(0);

function scratchOf(count: number): Int32Array {
  if (scratch.length !== count) scratch = new Int32Array(count);
  return scratch;
}

/** Every prompt of `isl` tokens, every answer of `osl`; nothing shared. */
export interface FixedLengths {
  readonly isl: number;
  readonly osl: number;
}

/**
 * `userCount` clients that never pause, `turnCount` turns in all after each one's first. `inStep`: all begin at once
 * with full answers, as benchmark tools do; otherwise first answers have random lengths, as if they had run forever.
 */
export function closedLoad(
  { isl, osl }: FixedLengths,
  { userCount, turnCount, seed, inStep }: ClosedUsers,
): SimLoad {
  return {
    label: `closed loop, ${userCount} user${userCount === 1 ? '' : 's'}${inStep && userCount > 1 ? ' that begin at once' : ''}, ${isl}/${osl} tokens`,
    notes: [],
    *clients() {
      const random = new Random(seed);
      let id = 0;
      let left = turnCount;
      function* turns(firstOutput: number): Generator<SimTurn> {
        yield { gapMs: 0, prompt: [id++, isl], outputTokens: firstOutput };
        while (left-- > 0) yield { gapMs: 0, prompt: [id++, isl], outputTokens: osl };
      }
      for (let user = 0; user < userCount; user++) {
        yield { atMs: 0, turns: turns(inStep ? osl : random.integer(1, osl)) };
      }
    },
  };
}

/** `requestCount` requests, all of them at once. */
export function burstLoad({ isl, osl }: FixedLengths, requestCount: number): SimLoad {
  return {
    label: `${requestCount} requests at once, until the last has ended, ${isl}/${osl} tokens`,
    notes: [],
    *clients() {
      for (let id = 0; id < requestCount; id++) yield { atMs: 0, turns: oneTurn([id, isl], osl) };
    },
  };
}

export interface ClosedUsers {
  readonly userCount: number;
  readonly turnCount: number;
  readonly seed: number;
  readonly inStep: boolean;
}

/** `requestCount` requests at random times, `perSecond` on average. */
export function poissonLoad(
  { isl, osl }: FixedLengths,
  {
    perSecond,
    requestCount,
    seed,
  }: { readonly perSecond: number; readonly requestCount: number; readonly seed: number },
): SimLoad {
  return {
    label: `Poisson, ${perSecond} requests/s, ${isl}/${osl} tokens`,
    notes: [],
    *clients() {
      const random = new Random(seed);
      let atMs = 0;
      for (let id = 0; id < requestCount; id++) {
        atMs += (-Math.log(1 - random.next()) * 1000) / perSecond;
        yield { atMs, turns: oneTurn([id, isl], osl) };
      }
    },
  };
}

/** A client that asks once. */
export function oneTurn(prompt: readonly number[], outputTokens: number): Iterator<SimTurn> {
  let given = false;
  return {
    next() {
      if (given) return { done: true, value: undefined };
      given = true;
      return { done: false, value: { gapMs: 0, prompt, outputTokens } };
    },
  };
}
