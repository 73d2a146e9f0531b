// Whether a device computes a model as the cpu does, before anybody is served by it: the same graph and the same tokens on
// both, as the likeliest tokens' probabilities. Drivers differ, and so do kernels: rows of 32 tokens and more take another
// one, which is wrong where the threads of a subgroup are fewer than 8. Before it: backend.ts; after it: bindings.ts.
import type { ModelSpec } from '../../models/spec.ts';
import { type BoundSeats, GraphBindings } from './bindings.ts';
import { allocateSeats, type KvShape, slotElements } from './kv-memory.ts';
import type { GraphSession } from './runtime.ts';
import { SelfTestError } from './self-test.ts';

export interface ProbedGraph {
  readonly spec: ModelSpec;
  readonly topCount: number;
  readonly precision?: string; // fp32, or how its weights are rounded; absent: that is not known
}

export interface ProbeReport {
  readonly rowTokens: number; // longest row that the device computes right, at most the one that was asked for
  readonly differenceNats: number; // the largest that was met
}

const longRow = 64; // tokens
const shortRow = 16;
const firstRow = 4; // before the long one, which is to read what is there already
// Natural logarithms of probabilities, of tokens among the likeliest. At fp32 sums are taken in another order; at 4 and 8
// bits the cpu rounds activations, too, and a device may not.
const toleranceNats = { float: 1e-3, rounded: 0.25 } as const;

/** Rejects nothing and throws SelfTestError where not even short rows are right. Frees what it takes. */
export function probeDevice(
  { device, cpu }: { readonly device: GraphSession; readonly cpu: GraphSession },
  graph: ProbedGraph,
  rowTokensMax: number,
): ProbeReport {
  const tolerance = graph.precision === 'fp32' ? toleranceNats.float : toleranceNats.rounded;
  let differenceNats = Number.POSITIVE_INFINITY;
  for (const rowTokens of [rowTokensMax, Math.min(rowTokensMax, shortRow)]) {
    const rows = rowsFor(Math.min(rowTokens, longRow), graph.spec.contextLength);
    differenceNats = distance(likeliest(cpu, graph, rows), likeliest(device, graph, rows));
    if (differenceNats <= tolerance) return { rowTokens, differenceNats };
  }
  throw new SelfTestError(
    `the device differs from the cpu by ${differenceNats} nats, ${tolerance} are allowed: its driver, or ONNX Runtime ` +
      `${device.version} on it, does not compute this model; serve it with --backend cpu`,
  );
}

/** A few tokens, a row behind them, and one alone. */
function rowsFor(tokens: number, contextLength: number): readonly number[] {
  const row = Math.min(tokens, contextLength - firstRow - 1);
  return row < 1 ? [1] : [firstRow, row, 1];
}

interface Likeliest {
  readonly ids: Int32Array; // [n, K]
  readonly logprobs: Float32Array; // [n, K]
  readonly all: Float32Array; // [n, V] logits less their logsumexp
  readonly vocabSize: number;
}

function likeliest(session: GraphSession, graph: ProbedGraph, rows: readonly number[]): Likeliest {
  const { spec, topCount } = graph;
  const { layerCount, kvHeadCount, headSize, vocabSize } = spec;
  const total = rows.reduce((sum, row) => sum + row, 0);
  const places = { slotCount: 1, slotTokensMax: total, blockSize: 1, blockCount: 0 };
  const shape: KvShape = { layerCount, kvHeadCount, headSize, ...places, scales: null };
  const kv = openSeats(session, shape);
  const longest = Math.max(...rows);
  const bounds = { topCount, vocabSize, runTokensMax: longest, logitRowsMax: longest };
  const bindings = new GraphBindings(session, kv.bound, bounds);
  const found: Likeliest = {
    ids: new Int32Array(total * topCount),
    logprobs: new Float32Array(total * topCount),
    all: new Float32Array(total * vocabSize),
    vocabSize,
  };
  try {
    let start = 0;
    for (const count of rows) {
      run(bindings, { start, count, vocabSize });
      keep(bindings, found, { start, count, topCount });
      start += count;
    }
    return found;
  } finally {
    bindings.release();
    kv.free();
  }
}

function run(
  bindings: GraphBindings,
  { start, count, vocabSize }: { start: number; count: number; vocabSize: number },
): void {
  for (let i = 0; i < count; i++) {
    bindings.inputIds[i] = ((start + i) * 37 + 11) % vocabSize;
    bindings.logitRows[i] = i;
  }
  bindings.seqlensK[0] = start + count - 1;
  bindings.totalSequenceLength[0] = start + count;
  bindings.get({ slotStart: 0, slotCount: 1, tokenCount: count, logitRowCount: count }).run();
}

function keep(
  bindings: GraphBindings,
  { ids, logprobs, all, vocabSize }: Likeliest,
  { start, count, topCount }: { start: number; count: number; topCount: number },
): void {
  ids.set(bindings.topIds.subarray(0, count * topCount), start * topCount);
  for (let row = 0; row < count; row++) {
    const logsumexp = bindings.logsumexp[row]!;
    for (let k = 0; k < topCount; k++)
      logprobs[(start + row) * topCount + k] = bindings.topValues[row * topCount + k]! - logsumexp;
    for (let id = 0; id < vocabSize; id++)
      all[(start + row) * vocabSize + id] = bindings.logits[row * vocabSize + id]! - logsumexp;
  }
}

function openSeats(
  session: GraphSession,
  shape: KvShape,
): { readonly bound: BoundSeats; readonly free: () => void } {
  const { allocator = null } = session;
  if (allocator === null)
    return { bound: { shape, seats: allocateSeats(shape, 'private') }, free: () => undefined };
  const seats = Array.from({ length: 2 * shape.layerCount }, () => allocator.allocate(slotElements(shape)));
  const free = () => {
    for (const each of seats) allocator.free(each);
  };
  return { bound: { shape, seats }, free };
}

/** The largest difference, over what is likeliest on the cpu; what is no number is infinitely far. */
function distance(cpu: Likeliest, device: Likeliest): number {
  const perRow = cpu.ids.length / (cpu.all.length / cpu.vocabSize);
  let largest = 0;
  for (const [index, id] of cpu.ids.entries()) {
    const row = Math.floor(index / perRow);
    const difference = Math.abs(cpu.logprobs[index]! - device.all[row * device.vocabSize + id]!);
    largest = Math.max(largest, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return largest;
}
