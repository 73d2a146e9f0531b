// Embedder: texts as token ids → vectors, one after another in a thread of its own, so that neither loading nor computing
// holds up anybody else. Owns the thread; one that dies fails the text it was at, and the next text starts another. Before
// it: server/embeddings; after it: embedder-worker.ts.
import type { Piscina } from 'piscina';
import type { Pooling } from '../../models/encoder/pooling.ts';
import type { StatesShape } from './text-states.ts';
import { threadPool } from './thread-pool.ts';

export interface EmbedderSetup {
  readonly modelPath: string; // a graph of states
  readonly shape: StatesShape;
  readonly pooling: Pooling;
  readonly threadCount: number; // of ONNX Runtime
}

export interface EmbedTask {
  readonly ids: Int32Array | null; // null: only open
  readonly dimensions: number | null; // null: all
}

export class Embedder {
  readonly #pool: Piscina;

  constructor(setup: EmbedderSetup) {
    this.#pool = threadPool('embedder-worker', { workerData: setup, queueMax: Number.POSITIVE_INFINITY });
    this.#pool.on('error', () => undefined); // the text that it was at is told
  }

  /** Resolves when the model is in memory. Rejects with OrtError's message. */
  async open(): Promise<void> {
    await this.#pool.run({ ids: null, dimensions: null } satisfies EmbedTask);
  }

  /** In the order of the calls; callers bound how many wait. Rejects when the graph fails or its thread dies. */
  embed(ids: Int32Array, dimensions: number | null): Promise<Float32Array> {
    return this.#pool.run({ ids, dimensions } satisfies EmbedTask);
  }

  /** Waiting texts are rejected. Idempotent. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
