// Prints a prediction or a simulation's summary for people. Layout only.

import { table } from '../show/text-table.ts';
import { digitsText, percentText } from './compare.ts';
import type { Prediction } from './predict.ts';
import type { Quantiles, Summary } from './summary.ts';

export function formatPrediction(prediction: Prediction): string {
  const { summary, ttftBound, itlBound, throughputBound, plan, trust } = prediction;
  const rows = [
    ['TTFT', ...quantileCells(summary.ttftMs), 'ms', ttftBound],
    ['ITL', ...quantileCells(summary.itlMs), 'ms', itlBound],
    ['TPOT', ...quantileCells(summary.tpotMs), 'ms', ''],
    ['throughput', digitsText(summary.tokensPerSecond), '', '', 'tok/s', throughputBound],
    ['one user', digitsText(summary.userTokensPerSecond), '', '', 'tok/s', ''],
    ['good', percentText(summary.goodShare), '', '', '', prediction.objectives],
  ];
  if (summary.usdPerMillionTokens !== null)
    rows.push(['costs', digitsText(summary.usdPerMillionTokens), '', '', 'USD', 'per million tokens']);
  return `simulated: ${titleOf(summary)}\n${table(['', 'mean', 'p50', 'p99', '', 'bound by'], rows)}\n  plan: ${plan}\n  ${trust}\n`;
}

export function formatSummary(summary: Summary, notes: readonly string[]): string {
  const latencies = [
    ['TTFT', summary.ttftMs],
    ['ITL', summary.itlMs],
    ['TPOT', summary.tpotMs],
    ['E2E', summary.e2eMs],
    ['queue', summary.queueMs],
  ] as const;
  const rows = latencies.map(([name, values]) => [name, ...quantileCells(values)]);
  const facts = [
    [
      'requests',
      `${summary.requestCount} ended, ${summary.refusedCount} refused, ${summary.failedCount} failed in ${digitsText(summary.elapsedSeconds)} virtual seconds`,
    ],
    [
      'rates',
      `${digitsText(summary.tokensPerSecond)} tok/s of all, ${digitsText(summary.userTokensPerSecond)} tok/s of one user, ${digitsText(summary.requestsPerSecond)} requests/s, ${digitsText(summary.goodputPerSecond)} good ones (${percentText(summary.goodShare)})`,
    ],
    [
      'KV',
      `${summary.kvTokens} tokens of room; in use ${percentText(summary.kvShareMean)} on average, ${percentText(summary.kvShareMax)} at most; ${percentText(summary.cachedShare)} of prompt tokens cached`,
    ],
    [
      'device',
      `busy ${percentText(summary.busyShare)}, ${digitsText(summary.rowsPerStep)} rows per step, ${summary.preemptionCount} preemptions, ${summary.evictedBlockCount} blocks evicted`,
    ],
    [
      'costs',
      `${digitsText(summary.joulesPerToken)} J/token, ${summary.usdPerMillionTokens === null ? 'no price stated' : `${digitsText(summary.usdPerMillionTokens)} USD per million tokens`}`,
    ],
    ['bound by', summary.bound],
  ] as const;
  return [
    `simulated: ${titleOf(summary)}`,
    ...notes.map((note) => `  (${note})`),
    table(['ms', 'mean', 'p50', 'p99'], rows),
    ...facts.map(([name, text]) => `  ${name.padEnd(9)} ${text}`),
    '',
  ].join('\n');
}

function titleOf({ model, precision, device, load }: Summary): string {
  return `${model} ${precision} on ${device}, ${load}`;
}

function quantileCells(values: Quantiles | null): [string, string, string] {
  return [digitsText(values?.mean ?? null), digitsText(values?.p50 ?? null), digitsText(values?.p99 ?? null)];
}
