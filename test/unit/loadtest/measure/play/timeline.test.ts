// The metric formulas, against timelines worked out by hand.
import { expect, test } from 'vitest';
import { isGood } from '../../../../../loadtest/measure/play/slo.ts';
import { Timeline } from '../../../../../loadtest/measure/play/timeline.ts';
import { type Delta, plainEnd } from '../../../../../loadtest/measure/wires/target.ts';

const tokens = (count: number | null, text = 'x', reasoning = false): Delta => ({
  text,
  count,
  index: null,
  reasoning,
});
const ended = (outputTokens: number | null) => ({ ...plainEnd('ok'), outputTokens });

test('an answer of three bursts has the latencies that one computes by hand', () => {
  const timeline = new Timeline(100, 103); // meant for 100, dispatched at 103
  timeline.sentMs = 105;
  timeline.add(150, tokens(2), null); // two tokens at 150
  timeline.add(180, tokens(1), null); // one at 180
  timeline.add(260, tokens(3), null); // three at 260
  timeline.end(262, ended(6));
  expect(timeline.measures()).toEqual({
    ttftMs: 50, // 150 − 100
    ttftFromSentMs: 45, // 150 − 105
    ttfoMs: 50,
    tpotMs: 22, // (260 − 150) / 5
    e2eMs: 162,
    stallMs: 80, // 260 − 180
    dispatchLagMs: 3,
    wireLagMs: 2,
    tokenCount: 6,
    burstCount: 3,
    countedBy: 'server-stamps',
    stopToSilenceMs: null,
    wastedTokens: null,
  });
  const gaps: number[][] = [];
  timeline.eachGap((gapMs, count, atMs) => gaps.push([gapMs, count, atMs]));
  expect(gaps).toEqual([
    [30, 1, 180],
    [80, 3, 260],
  ]);
  expect(timeline.firstBurstTokens).toBe(2);
});

test('ITL per token sums to the time between first and last token', () => {
  const timeline = new Timeline(0, 0);
  for (const [atMs, count] of [
    [10, 1],
    [25, 4],
    [70, 2],
  ] as const) {
    timeline.add(atMs, tokens(count), null);
  }
  timeline.end(70, ended(7));
  let sum = 0;
  timeline.eachGap((gapMs) => {
    sum += gapMs;
  });
  expect(sum).toBe(60);
  expect(timeline.measures().tpotMs).toBe(10); // 60 / 6
});

test('frames of one read are one burst, however many they are', () => {
  const timeline = new Timeline(0, 0);
  timeline.add(10, tokens(1), null);
  timeline.add(10.03, tokens(1), null);
  timeline.add(10.09, tokens(1), null);
  timeline.add(10.5, tokens(1), null);
  timeline.end(11, ended(4));
  expect(timeline.measures()).toMatchObject({ burstCount: 2, tokenCount: 4, stallMs: 0.5 });
});

test('reasoning counts for TTFT and not for TTFO', () => {
  const timeline = new Timeline(0, 0);
  timeline.add(30, tokens(1, 'hm', true), null);
  timeline.add(90, tokens(1, 'answer'), null);
  timeline.end(90, ended(2));
  expect(timeline.measures()).toMatchObject({ ttftMs: 30, ttfoMs: 90 });
});

test('chunks without counts share the server’s total by their length', () => {
  const timeline = new Timeline(0, 0);
  timeline.add(10, tokens(null, 'ab'), null);
  timeline.add(20, tokens(null, 'abcdefgh'), null);
  timeline.add(30, tokens(null, 'ab'), null);
  timeline.end(31, ended(12)); // 3 chunks, 9 tokens to spread over 12 characters
  const counts: number[] = [];
  timeline.eachGap((_, count) => counts.push(count));
  expect([timeline.firstBurstTokens, ...counts]).toEqual([3, 7, 2]); // 1 + round(1.5), 1 + (round(7.5) − 2), 1 + 1
  expect(timeline.measures()).toMatchObject({ countedBy: 'usage-spread', tokenCount: 12 });
});

