// Whether a device computes a model as the cpu does, before anybody is served by it: the same graph and the same tokens on
// both, as the probabilities of what follows. Drivers differ, and so do kernels: rows of 32 tokens and more take another
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
  readonly divergenceNats: number; // of the device's distributions from the cpu's, the mean
}

const longRow = 64; // tokens
const shortRow = 16;
const firstRow = 4; // before the long one, which is to read what is there already
// Nats that the device's distributions may be from the cpu's, in the mean. At fp32 sums are only taken in another order:
// 2e-7 for spark-nano. At 4 and 8 bits the cpu rounds activations, too, and a device may not: 0.0014 for the worst of the
// models that were tried. Long rows may be a few times as far as short ones; where their kernel was wrong it was 50 times.
const divergenceMax = { float: 1e-4, rounded: 0.02 } as const;
const longRowsMax = 8;

/** Throws SelfTestError where not even short rows are right. Frees what it takes. */
export function probeDevice(
  { device, cpu }: { readonly device: GraphSession; readonly cpu: GraphSession },
  graph: ProbedGraph,
  rowTokensMax: number,
): ProbeReport {
  const divergenceOf = (rowTokens: number) => {
    const rows = rowsFor(rowTokens, graph.spec.contextLength);
    return divergence(logprobsOf(cpu, graph, rows), logprobsOf(device, graph, rows));
  };
  const bound = graph.precision === 'fp32' ? divergenceMax.float : divergenceMax.rounded;
  const rowTokens = Math.min(rowTokensMax, shortRow);
  const divergenceNats = divergenceOf(rowTokens);
  if (divergenceNats > bound)
    throw new SelfTestError(
      `the device is ${divergenceNats} nats from the cpu, ${bound} are allowed: its driver, or ONNX Runtime ` +
        `${device.version} on it, does not compute this model; serve it with --backend cpu`,
    );
  if (rowTokensMax <= shortRow) return { rowTokens, divergenceNats };
  const ofLong = divergenceOf(Math.min(rowTokensMax, longRow));
  const isSound = ofLong <= Math.max(divergenceMax.float, Math.min(bound, longRowsMax * divergenceNats));
  return isSound ? { rowTokens: rowTokensMax, divergenceNats: ofLong } : { rowTokens, divergenceNats };
}

/** A few tokens, a row behind them, and one alone. */
function rowsFor(tokens: number, contextLength: number): readonly number[] {
  const row = Math.min(tokens, contextLength - firstRow - 1);
  return row < 1 ? [1] : [firstRow, row, 1];
}

/** Logarithms of probabilities after each token of the rows: [n, vocabSize]. */
function logprobsOf(
  session: GraphSession,
  { spec, topCount }: ProbedGraph,
  rows: readonly number[],
): readonly Float32Array[] {
  const { layerCount, kvHeadCount, headSize, vocabSize } = spec;
  const total = rows.reduce((sum, row) => sum + row, 0);
  const places = { slotCount: 1, slotTokensMax: total, blockSize: 1, blockCount: 0 };
  const kv = openSeats(session, { layerCount, kvHeadCount, headSize, ...places, scales: null });
  const longest = Math.max(...rows);
  const bounds = { topCount, vocabSize, runTokensMax: longest, logitRowsMax: longest };
  const bindings = new GraphBindings(session, kv.bound, bounds);
  const found: Float32Array[] = [];
  try {
    for (const count of rows) {
      run(bindings, { start: found.length, count, vocabSize });
      for (let row = 0; row < count; row++) {
        const logits = bindings.logits.subarray(row * vocabSize, (row + 1) * vocabSize);
        found.push(logits.map((logit) => logit - bindings.logsumexp[row]!));
      }
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

/** Kullback-Leibler, the mean over all tokens; what is no number is infinitely far. */
function divergence(cpu: readonly Float32Array[], device: readonly Float32Array[]): number {
  let sum = 0;
  for (const [row, logprobs] of cpu.entries())
    for (const [id, logprob] of logprobs.entries()) sum += Math.exp(logprob) * (logprob - device[row]![id]!);
  return Number.isFinite(sum) ? Math.abs(sum) / cpu.length : Number.POSITIVE_INFINITY;
}
