// The slow, obvious decoder: one sequence, no cache, every position computed anew in float64. It is the oracle of
// the engine's and the graphs' tests, so it is written to be read against the model's definition, not to be fast.
// The frequencies of rotary embeddings are the graphs' own: golden outputs hold both to transformers.
import assert from 'node:assert/strict';
import { type RotaryKind, rotaryFrequencies, rotaryMagnitude } from '../models/graph/rotary.ts';
import {
  type Activation,
  hasExperts,
  type LayerAttention,
  type ModelSpec,
  scoreGrowthAt,
} from '../models/spec.ts';
import { requiredTensors } from '../models/weights/required-tensors.ts';
import type { Checkpoint } from '../models/weights/weights.ts';

type Vector = Float64Array;

interface Linear {
  readonly weight: Float32Array; // [out, in]
  readonly bias: Float32Array | null; // [out]
}

interface Norm {
  readonly scale: Float32Array; // [size]
  readonly shift: Float32Array | null; // [size], of centred norms
}

interface Expert {
  readonly gate: Linear | null;
  readonly up: Linear;
  readonly down: Linear;
}

interface Layer {
  readonly attention: LayerAttention;
  readonly attentionNorm: Norm | null; // of what attention reads
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly queryNorm: Norm | null; // [headSize], or of all heads as one
  readonly keyNorm: Norm | null;
  readonly sinks: Float32Array | null; // [heads]
  readonly attentionOutput: Linear;
  readonly attentionOutputNorm: Norm | null; // of what it writes
  readonly mlpNorm: Norm | null;
  readonly router: Linear | null; // null: the first expert is the feed-forward
  readonly experts: readonly Expert[];
  readonly shared: Expert | null; // that every token has besides
  readonly sharedGate: Linear | null;
  readonly mlpOutputNorm: Norm | null;
}

export interface ReferenceDecoder {
  /** [vocab] logits after the last token. `tokens`: n ≥ 1 ids within the context. */
  logits(tokens: ArrayLike<number>): Float64Array;
  /** The same after every token: [n] arrays of [vocab]. */
  allLogits(tokens: ArrayLike<number>): Float64Array[];
  /**
   * The `count` most likely next tokens, one after the other; ties go to the lower id, nothing stops it early. Every
   * token costs a whole pass: to check a text that is already there, compare it with one allLogits().
   */
  greedy(tokens: ArrayLike<number>, count: number): number[];
}

/** Reads all weights (float32, as stored). Throws CheckpointError. */
export function createReferenceDecoder(checkpoint: Checkpoint): ReferenceDecoder {
  const { spec } = checkpoint;
  const embeddings = checkpoint.read('model.embed_tokens.weight'); // [vocab, hidden]
  const layers = Array.from({ length: spec.layerCount }, (_, layer) => readLayer(checkpoint, layer));
  const finalNorm = readNorm(checkpoint, 'model.norm')!;
  const head: Linear = {
    weight: spec.tiedEmbeddings ? embeddings : checkpoint.read('lm_head.weight'),
    bias: null,
  };
  const forward = (tokens: ArrayLike<number>): Vector[] => {
    assert(tokens.length > 0 && tokens.length <= spec.contextLength, `${tokens.length} tokens`);
    let hidden: Vector[] = Array.from(tokens, (token) => {
      assert(Number.isInteger(token) && token >= 0 && token < spec.vocabSize, `token ${token}`);
      const start = token * spec.hiddenSize;
      const embedding = Float64Array.from(embeddings.subarray(start, start + spec.hiddenSize));
      return scale(embedding, spec.embeddingMultiplier);
    });
    for (const layer of layers) hidden = runLayer(spec, layer, hidden);
    return hidden;
  };
  const project = (hidden: Vector): Vector => {
    const normed = scale(normalize(hidden, finalNorm, spec.rmsNormEps), spec.logitMultiplier);
    return multiply(head, normed).map((logit) => softCap(logit, spec.logitSoftCap));
  };
  const logits = (tokens: ArrayLike<number>): Vector => project(forward(tokens).at(-1)!);

  return {
    logits,
    allLogits: (tokens) => forward(tokens).map(project),
    greedy(tokens, count) {
      const sequence = Array.from(tokens);
      for (let i = 0; i < count; i++) sequence.push(argmax(logits(sequence)));
      return sequence.slice(tokens.length);
    },
  };
}