test('without any count a chunk is taken as a token, and says so', () => {
  const timeline = new Timeline(0, 0);
  timeline.add(10, tokens(null, ' word'), null);
  timeline.add(20, tokens(null, 'x'), null);
  timeline.end(20, ended(null));
  expect(timeline.measures()).toMatchObject({ countedBy: 'chunks', tokenCount: 2 });
});

test('chunks that arrive together are a token each', () => {
  const timeline = new Timeline(0, 0);
  for (const startMs of [10, 110, 210, 310])
    for (let at = 0; at < 5; at++) timeline.add(startMs + at * 0.01, tokens(null, ' abc'), null);
  timeline.end(311, ended(null));
  const { countedBy, tokenCount, tpotMs } = timeline.measures();
  expect({ countedBy, tokenCount }).toEqual({ countedBy: 'chunks', tokenCount: 20 });
  expect(tpotMs).toBeCloseTo(300 / 19, 6);
});

test.each([
  ['several words', [' one two', ' three four', ' five']],
  ['far more text than a token has', ['function', 'Implementations', 'getUserAccount']],
])('a chunk of %s is no token: how many there are is unknown', (_, chunks) => {
  const timeline = new Timeline(0, 0);
  for (const [at, text] of chunks.entries()) timeline.add(10 * (at + 1), tokens(null, text), null);
  timeline.end(31, ended(null));
  expect(timeline.measures()).toMatchObject({
    countedBy: 'unknown',
    tokenCount: null,
    tpotMs: null,
    stallMs: 10,
  });
});

test('the server’s total is the count, however the chunks are cut', () => {
  for (const total of [2, 3, 50]) {
    const timeline = new Timeline(0, 0);
    for (let at = 0; at < 7; at++) timeline.add(10 * at, tokens(null, at === 3 ? '' : 'ab '), null);
    timeline.end(70, ended(total));
    expect(timeline.measures()).toMatchObject({ countedBy: 'usage-spread', tokenCount: total });
  }
});

test('a tokenizer of ours counts the text where the server does not', () => {
  const timeline = new Timeline(0, 0);
  timeline.add(10, tokens(null, 'several words here'), 3);
  timeline.end(20, ended(99));
  expect(timeline.measures()).toMatchObject({ countedBy: 'tokenizer', tokenCount: 3, tpotMs: 0 });
});

test('an interrupted answer tells how long it went on, and how much of it was wasted', () => {
  const timeline = new Timeline(0, 0);
  timeline.add(10, tokens(4), null);
  timeline.interrupt(12);
  timeline.add(20, tokens(2), null);
  timeline.add(27, tokens(1), null);
  timeline.end(30, { ...plainEnd('interrupted'), outputTokens: 9 });
  expect(timeline.measures()).toMatchObject({ stopToSilenceMs: 15, wastedTokens: 5 }); // 27 − 12, 9 − 4
});

test('silence at once is zero, and an answer without tokens has no latencies', () => {
  const silent = new Timeline(0, 0);
  silent.add(10, tokens(1), null);
  silent.interrupt(11);
  silent.end(12, plainEnd('interrupted'));
  expect(silent.measures()).toMatchObject({ stopToSilenceMs: 0, wastedTokens: 0 });
  const empty = new Timeline(5, 5);
  empty.end(9, plainEnd('error'));
  expect(empty.measures()).toMatchObject({
    ttftMs: null,
    tpotMs: null,
    stallMs: null,
    e2eMs: 4,
    tokenCount: 0,
  });
});

test('only complete answers inside every bound are good', () => {
  const timeline = new Timeline(0, 0);
  timeline.add(100, tokens(1), null);
  timeline.add(300, tokens(1), null);
  timeline.end(300, ended(2));
  const measures = timeline.measures();
  expect(isGood('ok', measures, [{ metric: 'ttft', msMax: 100 }])).toBe(true);
  expect(isGood('ok', measures, [{ metric: 'stall', msMax: 199 }])).toBe(false);
  for (const outcome of ['error', 'rejected', 'truncated', 'unfinished'] as const) {
    expect(isGood(outcome, measures, [])).toBe(false);
  }
});
