// MeasuredSteps: what a step takes on a machine whose own kernels were timed: tables by tokens of a step, instead of peak rates and
// fitted constants. Pure. Before it: roofline.ts; the tables come from `sparklane measure-device` (loadtest/simulate/machine/).
import { attentionMacs, commonWeights, headWeights, type ModelShape } from '../shapes.ts';
import type { StepCounts, StepTerms } from './step-terms.ts';

/** Times of one machine with weights of one format. */
export interface MeasuredSteps {
  readonly format: 'int8' | 'int4'; // of the weights
  readonly threads: number;
  readonly tokens: readonly number[]; // of a step, ascending, from 1; the tables below have one value for each
  readonly weightPs: readonly number[]; // ps for each weight that those tokens meet, all tokens together
  readonly layerUs: readonly number[]; // µs for each layer, beside its products and its context
  readonly stepUs: readonly number[]; // µs for each step
  readonly rowUs: number; // µs for each sequence of a step beyond the first
  readonly contextTokens: number; // behind the rows of those tables: what they took is in them
  readonly rows: readonly number[]; // sequences that decode, ascending, from 1
  readonly decodePs: readonly number[]; // [rows] ps for each multiply-add of their attention, with all of them at it
  readonly promptPs: number; // the same of a prompt's
}

/** Terms of one step, milliseconds. Dense models only. */
export function measuredTerms(
  shape: ModelShape,
  measured: MeasuredSteps,
  { rowCount, tokenCount, sampledCount, contextRead, attentionPairs, ...prefill }: StepCounts,
): StepTerms {
  const { prefillRows = 0, prefillTokens = 0 } = prefill;
  const at = (table: readonly number[], count: number): number => tableAt(measured.tokens, table, count);
  const psOf = (count: number): number =>
    commonWeights(shape) * at(measured.weightPs, count) +
    (sampledCount === 0 ? 0 : headWeights(shape) * at(measured.weightPs, Math.min(count, sampledCount)));
  // What the tables have already: every row's first tokens of context.
  const decodeRows = rowCount - prefillRows;
  const read =
    rowCount === 0 ? 0 : (contextRead * decodeRows) / rowCount - decodeRows * measured.contextTokens;
  const macsOf = (pairs: number): number => shape.layerCount * attentionMacs(shape, pairs);
  const decodePs = decodeRows < 1 ? 0 : levelAt(measured.rows, measured.decodePs, decodeRows);
  const kvMs = (decodePs * macsOf(read)) / 1e9;
  const known = prefillTokens * (measured.contextTokens + prefillTokens / Math.max(1, prefillRows) / 2);
  const attentionMs = (measured.promptPs * macsOf(attentionPairs - known)) / 1e9;
  const launchMs =
    (shape.layerCount * at(measured.layerUs, tokenCount) + at(measured.stepUs, tokenCount)) / 1e3;
  const rowsMs = (Math.max(0, rowCount - 1) * measured.rowUs) / 1e3;
  const [weightsMs, linearMs] = [psOf(1) / 1e9, psOf(tokenCount) / 1e9];
  const sum = Math.max(weightsMs, linearMs) + kvMs + attentionMs + launchMs + rowsMs;
  return {
    ...{ weightsMs, linearMs, kvMs, attentionMs, launchMs, rowsMs, totalMs: Math.max(floorMs, sum) },
    ...{ activationsMs: 0, expertWeightsMs: 0, expertLinearMs: 0, routingMs: 0, linkMs: 0 },
  };
}

const floorMs = 1e-3; // a context shorter than the tables' takes off, never all of it

/** Straight between two measured points, in proportion beyond the last. */
function tableAt(points: readonly number[], values: readonly number[], at: number): number {
  const last = points.length - 1;
  if (last === 0 || at >= points[last]!) return (values[last]! * at) / points[last]!;
  const next = Math.max(
    1,
    points.findIndex((point) => point > at),
  );
  const [low, high] = [points[next - 1]!, points[next]!];
  const share = Math.max(0, (at - low) / (high - low));
  return values[next - 1]! + share * (values[next]! - values[next - 1]!);
}

// The same, level beyond the last.
function levelAt(points: readonly number[], values: readonly number[], at: number): number {
  return tableAt(points, values, Math.min(at, points.at(-1)!));
}
