import { expect, test } from 'vitest';
import { type Arm, compare, playCell } from '../../peer/contest.ts';
import { blessed, type CommittedRatios, judge } from '../../peer/gate.ts';
import { findProgram, readBench } from '../../peer/llama-bench.ts';
import { type Leg, noiseTokens, type Task } from '../../peer/side.ts';

function leg(restMs: number): Leg {
  return { firstMs: 1, restMs, restTokens: 4, tokens: [1, 2, 3, 4, 5], accepted: 2, rejected: 1 };
}

test('arms are visited there and back, warm-ups do not count, and ratios tell how much faster the first one is', async () => {
  const order: string[] = [];
  const arm = (name: string, restMs: number): Arm => ({
    name,
    task: (visit): Task => ({ kind: 'prefill', count: 1, seed: visit }),
    play: async (task) => {
      order.push(`${name}${task.kind === 'prefill' ? task.seed : ''}`);
      return leg(restMs);
    },
  });
  const arms = [arm('a', 10), arm('b', 20), arm('c', 5)];
  const { against, arms: times } = await playCell({
    ...{ name: 'cell', arms, blocks: 2, secondsMax: 60, warmUps: 1, timeMs: ({ restMs }) => restMs },
  });
  expect(order.join(' ')).toBe('a0 b0 c0 a1 b1 c1 c2 b2 a2 a3 b3 c3 c4 b4 a4');
  expect(against['b']!.speedup).toBeCloseTo(2);
  expect(against['c']!.speedup).toBeCloseTo(0.5);
  expect(against['b']!.interval).toEqual({ low: 2, high: 2 });
  expect(times['a']).toMatchObject({ ms: [10, 10, 10, 10], tokens: 20, accepted: 8, rejected: 4 });
});

test('one block has no interval', () => {
  expect(compare([1, 1], [2, 8])).toEqual({ speedup: expect.closeTo(4), interval: null, blocks: 1 });
});

const committed: CommittedRatios = { tolerance: 0.2, machine: 'there', ratios: { cell: { b: 2 } } };

function resultOf(theirs: readonly number[]) {
  return { cell: { arms: {}, against: { b: compare([1, 1, 1, 1], theirs) } } };
}

test('a ratio passes within the tolerance, or when its interval reaches it, and fails otherwise', () => {
  expect(judge(resultOf([1.7, 1.7, 1.7, 1.7]), committed)).toMatchObject([{ passes: true, committed: 2 }]);
  expect(judge(resultOf([1.2, 1.2, 1.8, 1.8]), committed)).toMatchObject([{ passes: true }]);
  expect(judge(resultOf([1.5, 1.5, 1.5, 1.5]), committed)).toMatchObject([{ passes: false }]);
});

test('a new cell passes, and is committed beside the old ones when blessed', () => {
  const results = { other: resultOf([3, 3, 3, 3]).cell };
  expect(judge(results, committed)).toMatchObject([{ cell: 'other', committed: null, passes: true }]);
  expect(blessed(committed, results, 'here')).toEqual({
    ...{ tolerance: 0.2, machine: 'here', ratios: { cell: { b: 2 }, other: { b: 3 } } },
  });
});

test('llama-bench is looked for on the PATH, and its JSON is the time of all tokens', () => {
  expect(findProgram('node', process.execPath.replace(/[^/\\]*$/, ''))).toBe(process.execPath);
  expect(findProgram('no-such-program')).toBeNull();
  const decode = { kind: 'decode', context: 128, count: 17 } as const;
  expect(readBench(decode, '[{"avg_ns": 8000000}]')).toMatchObject({ restMs: 8, restTokens: 16 });
  expect(readBench({ kind: 'prefill', count: 512, seed: 1 }, '[{"avg_ns": 8e6}]')).toMatchObject({
    firstMs: 8,
  });
  expect(() => readBench(decode, '[]')).toThrow('llama-bench answered []');
});

test('noise is the same for every side and made of ordinary tokens', () => {
  expect(noiseTokens(7, 100)).toEqual(noiseTokens(7, 100));
  expect(noiseTokens(8, 100)).not.toEqual(noiseTokens(7, 100));
  expect(noiseTokens(7, 1000).every((id) => id >= 0 && id < 8000)).toBe(true);
});
