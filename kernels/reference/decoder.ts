// The slow, obvious decoder: one sequence, no cache, every position computed anew in float64. It is the oracle of
// the engine's and the graphs' tests, so it is written to be read against the model's definition, not to be fast.
// Used by test/golden and test/sim; nothing in the server imports it.
import assert from 'node:assert/strict';
import type { Checkpoint } from '../../models/checkpoint.ts';
import type { ModelSpec } from '../../models/spec.ts';

type Vector = Float64Array;

interface Linear {
  readonly weight: Float32Array; // [out, in]
  readonly bias: Float32Array | null; // [out]
}

interface Layer {
  readonly attentionNorm: Float32Array; // [hidden]
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly attentionOutput: Linear;
  readonly mlpNorm: Float32Array; // [hidden]
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
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
  const finalNorm = checkpoint.read('model.norm.weight');
  const head: Linear = {
    weight: spec.tiedEmbeddings ? embeddings : checkpoint.read('lm_head.weight'),
    bias: null,
  };
  const frequencies = rotaryFrequencies(spec);

  const forward = (tokens: ArrayLike<number>): Vector[] => {
    assert(tokens.length > 0 && tokens.length <= spec.contextLength, `${tokens.length} tokens`);
    let hidden: Vector[] = Array.from(tokens, (token) => {
      assert(Number.isInteger(token) && token >= 0 && token < spec.vocabSize, `token ${token}`);
      const start = token * spec.hiddenSize;
      return Float64Array.from(embeddings.subarray(start, start + spec.hiddenSize));
    });
    for (const layer of layers) hidden = runLayer(spec, layer, { hidden, frequencies });
    return hidden;
  };
  const project = (hidden: Vector): Vector => multiply(head, normalize(hidden, finalNorm, spec.rmsNormEps));
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

/** x ← x + attention(norm(x)); x ← x + mlp(norm(x)), for all positions. */
function runLayer(
  spec: ModelSpec,
  layer: Layer,
  input: { readonly hidden: readonly Vector[]; readonly frequencies: Vector },
): Vector[] {
  const normed = input.hidden.map((x) => normalize(x, layer.attentionNorm, spec.rmsNormEps));
  const rotate = (x: Vector, position: number) =>
    rotateHeads(x, { position, frequencies: input.frequencies, headSize: spec.headSize });
  const queries = normed.map((x, position) => rotate(multiply(layer.query, x), position));
  const keys = normed.map((x, position) => rotate(multiply(layer.key, x), position));
  const values = normed.map((x) => multiply(layer.value, x));
  return input.hidden.map((x, position) => {
    // Causal: a position sees itself and what came before.
    const past = { keys: keys.slice(0, position + 1), values: values.slice(0, position + 1) };
    const attended = add(x, multiply(layer.attentionOutput, attend(spec, queries[position]!, past)));
    return add(attended, runMlp(layer, normalize(attended, layer.mlpNorm, spec.rmsNormEps)));
  });
}

/** Grouped-query attention of one position: [heads · headSize]. */
function attend(
  spec: ModelSpec,
  query: Vector,
  past: { readonly keys: readonly Vector[]; readonly values: readonly Vector[] },
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
      return dot / Math.sqrt(headSize);
    });
    const weights = softmax(scores);
    for (const [position, value] of past.values.entries()) {
      for (let i = 0; i < headSize; i++) output[at + i]! += weights[position]! * value[kvAt + i]!;
    }
  }
  return output;
}

/** SwiGLU: down(silu(gate(x)) · up(x)). */
function runMlp(layer: Layer, x: Vector): Vector {
  const gate = multiply(layer.gate, x);
  const up = multiply(layer.up, x);
  return multiply(
    layer.down,
    gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!),
  );
}

/** RMSNorm: x / √(mean(x²) + ε) · scale. */
function normalize(x: Vector, scale: Float32Array, eps: number): Vector {
  let sum = 0;
  for (const value of x) sum += value * value;
  const factor = 1 / Math.sqrt(sum / x.length + eps);
  return x.map((value, i) => value * factor * scale[i]!);
}

/** Rotary embedding, half-split as in Hugging Face: element i of a head turns with element i + headSize / 2. */
function rotateHeads(
  x: Vector,
  at: { readonly position: number; readonly frequencies: Vector; readonly headSize: number },
): Vector {
  const half = at.headSize / 2;
  const rotated = new Float64Array(x.length);
  for (let head = 0; head < x.length; head += at.headSize) {
    for (let i = 0; i < half; i++) {
      const angle = at.position * at.frequencies[i]!;
      const first = x[head + i]!;
      const second = x[head + half + i]!;
      rotated[head + i] = first * Math.cos(angle) - second * Math.sin(angle);
      rotated[head + half + i] = second * Math.cos(angle) + first * Math.sin(angle);
    }
  }
  return rotated;
}

/** [headSize / 2] radians per token, with the model's scaling. Source: transformers modeling_rope_utils. */
export function rotaryFrequencies(spec: ModelSpec): Float64Array {
  const half = spec.headSize / 2;
  return Float64Array.from({ length: half }, (_, i) =>
    scaleFrequency(spec.ropeTheta ** (-i / half), i, spec.ropeScaling),
  );
}

function scaleFrequency(frequency: number, index: number, scaling: ModelSpec['ropeScaling']): number {
  if (scaling === null) return frequency;
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  if (scaling.kind === 'divisors') return frequency / scaling.divisors[index]!;
  // Llama 3: slow turns are slowed by `factor`, fast ones stay, those between are blended.
  const turns = (scaling.originalContextLength * frequency) / (2 * Math.PI); // over the original context
  if (turns < scaling.lowFreqFactor) return frequency / scaling.factor;
  if (turns > scaling.highFreqFactor) return frequency;
  const blend = (turns - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor);
  return (1 - blend) * (frequency / scaling.factor) + blend * frequency;
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

function softmax(scores: readonly number[]): number[] {
  const max = scores.reduce((a, b) => Math.max(a, b));
  const exponentials = scores.map((score) => Math.exp(score - max));
  const sum = exponentials.reduce((a, b) => a + b);
  return exponentials.map((value) => value / sum);
}

function readLayer(checkpoint: Checkpoint, layer: number): Layer {
  const name = (suffix: string) => `model.layers.${layer}.${suffix}`;
  const linear = (suffix: string): Linear => {
    const bias = name(`${suffix}.bias`);
    return {
      weight: checkpoint.read(name(`${suffix}.weight`)),
      bias: checkpoint.has(bias) ? checkpoint.read(bias) : null,
    };
  };
  return {
    attentionNorm: checkpoint.read(name('input_layernorm.weight')),
    query: linear('self_attn.q_proj'),
    key: linear('self_attn.k_proj'),
    value: linear('self_attn.v_proj'),
    attentionOutput: linear('self_attn.o_proj'),
    mlpNorm: checkpoint.read(name('post_attention_layernorm.weight')),
    gate: linear('mlp.gate_proj'),
    up: linear('mlp.up_proj'),
    down: linear('mlp.down_proj'),
  };
}
