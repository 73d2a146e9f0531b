import { expect, test } from 'vitest';
import { lineScreen } from '../../../../../loadtest/measure/report/line-screen.ts';
import type { Snapshot } from '../../../../../loadtest/measure/report/live-view.ts';

const SNAPSHOT: Snapshot = {
  title: 'poisson:2',
  elapsedMs: 0,
  plannedMs: 60_000,
  isWarmup: false,
  turns: 3,
  inFlight: 1,
  requestsPerSecond: 2,
  tokensPerSecond: 100,
  goodShare: 1,
  ttftMs: [100, 200],
  itlMs: [5, 9],
  errors: [],
};

test('a line every ten seconds of each run, however often it is told', () => {
  const lines: string[] = [];
  const screen = lineScreen((line) => lines.push(line));
  for (let elapsedMs = 0; elapsedMs <= 25_000; elapsedMs += 500) screen.show({ ...SNAPSHOT, elapsedMs });
  for (let elapsedMs = 0; elapsedMs <= 10_000; elapsedMs += 500) {
    screen.show({ ...SNAPSHOT, title: 'closed:4', elapsedMs });
  }
  expect(lines).toEqual([
    'poisson:2 · 0:10 of 1:00, 0:50 left · turns 3 counted, 1 under way · 2.0 turns/s · 100 tokens/s · good 100.0 %\n',
    'poisson:2 · 0:20 of 1:00, 0:40 left · turns 3 counted, 1 under way · 2.0 turns/s · 100 tokens/s · good 100.0 %\n',
    'closed:4 · 0:10 of 1:00, 0:50 left · turns 3 counted, 1 under way · 2.0 turns/s · 100 tokens/s · good 100.0 %\n',
  ]);
});
