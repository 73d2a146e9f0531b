import { expect, test } from 'vitest';
import { AnswerMemory } from '../../../server/engine/answer-memory.ts';
import { Drafter } from '../../../server/engine/drafter.ts';
import { Speculation } from '../../../server/engine/speculation.ts';
import { TokenIndex } from '../../../server/engine/token-index.ts';

const tokens = (...values: number[]) => Int32Array.from(values);
const matched = (source: 'match of 2' | 'match of 16', chance: number, count: number) => ({
  source,
  tokens: Int32Array.from({ length: count }, (_, index) => index + 1),
  chances: new Float64Array(count).fill(chance),
});
const flat = { decodeMs: [1, 1.1, 1.2, 1.3], rowMs: [1, 1.05, 1.1, 1.15, 1.2, 1.25] };
const steep = { decodeMs: [1, 1.1, 1.2, 1.3], rowMs: [1, 2, 3, 4, 5, 6] };

test('the end of a text is found where it stood before, at the latest place', () => {
  const text = tokens(1, 2, 3, 9, 1, 2, 4, 8, 1, 2);
  const index = new TokenIndex();
  index.extend(text, text.length);
  expect(index.find(text, text, text.length)).toEqual({ next: 6, length: 2 });
});

test('a longer match is preferred to a later one', () => {
  const text = tokens(5, 6, 1, 2, 7, 1, 2, 8, 5, 6, 1, 2);
  const index = new TokenIndex();
  index.extend(text, text.length);
  expect(index.find(text, text, text.length)).toEqual({ next: 4, length: 4 });
});

test('a text without repetition gives no match, whatever the hash', () => {
  const text = Int32Array.from({ length: 5000 }, (_, id) => id);
  const index = new TokenIndex();
  index.extend(text, text.length);
  expect(index.find(text, text, text.length)).toBeNull();
});

test('extending token by token finds the same as extending at once, across growth', () => {
  const text = Int32Array.from({ length: 2000 }, (_, index) => (index * 7) % 61);
  const whole = new TokenIndex();
  whole.extend(text, text.length);
  const stepwise = new TokenIndex();
  for (let count = 1; count <= text.length; count++) stepwise.extend(text, count);
  expect(stepwise.find(text, text, text.length)).toEqual(whole.find(text, text, text.length));
});

test('prompt lookup guesses what followed last time, and a loop goes on as a loop', () => {
  const drafter = new Drafter(null);
  const text = tokens(10, 11, 12, 13, 14, 15, 10, 11, 12);
  expect(drafter.draft(text, { count: 9, promptCount: 8 }, 3)).toMatchObject({ tokens: tokens(13, 14, 15) });
  const loop = tokens(1, 2, 1, 2, 1, 2);
  expect(new Drafter(null).draft(loop, { count: 6, promptCount: 1 }, 5)!.tokens).toEqual(
    tokens(1, 2, 1, 2, 1),
  );
});

test('among places that agree on as much, and no more, the latest is taken; a longer one further back wins', () => {
  const text = tokens(7, 1, 2, 3, 4, 50, 1, 2, 3, 4, 51, 8, 1, 2, 3, 4, 52, 7, 1, 2, 3, 4);
  const index = new TokenIndex();
  index.extend(text, text.length);
  expect(index.find(text, text, text.length)).toEqual({ next: 5, length: 5 });
});

test('what the key was answered before is guessed where it agrees on as much as the text itself', () => {
  const memory = new AnswerMemory(64);
  memory.remember('a', [1, 2, 3, 4, 5, 6], 0);
  memory.remember('b', [9, 3, 4, 77, 78], 1);
  const text = tokens(60, 3, 4, 61, 62, 1, 2, 3, 4);
  const asked = { count: 9, promptCount: 8 };
  const drafter = () => new Drafter(null, memory);
  expect(drafter().draft(text, asked, 8)).toMatchObject({ source: 'match of 4', tokens: tokens(5, 6) });
  memory.forget('a');
  expect(drafter().draft(text, asked, 8)).toMatchObject({ source: 'match of 2', tokens: tokens(77, 78) });
  memory.forgetBefore(2);
  expect(drafter().draft(text, asked, 2)).toMatchObject({ source: 'match of 2', tokens: tokens(61, 62) });
  expect(memory.tokenCount).toBe(0);
});

test('nothing is found or guessed across two answers, nor at the end of the last', () => {
  const memory = new AnswerMemory(64);
  memory.remember(null, [1, 2], 0);
  memory.remember(null, [3, 4, 5], 0);
  expect(memory.find(tokens(2, 3), 2, 4)).toEqual([]);
  expect(memory.find(tokens(1, 2), 2, 4)).toEqual([]);
  expect(memory.find(tokens(4, 5), 2, 4)).toEqual([]);
  expect(memory.find(tokens(3, 4), 2, 4)).toEqual([{ length: 2, tokens: tokens(5) }]);
});

test('a memory never holds more than it may, and loses the oldest first', () => {
  const memory = new AnswerMemory(40);
  for (let answer = 0; answer < 50; answer++) {
    memory.remember(null, [1000 + answer, 2000 + answer, 3000 + answer], 0);
    expect(memory.tokenCount).toBeLessThanOrEqual(40);
  }
  expect(memory.find(tokens(1049, 2049), 2, 1)[0]!.tokens).toEqual(tokens(3049));
  expect(memory.find(tokens(1000, 2000), 2, 1)).toEqual([]);
  memory.remember(
    null,
    Array.from({ length: 100 }, (_, index) => index),
    0,
  );
  expect(memory.tokenCount).toBe(40);
  expect(memory.find(tokens(97, 98), 2, 1)[0]!.tokens).toEqual(tokens(99));
});

