// One graph opened to be read from: logits of chunks and of single tokens, in one seat, over the product's own bindings,
// with fp32 or int8 KV. Owns its session. Before it: main.ts; after it: kernels/onnx.
import { GraphBindings } from '../../kernels/onnx/bindings.ts';
import { measureKvScales } from '../../kernels/onnx/kv-calibration.ts';
import { allocateSeats, type KvShape } from '../../kernels/onnx/kv-memory.ts';
import { openSession } from '../../kernels/onnx/ort.ts';
import type { GraphSession } from '../../kernels/onnx/runtime.ts';
import type { BuiltGraph } from '../../models/graph/build.ts';

/** Tokens of one chunk: where the engine's own are cut (server/device/device.ts). */
export const chunkTokens = 64;

export interface ReaderOptions {
  readonly kv: 'fp32' | 'int8';
  readonly calibration: Int32Array;
  readonly scalesFile: string; // remembers the KV scales
  readonly threads: number;
  readonly capacity: number; // tokens
}

export class GraphReader {
  readonly #session: GraphSession;
  readonly #bindings: GraphBindings;
  readonly #vocabSize: number;

  constructor(graph: BuiltGraph, options: ReaderOptions) {
    const { layerCount, kvHeadCount, headSize } = graph.spec;
    const open = (modelPath: string) =>
      openSession({ modelPath, intraOpThreads: options.threads, spinning: false });
    const place = { slotCount: 1, slotTokensMax: options.capacity, blockSize: 1, blockCount: 0 };
    const plain: KvShape = { layerCount, kvHeadCount, headSize, ...place, scales: null };
    const shape = options.kv === 'fp32' ? plain : { ...plain, scales: scalesOf(graph, options, open) };
    this.#session = open(options.kv === 'fp32' ? graph.modelPath : graph.int8Kv!.modelPath);
    this.#vocabSize = graph.vocabSize;
    const bounds = { topCount: graph.topCount, runTokensMax: chunkTokens, logitRowsMax: chunkTokens };
    this.#bindings = new GraphBindings(
      this.#session,
      { shape, seats: allocateSeats(shape, 'private') },
      { ...bounds, vocabSize: graph.vocabSize },
    );
  }

  /** Logits of every token of a chunk that begins at `position`: [n, V], overwritten by the next call. */
  read(tokens: readonly number[], position: number): Float32Array {
    this.#run(tokens, position, tokens.length);
    return this.#bindings.logits.subarray(0, tokens.length * this.#vocabSize);
  }

  /** The most likely token after the last one; the work of a step that samples once. */
  next(tokens: readonly number[], position: number): number {
    this.#run(tokens, position, 1);
    return this.#bindings.topIds[0]!;
  }

  release(): void {
    this.#bindings.release();
    this.#session.release();
  }

  #run(tokens: readonly number[], position: number, logitRowCount: number): void {
    const { inputIds, seqlensK, totalSequenceLength, logitRows } = this.#bindings;
    const tokenCount = tokens.length;
    inputIds.set(tokens);
    seqlensK[0] = position + tokenCount - 1;
    totalSequenceLength[0] = position + tokenCount;
    for (let row = 0; row < logitRowCount; row++) logitRows[row] = tokenCount - logitRowCount + row;
    this.#bindings.get({ slotStart: 0, slotCount: 1, tokenCount, logitRowCount }).run();
  }
}

function scalesOf(graph: BuiltGraph, options: ReaderOptions, open: (modelPath: string) => GraphSession) {
  const session = open(graph.modelPath);
  try {
    return measureKvScales(session, graph, { tokens: options.calibration, file: options.scalesFile });
  } finally {
    session.release();
  }
}
