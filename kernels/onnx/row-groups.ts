// Rows of a step → runs of the graph. ONNX Runtime decodes many sequences at once only where their seats are
// neighbours, and takes a chunk of n > 1 tokens only alone. Pure arithmetic; knows no tensors. Before it:
// backend.ts with a plan; after it: step-frame.ts, which carries the runs to the worker.
import assert from 'node:assert/strict';
import type { StepRow } from '../backend.ts';

// What a gap costs, in units of one more row in a decode run: the seats between two decode rows can be filled with
// rows that compute nothing of use, or the run can be split. Splitting costs another run; filling costs one row per
// seat and its attention over what the seat holds. Measured on spark-nano at w8a8 (docs/lab/cpu-device.md): a
// run 540 µs, a row 140 µs, a token of context 1.5 µs. Larger models have dearer runs (12 rows at 0.5 B); for them
// this splits too early, which costs time but nothing else.
export const runCost = 4; // of starting another run
export const attendedTokensPerRow = 100; // tokens whose attention costs as much as the rest of a row

/** `slotCount` neighbouring seats from `slotStart`, all with one token, or one seat with a chunk. */
export interface Run {
  slotStart: number;
  slotCount: number;
  tokenCount: number; // per seat
}

/** The runs of one step, in the order they are computed. Reused from step to step, so that planning allocates nothing. */
export class RunList {
  readonly runs: readonly Run[]; // the first `count` are in use
  readonly rowBySlot: Int32Array; // [slotCount] index of the seat's row of one token, −1: none
  count = 0;

  constructor(slotCount: number) {
    this.runs = Array.from({ length: slotCount }, () => ({ slotStart: 0, slotCount: 0, tokenCount: 0 }));
    this.rowBySlot = new Int32Array(slotCount);
  }

  add(slotStart: number, slotCount: number, tokenCount: number): void {
    const run = this.runs[this.count++];
    assert(run, 'more runs than seats');
    run.slotStart = slotStart;
    run.slotCount = slotCount;
    run.tokenCount = tokenCount;
  }
}

/** What seats hold, and how runs may be cut. */
export interface SeatedTokens {
  readonly computedCounts: Int32Array;
  readonly slotTokensMax: number;
  readonly fromFirst?: boolean; // several seats run together from the first on only (device-seats.ts)
}

/**
 * Decode runs first, in seat order; then each chunk in plan order. Between two decode rows, the seats that are not
 * decoding are filled if that costs no more than `runCost`; gaps are independent of each other, so filling the cheap
 * ones is the cheapest of all splits. A seat that is full has no position to write to and always splits. Where runs of
 * several seats begin at the first (`fromFirst`), there is one, as long as no full seat ends it, and the rest run alone.
 */
export function groupRows(
  rows: readonly Pick<StepRow, 'slot' | 'tokens'>[],
  seats: SeatedTokens,
  list: RunList,
): void {
  list.count = 0;
  list.rowBySlot.fill(-1);
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index]!;
    if (row.tokens.length === 1) list.rowBySlot[row.slot] = index;
  }
  if (seats.fromFirst) addRunFromFirst(seats, list);
  else addDecodeRuns(seats, list);
  for (let index = 0; index < rows.length; index++) {
    const { slot, tokens } = rows[index]!;
    if (tokens.length > 1) list.add(slot, 1, tokens.length);
  }
}

function addRunFromFirst({ computedCounts, slotTokensMax }: SeatedTokens, list: RunList): void {
  let end = 0; // past the last decode row that no full seat cuts off
  let isCut = false;
  for (let slot = 0; slot < list.rowBySlot.length; slot++) {
    if (list.rowBySlot[slot] === -1) isCut ||= computedCounts[slot]! >= slotTokensMax;
    else if (!isCut) end = slot + 1;
  }
  if (end > 0) list.add(0, end, 1);
  for (let slot = end; slot < list.rowBySlot.length; slot++)
    if (list.rowBySlot[slot] !== -1) list.add(slot, 1, 1);
}

function addDecodeRuns({ computedCounts, slotTokensMax }: SeatedTokens, list: RunList): void {
  let start = -1; // of the open run
  let end = 0; // past its last decode row
  let gapCost = 0; // of the seats since then
  for (let slot = 0; slot < list.rowBySlot.length; slot++) {
    if (list.rowBySlot[slot] === -1) {
      const attended = computedCounts[slot]!;
      gapCost += attended >= slotTokensMax ? Number.POSITIVE_INFINITY : 1 + attended / attendedTokensPerRow;
      continue;
    }
    if (start !== -1 && gapCost > runCost) {
      list.add(start, end - start, 1);
      start = -1;
    }
    if (start === -1) start = slot;
    end = slot + 1;
    gapCost = 0;
  }
  if (start !== -1) list.add(start, end - start, 1);
}