/** Index of the greatest value, the first of equals. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** x ← x + attention(x); x ← x + mlp(x), each between its norms, for all positions. */
function runLayer(spec: ModelSpec, layer: Layer, hidden: readonly Vector[]): Vector[] {
  const normed = hidden.map((x) => normalize(x, layer.attentionNorm, spec.rmsNormEps));
  const ready = (linear: Linear, norm: Norm | null, x: Vector, position: number) => {
    const heads = normalizeHeads(multiply(linear, x), norm, spec.rmsNormEps);
    return layer.attention.rotary === 'none'
      ? heads
      : rotateHeads(heads, spec, layer.attention.rotary, position);
  };
  const queries = normed.map((x, position) =>
    scale(ready(layer.query, layer.queryNorm, x, position), scoreGrowthAt(spec, position)),
  );
  const keys = normed.map((x, position) => ready(layer.key, layer.keyNorm, x, position));
  const values = normed.map((x) => multiply(layer.value, x));
  return hidden.map((x, position) => {
    // Causal: a position sees itself and what came before, as far as the window reaches.
    const start = Math.max(0, position + 1 - (layer.attention.window ?? Number.POSITIVE_INFINITY));
    const past = { keys: keys.slice(start, position + 1), values: values.slice(start, position + 1) };
    const attended = multiply(layer.attentionOutput, attend(spec, queries[position]!, past, layer.sinks));
    const between = branch(spec, x, attended, layer.attentionOutputNorm);
    const fed = runMlp(spec, layer, normalize(between, layer.mlpNorm, spec.rmsNormEps));
    return branch(spec, between, fed, layer.mlpOutputNorm);
  });
}

function branch(spec: ModelSpec, x: Vector, output: Vector, norm: Norm | null): Vector {
  return add(x, scale(normalize(output, norm, spec.rmsNormEps), spec.residualMultiplier));
}

/** Grouped-query attention of one position: [heads · headSize]. */
function attend(
  spec: ModelSpec,
  query: Vector,
  past: { readonly keys: readonly Vector[]; readonly values: readonly Vector[] },
  sinks: Float32Array | null,
): Vector {
  const { headCount, headSize } = spec;
  const headsPerKv = headCount / spec.kvHeadCount;
  const output = new Float64Array(headCount * headSize);
  for (let head = 0; head < headCount; head++) {
    const at = head * headSize;
    const kvAt = Math.floor(head / headsPerKv) * headSize;
    const scores = past.keys.map((key) => {
      let dot = 0;
      for (let i = 0; i < headSize; i++) dot += query[at + i]! * key[kvAt + i]!;
      return softCap(dot * spec.attentionMultiplier, spec.attentionSoftCap);
    });
    const weights = softmax(sinks === null ? scores : [...scores, sinks[head]!]);
    for (const [position, value] of past.values.entries()) {
      for (let i = 0; i < headSize; i++) output[at + i]! += weights[position]! * value[kvAt + i]!;
    }
  }
  return output;
}

/** The feed-forward, or the weighted sum of those that the router scores highest and of what all tokens share. */
function runMlp(spec: ModelSpec, layer: Layer, x: Vector): Vector {
  const { router, experts, shared, sharedGate } = layer;
  if (router === null) return runExpert(spec, experts[0]!, x);
  const { activeCount, isNormalised } = spec.experts!;
  const scores = [...multiply(router, x)];
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const chosen = order.slice(0, activeCount);
  const all = softmax(scores);
  const total = isNormalised ? chosen.reduce((sum, i) => sum + all[i]!, 0) : 1;
  const routed = chosen
    .map((i) => scale(runExpert(spec, experts[i]!, x), all[i]! / total))
    .reduce((sum, part) => add(sum, part));
  if (shared === null) return routed;
  const share = sharedGate === null ? 1 : 1 / (1 + Math.exp(-multiply(sharedGate, x)[0]!));
  return add(routed, scale(runExpert(spec, shared, x), share));
}

/** down(act(gate(x)) · up(x)), or down(act(up(x))). */
function runExpert({ activation, experts }: ModelSpec, expert: Expert, x: Vector): Vector {
  const up = multiply(expert.up, x);
  if (expert.gate === null) return multiply(expert.down, up.map(activations[activation]));
  const gate = multiply(expert.gate, x);
  const clamp = experts?.clamp ?? null;
  const product = gate.map((g, i) => {
    if (clamp === null) return activations[activation](g) * up[i]!;
    const low = Math.min(g, clamp.limit);
    const linear = Math.max(-clamp.limit, Math.min(up[i]!, clamp.limit)) + 1;
    return (low / (1 + Math.exp(-clamp.alpha * low))) * linear;
  });
  return multiply(expert.down, product);
}

const activations: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  gelu: (x) => 0.5 * x * (1 + errorFunction(x / Math.SQRT2)),
};

