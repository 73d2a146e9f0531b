// One cell of the contest: the same task for every arm, there and back again (A B C C B A), block after block, so that a
// machine that drifts meets all of them alike. What is told is the ratio of times, with an interval over blocks.
import { Random } from '../../kernels/random.ts';
import type { Interval } from '../../loadtest/statistics/bootstrap.ts';
import { pairedRatio } from '../../loadtest/statistics/paired-ratio.ts';
import type { Leg, Task } from './side.ts';

/** One contestant of a cell: an engine, or one way of using it. */
export interface Arm {
  readonly name: string;
  readonly play: (task: Task) => Promise<Leg>;
  readonly task: (visit: number) => Task; // visits count from 0; equal for all arms of a cell
}

export interface Cell {
  readonly name: string;
  readonly arms: readonly Arm[]; // the first is compared with each of the others
  readonly blocks: number; // of two visits each, at most
  readonly secondsMax: number; // no block begins later, but for the second one
  readonly warmUps: number; // visits before the first block
  readonly timeMs: (leg: Leg) => number;
}

export interface ArmTimes {
  readonly ms: readonly number[]; // by visit
  readonly tokens: number; // of all visits
  readonly accepted: number;
  readonly rejected: number;
  readonly processorMs?: readonly number[]; // by visit, of the whole leg, where sides say it
}

export interface Comparison {
  readonly speedup: number; // their time / ours, geometric mean: above 1, the first arm is faster
  readonly interval: Interval | null; // 95 %; null with fewer than two blocks
  readonly blocks: number;
}

export interface CellResult {
  readonly arms: Readonly<Record<string, ArmTimes>>;
  readonly against: Readonly<Record<string, Comparison>>; // by name of the other arm
}

// Threads that spun for their last step must have given up before another engine is timed: ONNX Runtime's and
// llama.cpp's both sleep within some tens of milliseconds.
const settleMs = 120;

export async function playCell(cell: Cell): Promise<CellResult> {
  const times = new Map(
    cell.arms.map(({ name }) => [
      name,
      { ms: [] as number[], tokens: 0, accepted: 0, rejected: 0, processorMs: [] as number[] },
    ]),
  );
  const visit = async (order: readonly Arm[], at: number, counts: boolean) => {
    for (const arm of order) {
      const leg = await arm.play(arm.task(at));
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      if (!counts) continue;
      const own = times.get(arm.name)!;
      own.ms.push(cell.timeMs(leg));
      own.tokens += leg.tokens.length;
      own.accepted += leg.accepted;
      own.rejected += leg.rejected;
      if (leg.processorMs !== undefined) own.processorMs.push(leg.processorMs);
    }
  };
  for (let at = 0; at < cell.warmUps; at++) await visit(cell.arms, at, false);
  const endMs = performance.now() + cell.secondsMax * 1000;
  for (let block = 0; block < cell.blocks && (block < 2 || performance.now() < endMs); block++) {
    await visit(cell.arms, cell.warmUps + 2 * block, true);
    await visit(cell.arms.toReversed(), cell.warmUps + 2 * block + 1, true);
  }
  return { arms: Object.fromEntries(times), against: compared(cell.arms, times) };
}

function compared(arms: readonly Arm[], times: ReadonlyMap<string, { readonly ms: readonly number[] }>) {
  const [first, ...others] = arms;
  const ours = times.get(first!.name)!.ms;
  const comparisons = others.map(({ name }): [string, Comparison] => {
    const theirs = times.get(name)!.ms;
    return [name, compare(ours, theirs)];
  });
  return Object.fromEntries(comparisons);
}

/** Two visits a block, in the order they were made. */
export function compare(ours: readonly number[], theirs: readonly number[]): Comparison {
  const blocks = Array.from({ length: ours.length / 2 }, (_, block) =>
    [2 * block, 2 * block + 1].map((at) => ({ a: theirs[at]!, b: ours[at]! })),
  );
  const { ratio, interval } = pairedRatio(blocks, new Random(1))!;
  return { speedup: ratio, interval, blocks: blocks.length };
}
