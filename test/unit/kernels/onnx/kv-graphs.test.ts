// The two graphs that copy KV within a device, on the cpu, where what they do can be looked at.
import { afterAll, expect, test } from 'vitest';
import { scatterGraph, sliceGraph } from '../../../../kernels/onnx/kv-graphs.ts';
import { openSessionOf } from '../../../../kernels/onnx/ort.ts';

const sizes = { layerCount: 1, kvHeadCount: 2, headSize: 4 };
const [seats, capacity] = [3, 6];
const seatLength = sizes.kvHeadCount * capacity * sizes.headSize;
const options = { intraOpThreads: 1, spinning: false };
const slice = openSessionOf(sliceGraph(sizes), options);
const scatter = openSessionOf(scatterGraph(sizes), options);
afterAll(() => {
  slice.release();
  scatter.release();
});

const numbered = (start: number) => Float32Array.from({ length: seats * seatLength }, (_, i) => start + i);
const at = (seat: number, head: number, token: number) =>
  ((seat * sizes.kvHeadCount + head) * capacity + token) * sizes.headSize;

test('a slice is the tokens of one seat, of every head', () => {
  const from = [numbered(0), numbered(1000)];
  const to = from.map(() => new Float32Array(2 * 3 * 4));
  const shape = [seats, 2, capacity, 4];
  const binding = slice.bind(
    [
      { name: 'starts', data: BigInt64Array.of(1n, 2n), shape: [2] },
      { name: 'ends', data: BigInt64Array.of(2n, 5n), shape: [2] },
      ...from.map((data, array) => ({ name: `from.${array}`, data, shape })),
    ],
    to.map((data, array) => ({ name: `to.${array}`, data, shape: [1, 2, 3, 4] })),
  );
  binding.run();
  for (const [array, taken] of to.entries())
    for (const head of [0, 1])
      for (const token of [2, 3, 4]) {
        const place = at(1, head, token);
        expect([...taken.subarray((head * 3 + token - 2) * 4, (head * 3 + token - 1) * 4)]).toEqual([
          ...from[array]!.subarray(place, place + 4),
        ]);
      }
});

test('a scatter changes those rows in place and no others', () => {
  const into = [numbered(0), numbered(1000)];
  const before = into.map((array) => array.slice());
  const piece = into.map(() => Float32Array.from({ length: 2 * 2 * 4 }, (_, i) => -1 - i));
  const rows = Int32Array.from([0, 1].flatMap((head) => [3, 4].map((token) => at(2, head, token) / 4)));
  const whole = [(seats * seatLength) / 4, 4];
  const memory = into.map((data, array) => ({ name: `into.${array}`, data, shape: whole }));
  const binding = scatter.bind(
    [
      { name: 'rows', data: rows, shape: [4, 1] },
      ...piece.map((data, array) => ({ name: `piece.${array}`, data, shape: [4, 4] })),
      ...memory,
    ],
    memory.map((each) => ({ ...each, name: `${each.name}.after` })),
  );
  binding.run();
  for (const [array, after] of into.entries()) {
    const expected = before[array]!;
    for (const [index, row] of rows.entries())
      expected.set(piece[array]!.subarray(index * 4, index * 4 + 4), row * 4);
    expect(after).toEqual(expected);
  }
});