/** Its power series; no activation that matters is beyond ±5, where it is ±1. */
function errorFunction(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** RMSNorm: x / √(mean(x²) + ε) · scale; with a shift, of x less its mean, plus the shift. No norm: x. */
function normalize(x: Vector, norm: Norm | null, eps: number): Vector {
  if (norm === null) return x;
  const { scale: gains, shift } = norm;
  const mean = shift === null ? 0 : x.reduce((sum, value) => sum + value, 0) / x.length;
  let sum = 0;
  for (const value of x) sum += (value - mean) ** 2;
  const factor = 1 / Math.sqrt(sum / x.length + eps);
  return x.map((value, i) => (value - mean) * factor * gains[i]! + (shift?.[i] ?? 0));
}

/** Each part of x that is as long as the norm's gains by itself: a head, or all of them. */
function normalizeHeads(x: Vector, norm: Norm | null, eps: number): Vector {
  if (norm === null) return x;
  const size = norm.scale.length;
  const normed = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += size) normed.set(normalize(x.slice(at, at + size), norm, eps), at);
  return normed;
}

/**
 * Rotary embedding, half-split as in Hugging Face: of the turned elements of a head, i turns with i + half of them; what
 * comes after them stays.
 */
function rotateHeads(x: Vector, spec: ModelSpec, kind: RotaryKind, position: number): Vector {
  const half = spec.rotarySize / 2;
  const frequencies = rotaryFrequencies(spec, kind, position);
  const magnitude = rotaryMagnitude(spec, kind);
  const rotated = x.slice();
  for (let head = 0; head < x.length; head += spec.headSize) {
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      const first = magnitude * x[head + i]!;
      const second = magnitude * x[head + half + i]!;
      rotated[head + i] = first * Math.cos(angle) - second * Math.sin(angle);
      rotated[head + half + i] = second * Math.cos(angle) + first * Math.sin(angle);
    }
  }
  return rotated;
}

/** weight · x + bias. */
function multiply({ weight, bias }: Linear, x: Vector): Vector {
  const columns = x.length;
  const result = new Float64Array(weight.length / columns);
  for (let row = 0; row < result.length; row++) {
    let sum = 0;
    for (let column = 0; column < columns; column++) sum += weight[row * columns + column]! * x[column]!;
    result[row] = sum + (bias?.[row] ?? 0);
  }
  return result;
}

function add(x: Vector, y: Vector): Vector {
  return x.map((value, i) => value + y[i]!);
}

function scale(x: Vector, factor: number): Vector {
  return factor === 1 ? x : x.map((value) => value * factor);
}

function softCap(x: number, cap: number | null): number {
  return cap === null ? x : cap * Math.tanh(x / cap);
}

function softmax(scores: readonly number[]): number[] {
  const max = scores.reduce((a, b) => Math.max(a, b));
  const exponentials = scores.map((score) => Math.exp(score - max));
  const sum = exponentials.reduce((a, b) => a + b);
  return exponentials.map((value) => value / sum);
}

function readLayer(checkpoint: Checkpoint, layer: number): Layer {
  const name = (suffix: string) => `model.layers.${layer}.${suffix}`;
  const norm = (suffix: string) => readNorm(checkpoint, name(suffix));
  const linear = (suffix: string): Linear => {
    const bias = name(`${suffix}.bias`);
    return {
      weight: checkpoint.read(name(`${suffix}.weight`)),
      bias: checkpoint.has(bias) ? checkpoint.read(bias) : null,
    };
  };
  const { layers, isGated, experts, hasSinks } = checkpoint.spec;
  const isMixed = hasExperts(checkpoint.spec, layer);
  const expert = (prefix: string): Expert => ({
    gate: isGated ? linear(`${prefix}.gate_proj`) : null,
    up: linear(`${prefix}.up_proj`),
    down: linear(`${prefix}.down_proj`),
  });
  return {
    attention: layers[layer]!,
    attentionNorm: norm('input_layernorm'),
    query: linear('self_attn.q_proj'),
    key: linear('self_attn.k_proj'),
    value: linear('self_attn.v_proj'),
    queryNorm: norm('self_attn.q_norm'),
    keyNorm: norm('self_attn.k_norm'),
    sinks: hasSinks ? checkpoint.read(name('self_attn.sinks')) : null,
    attentionOutput: linear('self_attn.o_proj'),
    attentionOutputNorm: norm('self_attn.out_norm'),
    mlpNorm: norm('post_attention_layernorm'),
    router: isMixed ? linear('mlp.router') : null,
    experts: isMixed
      ? Array.from({ length: experts!.count }, (_, i) => expert(`mlp.experts.${i}`))
      : [expert('mlp')],
    shared: isMixed && experts!.shared !== null ? expert('mlp.shared') : null,
    sharedGate: isMixed && experts!.shared?.isGated ? linear('mlp.shared_gate') : null,
    mlpOutputNorm: norm('mlp.out_norm'),
  };
}

/** Null where the decoder has no such norm. */
function readNorm(checkpoint: Checkpoint, name: string): Norm | null {
  const required = requiredTensors(checkpoint.spec);
  if (!required.has(`${name}.weight`)) return null;
  const shift = required.has(`${name}.bias`) ? checkpoint.read(`${name}.bias`) : null;
  return { scale: checkpoint.read(`${name}.weight`), shift };
}
