// Every tensor that a decoder computes with, and its shape: what a checkpoint must have, by our names, which are Llama's
// and, for what Llama has not, `self_attn.{q_norm,k_norm,sinks,out_norm}`, `mlp.out_norm`, `mlp.router`, `mlp.shared_gate`,
// `mlp.experts.N.{gate,up,down}_proj` and `mlp.shared.…`. Pure. Before it: spec.ts; after it: checkpoint/checkpoint.ts and gguf/gguf-checkpoint.ts check for them, graph/decoder.ts reads them.
import { hasExperts, type ModelSpec } from '../spec.ts';

/** [out, in] for matrices. */
export function requiredTensors(spec: ModelSpec): ReadonlyMap<string, readonly number[]> {
  const { hiddenSize, vocabSize } = spec;
  const tensors: Tensors = new Map();
  tensors.set('model.embed_tokens.weight', [vocabSize, hiddenSize]);
  for (let layer = 0; layer < spec.layerCount; layer++) {
    const prefix = `model.layers.${layer}`;
    if (spec.normPlacement !== 'after') addNorm(tensors, spec, `${prefix}.input_layernorm`);
    addAttention(tensors, spec, `${prefix}.self_attn`);
    if (spec.normPlacement !== 'after') addNorm(tensors, spec, `${prefix}.post_attention_layernorm`);
    addFeedForward(tensors, spec, layer);
  }
  addNorm(tensors, spec, 'model.norm');
  if (!spec.tiedEmbeddings) tensors.set('lm_head.weight', [vocabSize, hiddenSize]);
  return tensors;
}

type Tensors = Map<string, readonly number[]>;

function addNorm(tensors: Tensors, { norm, hiddenSize }: ModelSpec, name: string, size = hiddenSize): void {
  tensors.set(`${name}.weight`, [size]);
  if (norm === 'layer') tensors.set(`${name}.bias`, [size]);
}

function addLinear(tensors: Tensors, name: string, sizes: { out: number; in: number; bias: boolean }): void {
  tensors.set(`${name}.weight`, [sizes.out, sizes.in]);
  if (sizes.bias) tensors.set(`${name}.bias`, [sizes.out]);
}

function addAttention(tensors: Tensors, spec: ModelSpec, prefix: string): void {
  const { hiddenSize, headSize, qkvBias: bias, queryKeyNorm } = spec;
  const querySize = spec.headCount * headSize;
  const kvSize = spec.kvHeadCount * headSize;
  addLinear(tensors, `${prefix}.q_proj`, { out: querySize, in: hiddenSize, bias });
  addLinear(tensors, `${prefix}.k_proj`, { out: kvSize, in: hiddenSize, bias });
  addLinear(tensors, `${prefix}.v_proj`, { out: kvSize, in: hiddenSize, bias });
  if (queryKeyNorm !== 'none') {
    addNorm(tensors, spec, `${prefix}.q_norm`, queryKeyNorm === 'head' ? headSize : querySize);
    addNorm(tensors, spec, `${prefix}.k_norm`, queryKeyNorm === 'head' ? headSize : kvSize);
  }
  if (spec.hasSinks) tensors.set(`${prefix}.sinks`, [spec.headCount]);
  addLinear(tensors, `${prefix}.o_proj`, { out: hiddenSize, in: querySize, bias: spec.attentionOutputBias });
  if (spec.normPlacement !== 'before') addNorm(tensors, spec, `${prefix}.out_norm`);
}

function addFeedForward(tensors: Tensors, spec: ModelSpec, layer: number): void {
  const { hiddenSize, ffnSize, experts } = spec;
  const prefix = `model.layers.${layer}.mlp`;
  if (hasExperts(spec, layer)) {
    const { count: out, hasRouterBias: bias, shared } = experts!;
    addLinear(tensors, `${prefix}.router`, { out, in: hiddenSize, bias });
    for (let expert = 0; expert < out; expert++)
      addGated(tensors, spec, `${prefix}.experts.${expert}`, ffnSize);
    if (shared !== null) addGated(tensors, spec, `${prefix}.shared`, shared.size);
    if (shared?.isGated) tensors.set(`${prefix}.shared_gate.weight`, [1, hiddenSize]);
  } else addGated(tensors, spec, prefix, experts?.dense?.size ?? ffnSize);
  if (spec.normPlacement !== 'before') addNorm(tensors, spec, `${prefix}.out_norm`);
}

function addGated(tensors: Tensors, spec: ModelSpec, prefix: string, size: number): void {
  const { hiddenSize, mlpBias: bias } = spec;
  if (spec.isGated) addLinear(tensors, `${prefix}.gate_proj`, { out: size, in: hiddenSize, bias });
  addLinear(tensors, `${prefix}.up_proj`, { out: size, in: hiddenSize, bias });
  addLinear(tensors, `${prefix}.down_proj`, { out: hiddenSize, in: size, bias });
}
