import { expect, test } from 'vitest';
import { attendedTokensPerRow, groupRows, RunList, runCost } from '../../../../kernels/onnx/row-groups.ts';

const slotCount = 8;
const slotTokensMax = 4096;

/** Runs as [slotStart, slotCount, tokenCount]; rows as [slot, tokenCount]; what the other seats hold. */
function runsOf(rows: readonly (readonly [number, number])[], held: Readonly<Record<number, number>> = {}) {
  const list = new RunList(slotCount);
  const computedCounts = Int32Array.from({ length: slotCount }, (_, slot) => held[slot] ?? 0);
  const planned = rows.map(([slot, count]) => ({ slot, tokens: new Int32Array(count) }));
  groupRows(planned, { computedCounts, slotTokensMax }, list);
  return list.runs.slice(0, list.count).map((run) => [run.slotStart, run.slotCount, run.tokenCount]);
}

test('neighbouring decode rows are one run, in seat order whatever the order of the plan', () => {
  expect(
    runsOf([
      [3, 1],
      [1, 1],
      [2, 1],
    ]),
  ).toEqual([[1, 3, 1]]);
});

test('a gap is filled while that is cheaper than another run', () => {
  expect(
    runsOf([
      [0, 1],
      [2, 1],
    ]),
  ).toEqual([[0, 3, 1]]);
  const filled = Math.floor(runCost);
  expect(
    runsOf([
      [0, 1],
      [filled + 1, 1],
    ]),
  ).toEqual([[0, filled + 2, 1]]);
  expect(
    runsOf([
      [0, 1],
      [filled + 2, 1],
    ]),
  ).toEqual([
    [0, 1, 1],
    [filled + 2, 1, 1],
  ]);
});

test('a seat that holds much makes its gap dear', () => {
  const much = Math.ceil(attendedTokensPerRow * runCost);
  expect(
    runsOf(
      [
        [0, 1],
        [2, 1],
      ],
      { 1: much },
    ),
  ).toEqual([
    [0, 1, 1],
    [2, 1, 1],
  ]);
  expect(
    runsOf(
      [
        [0, 1],
        [2, 1],
      ],
      { 0: much, 2: much },
    ),
  ).toEqual([[0, 3, 1]]);
});

test('a full seat is never filled, however short it is', () => {
  const list = new RunList(3);
  const rows = [0, 2].map((slot) => ({ slot, tokens: new Int32Array(1) }));
  groupRows(rows, { computedCounts: Int32Array.of(4, 16, 4), slotTokensMax: 16 }, list);
  expect(list.count).toBe(2);
});

test('chunks run alone and after the decode rows, in the order of the plan', () => {
  expect(
    runsOf([
      [5, 16],
      [0, 1],
      [2, 4],
      [1, 1],
    ]),
  ).toEqual([
    [0, 2, 1],
    [5, 1, 16],
    [2, 1, 4],
  ]);
});

test('the seat of a chunk may lie in a gap of the decode rows', () => {
  const list = new RunList(slotCount);
  const rows = [
    [1, 16],
    [0, 1],
    [2, 1],
  ].map(([slot, n]) => ({ slot: slot!, tokens: new Int32Array(n!) }));
  groupRows(rows, { computedCounts: new Int32Array(slotCount), slotTokensMax }, list);
  expect(list.runs.slice(0, list.count)).toMatchObject([
    { slotStart: 0, slotCount: 3, tokenCount: 1 },
    { slotStart: 1, slotCount: 1, tokenCount: 16 },
  ]);
  expect([...list.rowBySlot.slice(0, 3)]).toEqual([1, -1, 2]);
});

test('where runs begin at the first seat there is one of several seats, as far as no full seat ends it', () => {
  const list = new RunList(5);
  const rows = [1, 2, 4].map((slot) => ({ slot, tokens: new Int32Array(1) }));
  const runs = (counts: number[]) => {
    groupRows(rows, { computedCounts: Int32Array.from(counts), slotTokensMax: 16, fromFirst: true }, list);
    return list.runs.slice(0, list.count).map((run) => [run.slotStart, run.slotCount, run.tokenCount]);
  };
  expect(runs([3, 4, 4, 9, 5])).toEqual([[0, 5, 1]]);
  expect(runs([3, 4, 4, 16, 5])).toEqual([
    [0, 3, 1],
    [4, 1, 1],
  ]);
  expect(runs([16, 4, 4, 9, 5])).toEqual([
    [1, 1, 1],
    [2, 1, 1],
    [4, 1, 1],
  ]);
});
