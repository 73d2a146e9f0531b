// How often a guess is right by what stands behind it: the tokens that agree before its place, how the places are divided, and
// how many guesses before it were right already. Measured on agents' turns (test/bench/agent-turns.bench.ts: 50,000 tokens of 20
// sessions, which that bench's figures are of, too: docs/lab/llama-cpp.md), rounded, and evened out where few were seen.
// Pure. Used by drafter.ts.
import { type Accord, accords, type BorneOut } from './borne-out.ts';

// [tokens before the place][first guess; second to fourth; later][accord], in the order of accords
const chances: readonly (readonly (readonly number[])[])[] = [
  [
    [0.85, 0.66, 0.48, 0.66, 0.58, 0.4, 0.25], // 2 and 3
    [0.95, 0.81, 0.7, 0.8, 0.67, 0.49, 0.31],
    [0.98, 0.92, 0.86, 0.85, 0.78, 0.54, 0.39],
  ],
  [
    [0.91, 0.8, 0.63, 0.79, 0.65, 0.53, 0.36], // 4 to 7
    [0.93, 0.87, 0.8, 0.83, 0.7, 0.59, 0.44],
    [0.96, 0.95, 0.89, 0.85, 0.7, 0.58, 0.38],
  ],
  [
    [0.94, 0.85, 0.77, 0.78, 0.75, 0.57, 0.47], // 8 to 15
    [0.97, 0.95, 0.84, 0.86, 0.78, 0.64, 0.5],
    [0.98, 0.96, 0.91, 0.85, 0.79, 0.61, 0.6],
  ],
  [
    [0.97, 0.9, 0.82, 0.93, 0.9, 0.65, 0.5], // 16 to 31
    [0.99, 0.97, 0.94, 0.95, 0.94, 0.72, 0.7],
    [0.99, 0.96, 0.95, 0.93, 0.84, 0.69, 0.6],
  ],
  [
    [0.99, 0.98, 0.93, 0.98, 0.93, 0.8, 0.8], // 32 and more
    [0.995, 0.99, 0.97, 0.97, 0.96, 0.84, 0.8],
    [0.998, 0.99, 0.97, 0.97, 0.96, 0.86, 0.8],
  ],
];

const orderOf = new Map<Accord, number>(accords.map((accord, order) => [accord, order]));

/** [tokens] each guess's own chance, those before it being right. */
export function chancesOf({ lengths, accords: found }: BorneOut): Float64Array {
  return Float64Array.from(found, (accord, index) => {
    const row = chances[lengthClass(lengths[index]!)]!;
    return row[index === 0 ? 0 : index < 4 ? 1 : 2]![orderOf.get(accord)!]!;
  });
}

/** 0 to 4: of 2, 4, 8, 16, 32 tokens and more. */
export function lengthClass(length: number): number {
  if (length < 4) return 0;
  if (length < 8) return 1;
  if (length < 16) return 2;
  return length < 32 ? 3 : 4;
}
