// Adapter: what a LoRA adapter does to a model's matrices, whatever its files. A type only. Made by checkpoint/lora.ts and
// gguf/gguf-adapter.ts.

/** What an adapter does to one stored matrix [out, in]. */
export interface LowRank {
  readonly rank: number; // r ≥ 1
  readonly scale: number; // of the product
  readonly aShape: readonly number[]; // [r, in]
  readonly bShape: readonly number[]; // [out, r]
  readonly a: () => Float32Array;
  readonly b: () => Float32Array;
}

export interface Adapter {
  readonly path: string;
  readonly files: readonly string[];
  readonly targets: ReadonlyMap<string, LowRank>; // by the stored name of the weight, `….q_proj.weight`
  readonly copies: ReadonlyMap<string, () => Float32Array>; // of the base model's own weights, which PEFT saves of a head
}
