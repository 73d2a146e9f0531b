// Guessing ahead, counted instead of timed: an answer that is known is drawn token by token with guesses, at costs of a row that are
// given. Used by agent-turns.bench.ts and edit-turns.bench.ts.
import { Drafter } from '../../server/engine/drafter.ts';
import type { RememberedAnswers } from '../../server/engine/request.ts';
import { Speculation } from '../../server/engine/speculation.ts';

const guessesMax = 16; // of a step, as the server has it
/** Milliseconds of a row of so many tokens (SmolLM2-135M at int8 on two threads); what lies between is nearly straight. */
export const measured: ReadonlyMap<number, number> = new Map([
  [1, 6],
  [2, 6.4],
  [4, 7.2],
  [8, 9.2],
  [16, 13],
]);

/** The same in steps of one token, by ONNX Runtime's operators on one thread, of rows of up to 9 as docs/lab/precision.md has them; up to 17 along their last slope. */
export const ways: Readonly<Record<string, ReadonlyMap<number, number>>> = {
  'computed together': new Map(pairs(1, 1.2, 1.8, 2.3, 3.3)),
  'each as if alone, behind 60': new Map(pairs(1, 1.35, 2.02, 2.63, 3.85)),
  'each as if alone, behind 200': new Map(pairs(1, 1.7, 2.44, 3.49, 5.6)),
  'each as if alone, behind 900': new Map(pairs(1, 2.08, 3.63, 5.43, 9)),
  'over int8 KV': new Map(pairs(1, 1.11, 1.74, 2.3, 3.3)),
  // Operators of our own on Zen 3 (docs/lab/own-kernels.md), whose single token is cheaper, so that rows are dearer in these steps.
  'our own, int8': new Map(pairs(1, 1, 1.4, 2.12, 3.54)),
  'our own, as stored': new Map(pairs(1, 1.01, 1.84, 3.08, 5.45)),
};

/** Costs of rows of 1, 2, 5, 9 and 17. */
function pairs(
  ...costs: readonly [number, number, number, number, number]
): readonly (readonly [number, number])[] {
  return [1, 2, 5, 9, 17].map((count, index) => [count, costs[index]!] as const);
}

/** One answer that is to be drawn. */
export interface CountedTurn {
  readonly prompt: Int32Array;
  readonly answer: Int32Array;
  readonly prediction?: Int32Array | null;
}

export interface CountedResult {
  readonly way: string;
  readonly tokensPerStep: number;
  readonly speedup: number;
  readonly right: number;
  readonly wrong: number;
}

export function played<T extends CountedTurn>(
  way: string,
  turns: readonly T[],
  costs: ReadonlyMap<number, number>,
  rememberedBefore: (turn: T) => RememberedAnswers | null = () => null,
): CountedResult {
  const rowMs = interpolated(costs);
  const sum = { steps: 0, tokens: 0, ms: 0, right: 0, wrong: 0 };
  for (const turn of turns) {
    const { prompt, answer, prediction = null } = turn;
    const tokens = Int32Array.of(...prompt, ...answer);
    const drafter = new Drafter(prediction, rememberedBefore(turn));
    const speculation = new Speculation();
    let count = prompt.length + 1; // the first comes with the prompt
    while (count < tokens.length) {
      const room = Math.min(guessesMax, rowMs.length - 1, tokens.length - count - 1);
      const draft = room < 1 ? null : drafter.draft(tokens, { count, promptCount: prompt.length }, room);
      const guesses =
        draft === null
          ? 0
          : speculation.worthwhileCount(
              draft,
              { decodeMs: rowMs, rowMs },
              { decodingCount: 1, contextTokens: 0 },
            ) || speculation.probeCount(draft, count - prompt.length);
      let right = 0;
      while (right < guesses && draft!.tokens[right] === tokens[count + right]) right++;
      if (guesses > 0) speculation.learn(draft!, { count: guesses, accepted: right });
      count += right + 1;
      sum.steps++;
      sum.tokens += right + 1;
      sum.ms += rowMs[guesses]!;
      sum.right += right;
      sum.wrong += guesses - right;
    }
  }
  const { steps, tokens, ms, right, wrong } = sum;
  return { way, tokensPerStep: tokens / steps, speedup: (tokens * rowMs[0]!) / ms, right, wrong };
}

function interpolated(costs: ReadonlyMap<number, number>): number[] {
  const points = [...costs];
  const [first] = points;
  const values = [first![1]];
  for (const [index, [end, endMs]] of points.entries()) {
    if (index === 0) continue;
    const [start, startMs] = points[index - 1]!;
    for (let count = start + 1; count <= end; count++)
      values.push(startMs + ((endMs - startMs) * (count - start)) / (end - start));
  }
  return values;
}

export function printCounted(results: readonly CountedResult[] | null): void {
  if (results === null) console.log('skipped: no ../shared/data');
  else
    console.table(
      results.map(({ way, tokensPerStep, speedup, right, wrong }) => ({
        way,
        'tokens a step': tokensPerStep.toFixed(2),
        'times one by one': speedup.toFixed(2),
        'guesses right': right,
        wrong,
      })),
    );
}
