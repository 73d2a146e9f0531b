// One seat of KV and the bare runs of a graph in this thread, without backend, worker or sampling: what the kernel
// benchmarks time.
import { GraphBindings } from '../../kernels/onnx/bindings.ts';
import { allocateSeats, type KvShape } from '../../kernels/onnx/kv-memory.ts';
import type { GraphSession } from '../../kernels/onnx/runtime.ts';
import type { BuiltGraph } from '../../models/graph/build.ts';
import { shiftSizes } from '../../models/graph/int8-attention-nodes.ts';

const chunk = 128;

export interface BareSeat {
  /** Milliseconds of one run of 1 to 128 `tokens` behind the first `start`. */
  run(tokens: readonly number[], start: number): number;
  /** The same for any number of tokens, in chunks. */
  fill(tokens: readonly number[], start: number): void;
}

/** KV of `slotCount` seats, written once: untouched memory is one page, always in the cache. Goes with the session. */
export function openBindings(
  { spec, topCount }: BuiltGraph,
  session: GraphSession,
  seats: { readonly slotCount: number; readonly slotTokensMax: number },
  int8Kv = false, // its scales mean nothing
): GraphBindings {
  const { layerCount, kvHeadCount, headSize, vocabSize } = spec;
  const { before, after } = shiftSizes(spec);
  const arrays = (count: number, size: number, value: number) =>
    Array.from({ length: count }, () => new Float32Array(size).fill(value));
  const shape: KvShape = {
    ...{ layerCount, kvHeadCount, headSize, ...seats },
    ...{ blockSize: 16, blockCount: 0 },
    scales: int8Kv
      ? {
          steps: arrays(2 * layerCount, kvHeadCount * headSize, 0.05),
          shifts: Array.from({ length: layerCount }, () =>
            [before, after].map((size) => new Float32Array(size)),
          ).flat(),
        }
      : null,
  };
  const memory = allocateSeats(shape, 'shared');
  for (const array of memory) array.fill(0);
  const bounds = { topCount, vocabSize, runTokensMax: chunk, logitRowsMax: seats.slotCount };
  return new GraphBindings(session, { shape, seats: memory }, bounds);
}

/** Goes with the session. */
export function openSeat(graph: BuiltGraph, session: GraphSession, slotTokensMax: number): BareSeat {
  const bindings = openBindings(graph, session, { slotCount: 1, slotTokensMax });
  const run = (tokens: readonly number[], start: number): number => {
    const tokenCount = tokens.length;
    for (const [index, id] of tokens.entries()) bindings.inputIds[index] = id;
    bindings.seqlensK[0] = start + tokenCount - 1;
    bindings.totalSequenceLength[0] = start + tokenCount;
    bindings.logitRows[0] = tokenCount - 1;
    const binding = bindings.get({ slotStart: 0, slotCount: 1, tokenCount, logitRowCount: 1 });
    const startMs = performance.now();
    binding.run();
    return performance.now() - startMs;
  };
  return {
    run,
    fill(tokens, start) {
      for (let at = 0; at < tokens.length; at += chunk) run(tokens.slice(at, at + chunk), start + at);
    },
  };
}