test('a prediction is followed from its first token, left where the output leaves it and found again', () => {
  const prediction = tokens(20, 21, 22, 23, 24, 25, 26, 27);
  const drafter = new Drafter(prediction);
  const prompt = [1, 2, 3];
  const ask = (output: number[], countMax = 2) =>
    drafter.draft(tokens(...prompt, ...output), { count: 3 + output.length, promptCount: 3 }, countMax);
  expect(ask([])).toMatchObject({ source: 'prediction', tokens: tokens(20, 21) });
  expect(ask([20])!.tokens).toEqual(tokens(21, 22));
  expect(ask([20, 21])!.tokens).toEqual(tokens(22, 23));
  expect(ask([20, 21, 99])).toBeNull();
  expect(ask([20, 21, 99, 24])).toBeNull();
  expect(ask([20, 21, 99, 24, 25])!.tokens).toEqual(tokens(26, 27));
});

test('a prediction is believed from its beginning, more with each token that it foretold, and most where the text bears it out', () => {
  const file = Array.from({ length: 80 }, (_, index) => 100 + index);
  const first = (prompt: number[], outputCount: number) => {
    const drafter = new Drafter(Int32Array.from(file));
    const all = [...prompt, ...file.slice(0, outputCount)];
    return drafter.draft(Int32Array.from(all), { count: all.length, promptCount: prompt.length }, 4)!;
  };
  const chanceOf = (...parts: Parameters<typeof first>) => first(...parts).chances![0]!;
  expect(first([1, 2], 0)).toMatchObject({ source: 'prediction', tokens: tokens(100, 101, 102, 103) });
  expect(chanceOf([1, 2], 0)).toBeGreaterThan(0.7);
  expect(chanceOf([1, 2], 30)).toBeGreaterThan(chanceOf([1, 2], 0));
  expect(chanceOf([1, 2, ...file, 3], 30)).toBeGreaterThan(chanceOf([1, 2], 30));
  // Where each token of a row costs nearly as much as one alone, it is still guessed for once it has held.
  const dear = { decodeMs: [1], rowMs: [1, 1.7, 2.4, 3.1] };
  const load = { decodingCount: 1, contextTokens: 0 };
  expect(new Speculation().worthwhileCount(first([1, 2], 30), dear, load)).toBeGreaterThan(0);
});

test('guesses are verified where a longer row is cheap and not where it costs as much as it brings', () => {
  const draft = matched('match of 16', 0.9, 5);
  expect(new Speculation().worthwhileCount(draft, flat, { decodingCount: 1, contextTokens: 0 })).toBe(5);
  expect(new Speculation().worthwhileCount(draft, steep, { decodingCount: 1, contextTokens: 0 })).toBe(0);
});

test('a source that is always wrong is given up, and tried again from time to time', () => {
  const speculation = new Speculation();
  const draft = matched('match of 2', 0.6, 3);
  for (let round = 0; round < 20; round++) speculation.learn(draft, { count: 3, accepted: 0 });
  expect(speculation.worthwhileCount(draft, flat, { decodingCount: 1, contextTokens: 0 })).toBe(0);
  const probes = Array.from({ length: 129 }, (_, outputCount) => speculation.probeCount(draft, outputCount));
  expect(probes.filter((count) => count > 0)).toEqual([1, 1]);
  // Rounds that pass without a look at it are made up for.
  expect(speculation.probeCount(draft, 1000)).toBe(1);
});

test('a source that is always right is followed as far as costs allow', () => {
  const speculation = new Speculation();
  const draft = { source: 'model' as const, tokens: tokens(1, 2, 3, 4, 5), chances: null };
  for (let round = 0; round < 20; round++) speculation.learn(draft, { count: 5, accepted: 5 });
  expect(speculation.worthwhileCount(draft, flat, { decodingCount: 1, contextTokens: 0 })).toBe(5);
  expect(speculation.acceptedCount).toBe(100);
});

test('in a large batch a row of its own must earn more', () => {
  const draft = matched('match of 16', 0.9, 2);
  const separate = { decodeMs: [1, 1.05, 1.1, 1.15], rowMs: [1, 1.3, 1.6] };
  expect(new Speculation().worthwhileCount(draft, separate, { decodingCount: 1, contextTokens: 0 })).toBe(2);
  expect(new Speculation().worthwhileCount(draft, separate, { decodingCount: 4, contextTokens: 0 })).toBe(0);
});

test('behind a long context guesses must earn what their attention takes', () => {
  const draft = matched('match of 16', 0.9, 5);
  const rowMs = [1, 2, 3, 4, 5, 6].map((count) => count * 0.001);
  const costs = { ...flat, context: { tokens: 128, decodeMs: 0.001, rowMs } };
  const countBehind = (contextTokens: number) =>
    new Speculation().worthwhileCount(draft, costs, { decodingCount: 1, contextTokens });
  expect(countBehind(128)).toBe(5);
  expect(countBehind(20_000)).toBe(0);
  const counts = [128, 500, 1000, 2000, 4000, 8000].map(countBehind);
  expect(counts).toEqual([...counts].sort((a, b) => b - a));
});
