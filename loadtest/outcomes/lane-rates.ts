// What a request costs in a lane, in time and money, as its recorded requests show: time is a base and so much per output
// token (least squares), money so much per token, or the lanes file's price. Owns the sums of which both follow, so that a
// bootstrap need not look at requests again. Pure. Used by what-if.ts.
import { costOf, type Price } from '../../server/lanes/lanes-file.ts';
import type { RequestEnd, TaskRequest } from '../../server/outcomes/task-record.ts';

/** Of requests in one lane: x are output tokens, y milliseconds from arrival to the end. */
export interface LaneSums {
  count: number;
  x: number;
  xx: number;
  y: number;
  xy: number;
  cost: number;
  tokens: number; // prompt and output
}

/** Of requests that would move into one lane. */
export interface MovedSums {
  count: number;
  outputTokens: number;
  tokens: number;
  priced: number; // by the lanes file, where there is one
}

export interface LaneRate {
  readonly baseMs: number;
  readonly msPerToken: number;
  readonly costPerToken: number;
}

export function noSums(): LaneSums {
  return { count: 0, x: 0, xx: 0, y: 0, xy: 0, cost: 0, tokens: 0 };
}

export function noMoves(): MovedSums {
  return { count: 0, outputTokens: 0, tokens: 0, priced: 0 };
}

export function addRequest(sums: LaneSums, request: TaskRequest, end: RequestEnd): void {
  const x = end.outputTokens;
  const y = msOf(request, end);
  sums.count++;
  sums.x += x;
  sums.xx += x * x;
  sums.y += y;
  sums.xy += x * y;
  sums.cost += end.cost;
  sums.tokens += end.promptTokens + x;
}

export function addMove(sums: MovedSums, end: RequestEnd, price: Price | null): void {
  sums.count++;
  sums.outputTokens += end.outputTokens;
  sums.tokens += end.promptTokens + end.outputTokens;
  if (price === null) return;
  const { promptTokens: prompt, cachedTokens: cached, outputTokens: output } = end;
  sums.priced += costOf(price, { prompt, cached, output });
}

/** What somebody waited: queue and answer. */
export function msOf({ waitedMs }: TaskRequest, { durationMs }: RequestEnd): number {
  return waitedMs + durationMs;
}

export function addTimes(to: LaneSums, from: LaneSums, times: number): void {
  for (const name of Object.keys(to) as (keyof LaneSums)[]) to[name] += from[name] * times;
}

/** Null: nothing was recorded there. A line that falls, or starts below zero, is none: then time goes by the token, or not at all. */
export function rateOf({ count, x, xx, y, xy, cost, tokens }: LaneSums): LaneRate | null {
  if (count === 0) return null;
  const costPerToken = tokens === 0 ? 0 : cost / tokens;
  const spread = count * xx - x * x;
  const slope = spread > 1e-9 * count * xx ? (count * xy - x * y) / spread : 0;
  const base = (y - slope * x) / count;
  if (slope > 0 && base >= 0) return { baseMs: base, msPerToken: slope, costPerToken };
  if (slope > 0 && x > 0) return { baseMs: 0, msPerToken: y / x, costPerToken };
  return { baseMs: y / count, msPerToken: 0, costPerToken };
}

export function movedMs({ count, outputTokens }: MovedSums, { baseMs, msPerToken }: LaneRate): number {
  return count * baseMs + outputTokens * msPerToken;
}

export function movedCost({ tokens, priced }: MovedSums, rate: LaneRate, isPriced: boolean): number {
  return isPriced ? priced : tokens * rate.costPerToken;
}
