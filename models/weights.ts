// Checkpoint: a model's weights, as whoever builds a graph of them reads them. A type only. Made by checkpoint.ts and
// gguf/gguf-checkpoint.ts.
import type { WeightSource } from './graph/arithmetic.ts';
import type { ModelSpec } from './spec.ts';

export interface Checkpoint extends WeightSource {
  readonly spec: ModelSpec;
  readonly path: string; // a directory, or a GGUF file (the first shard)
  readonly weightFiles: readonly string[]; // paths
  readonly variant?: string; // tells apart what is made of equal files, as adapters of another strength do
  has(name: string): boolean;
  /** As the file calls it: F32, BF16, Q4_K. Throws CheckpointError when there is no such tensor. */
  typeOf(name: string): string;
  /** Row-major. Throws CheckpointError when there is no such tensor. */
  shape(name: string): readonly number[];
  /**
   * A fresh array of the tensor's values, widened to float32. `name` is Llama's, such as
   * `model.layers.0.self_attn.q_proj.weight`, whatever the family (requiredTensors). With tied embeddings there need not be an `lm_head.weight`: the
   * caller takes `model.embed_tokens.weight`. Throws CheckpointError, also when a value is no finite number.
   */
  read(name: string): Float32Array;
}
