// A decoder's architecture as ONNX nodes (Llama and Qwen2 families). One graph serves prefill chunks and decode:
//
//   inputs   input_ids int32 [B, n]; seqlens_k int32 [B], length of each sequence after the step − 1;
//            total_sequence_length int32 [], the longest of them after the step;
//            logit_rows int32 [R], indices into the B·n tokens whose logits are wanted, R ≥ 1;
//            past_key.L, past_value.L f32 or int8 [B, kvHeads, capacity, headSize] per layer L;
//            with int8: key_scale.L, value_scale.L f32 [1, kvHeads, 1, headSize], what a step of 1 is worth
//   outputs  top_values f32 [R, K], top_ids int32 [R, K], descending, equal values by lower id; K = topCount;
//            logsumexp f32 [R]; logits f32 [R, V];
//            present_key.L, present_value.L, to be bound to the memory of the past: updated in place
//
// ONNX Runtime's CPU kernel allows B > 1 with a past only where n = 1: a chunk is of one sequence.
// Before it: build.ts with a checkpoint; after it: precision.ts for every matrix, onnx-proto.ts for the bytes.
import type { ModelSpec } from '../spec.ts';
import type { Arithmetic, Linear, LinearRole, WeightSource } from './arithmetic.ts';
import { bytesOf, GraphWriter } from './graph-writer.ts';
import type { DataType, GraphProto, ValueInfo } from './onnx-proto.ts';
import { arithmeticOf, type Precision } from './precision.ts';
import { rotaryTables } from './rotary.ts';
import { type SmoothedRole, smoothedRoles } from './smoothing.ts';

/**
 * How many of the most likely tokens a step reports; bounds top-k sampling and logprobs without the full logits.
 * 32 of 8,192 take 23 µs a row, 64 take 34, the largest alone 15.
 */
export function topCount(spec: ModelSpec): number {
  return Math.min(32, spec.vocabSize);
}

/** How keys and values are kept; the weights do not depend on it. */
export type KvPrecision = 'fp32' | 'int8';

export interface DecoderFormat {
  readonly precision: Precision;
  readonly kv: KvPrecision;
  readonly smoothed?: boolean; // the source is `smoothed`: activations are even enough for faster kernels
  readonly probed?: boolean; // with rangeOutputs()
}

/** The nodes and recipes of a whole decoder. Reads no weights: recipes do, when the builder runs them. */
export function writeDecoder(spec: ModelSpec, format: DecoderFormat, source: WeightSource): GraphWriter {
  const { precision, kv, smoothed = false, probed = false } = format;
  const writer = new GraphWriter();
  const arithmetic = arithmeticOf(precision, source, smoothed);
  const decoder: Decoder = { spec, kv, probed, source, writer, arithmetic };
  writeRotary(decoder);
  const table = {
    weight: 'model.embed_tokens.weight',
    vocabSize: spec.vocabSize,
    hiddenSize: spec.hiddenSize,
  };
  let residual = decoder.arithmetic.embed(writer, 'input_ids', table);
  let normed = firstNorm(decoder, residual);
  for (let layer = 0; layer < spec.layerCount; layer++) {
    const isLast = layer === spec.layerCount - 1;
    let attended = attention(decoder, layer, normed);
    if (isLast) [attended, residual] = selectRows(decoder, attended, residual);
    const projected = outputProjection(decoder, layer, attended);
    const prefix = `model.layers.${layer}`;
    [normed, residual] = skipNorm(
      decoder,
      [projected, residual],
      `${prefix}.post_attention_layernorm.weight`,
      true,
    );
    const fed = feedForward(decoder, layer, normed);
    const next = isLast ? 'model.norm.weight' : `model.layers.${layer + 1}.input_layernorm.weight`;
    [normed, residual] = skipNorm(decoder, [fed, residual], next, !isLast);
  }
  const headWeight = spec.tiedEmbeddings ? table.weight : 'lm_head.weight';
  decoder.arithmetic.unembed(writer, normed, { ...table, weight: headWeight, tied: spec.tiedEmbeddings });
  rankTokens(decoder);
  return writer;
}

/** The graph's inputs and outputs around `writer`'s nodes; initializers come from the builder. */
export function decoderInterface(spec: ModelSpec, kv: KvPrecision): Pick<GraphProto, 'inputs' | 'outputs'> {
  const perLayer = (type: DataType, names: readonly string[], shape: ValueInfo['shape']): ValueInfo[] =>
    Array.from({ length: spec.layerCount }, (_, layer) =>
      names.map((name) => ({ name: `${name}.${layer}`, type, shape })),
    ).flat();
  const cache = (name: string) =>
    perLayer(
      kv === 'int8' ? 'int8' : 'float',
      [`${name}_key`, `${name}_value`],
      ['batch', spec.kvHeadCount, 'capacity', spec.headSize],
    );
  const scales =
    kv === 'int8'
      ? perLayer('float', ['key_scale', 'value_scale'], [1, spec.kvHeadCount, 1, spec.headSize])
      : [];
  return {
    inputs: [
      { name: 'input_ids', type: 'int32', shape: ['batch', 'tokens'] },
      { name: 'seqlens_k', type: 'int32', shape: ['batch'] },
      { name: 'total_sequence_length', type: 'int32', shape: [] },
      { name: 'logit_rows', type: 'int32', shape: ['rows'] },
      ...cache('past'),
      ...scales,
    ],
    outputs: [
      { name: 'top_values', type: 'float', shape: ['rows', topCount(spec)] },
      { name: 'top_ids', type: 'int32', shape: ['rows', topCount(spec)] },
      { name: 'logsumexp', type: 'float', shape: ['rows'] },
      { name: 'logits', type: 'float', shape: ['rows', spec.vocabSize] },
      ...cache('present'),
    ],
  };
}

/** What a probed decoder answers besides: the largest magnitude of each channel of an input, over the step's tokens. */
export function rangeOutputs({ layerCount, hiddenSize, ffnSize }: ModelSpec): ValueInfo[] {
  return Array.from({ length: layerCount }, (_, layer) =>
    smoothedRoles.map((role): ValueInfo => {
      return {
        name: rangeName(role, layer),
        type: 'float',
        shape: [role === 'feed-out' ? ffnSize : hiddenSize],
      };
    }),
  ).flat();
}

export function rangeName(role: SmoothedRole, layer: number): string {
  return `range.${role}.${layer}`;
}

interface Decoder {
  readonly spec: ModelSpec;
  readonly kv: KvPrecision;
  readonly probed: boolean;
  readonly source: WeightSource;
  readonly writer: GraphWriter;
  readonly arithmetic: Arithmetic;
}

function writeRotary({ spec, writer }: Decoder): void {
  const shape = [spec.contextLength, spec.headSize / 2];
  writer.weights({
    tensors: [
      { name: 'rotary.cos', type: 'float', shape },
      { name: 'rotary.sin', type: 'float', shape },
    ],
    produce: () => {
      const { cos, sin } = rotaryTables(spec);
      return [bytesOf(cos), bytesOf(sin)];
    },
  });
}

function gain({ spec, source, writer }: Decoder, name: string): string {
  writer.weights({
    tensors: [{ name, type: 'float', shape: [spec.hiddenSize] }],
    produce: () => [bytesOf(source.read(name))],
  });
  return name;
}

function firstNorm(decoder: Decoder, input: string): string {
  const weight = gain(decoder, 'model.layers.0.input_layernorm.weight');
  return decoder.writer.node('SimplifiedLayerNormalization', 'model.layers.0.normed', [input, weight], {
    axis: { int: -1 },
    epsilon: { float: decoder.spec.rmsNormEps },
  });
}

/** Adds the residual and normalises the sum in one node; the sum is the next residual where one is needed. */
function skipNorm(
  decoder: Decoder,
  [input, skip]: [string, string],
  weight: string,
  keepSum: boolean,
): [string, string] {
  const name = weight.replace(/\.weight$/, '');
  const outputs = [`${name}.normed`, ...(keepSum ? ['', '', `${name}.sum`] : [])];
  decoder.writer.contrib('SkipSimplifiedLayerNormalization', outputs, [input, skip, gain(decoder, weight)], {
    epsilon: { float: decoder.spec.rmsNormEps },
  });
  return [outputs[0]!, keepSum ? outputs[3]! : ''];
}

function attention(decoder: Decoder, layer: number, input: string): string {
  const prefix = `model.layers.${layer}.self_attn`;
  probe(decoder, rangeName('attention-in', layer), [input, decoder.spec.hiddenSize]);
  const { spec, kv, writer, arithmetic } = decoder;
  const projections = ['q_proj', 'k_proj', 'v_proj'];
  const packed: Linear = {
    name: `${prefix}.qkv`,
    role: 'attention-in',
    inSize: spec.hiddenSize,
    outSize: (spec.headCount + 2 * spec.kvHeadCount) * spec.headSize,
    weights: projections.map((name) => `${prefix}.${name}.weight`),
    biases: spec.qkvBias ? projections.map((name) => `${prefix}.${name}.bias`) : [],
  };
  const [qkv] = arithmetic.project(writer, input, [packed]);
  const inputs = [qkv!, '', '', `past_key.${layer}`, `past_value.${layer}`];
  inputs.push('seqlens_k', 'total_sequence_length', 'rotary.cos', 'rotary.sin');
  // Left out: positions, an attention bias, a head sink.
  if (kv === 'int8') inputs.push('', '', '', `key_scale.${layer}`, `value_scale.${layer}`);
  const outputs = [`${prefix}.attended`, `present_key.${layer}`, `present_value.${layer}`];
  writer.contrib('GroupQueryAttention', outputs, inputs, {
    num_heads: { int: spec.headCount },
    kv_num_heads: { int: spec.kvHeadCount },
    do_rotary: { int: 1 },
    rotary_interleaved: { int: 0 },
    ...(kv === 'int8' && {
      k_quant_type: { text: 'PER_CHANNEL' },
      v_quant_type: { text: 'PER_CHANNEL' },
      kv_cache_bit_width: { int: 8 },
    }),
  });
  return outputs[0]!;
}

/** After the last attention only the rows whose logits are wanted matter: [B, n, d] → [R, d], twice. */
function selectRows({ spec, writer }: Decoder, attended: string, residual: string): [string, string] {
  const select = (input: string, size: number): string => {
    const shape = writer.constant(`shape.${size}`, 'int64', [2], BigInt64Array.of(-1n, BigInt(size)));
    const flat = writer.node('Reshape', `${input}.flat`, [input, shape]);
    return writer.node('Gather', `${input}.rows`, [flat, 'logit_rows'], { axis: { int: 0 } });
  };
  return [select(attended, spec.headCount * spec.headSize), select(residual, spec.hiddenSize)];
}

function outputProjection({ spec, writer, arithmetic }: Decoder, layer: number, input: string): string {
  const name = `model.layers.${layer}.self_attn.o_proj`;
  const linear: Linear = {
    name,
    role: 'attention-out',
    inSize: spec.headCount * spec.headSize,
    outSize: spec.hiddenSize,
    weights: [`${name}.weight`],
    biases: spec.attentionOutputBias ? [`${name}.bias`] : [],
  };
  return arithmetic.project(writer, input, [linear])[0]!;
}

/** down(silu(gate(x)) · up(x)); QuickGelu with alpha 1 is SiLU. */
function feedForward(decoder: Decoder, layer: number, input: string): string {
  const { spec, writer, arithmetic } = decoder;
  const prefix = `model.layers.${layer}.mlp`;
  const linear = (name: string, role: LinearRole, inSize: number, outSize: number): Linear => ({
    name: `${prefix}.${name}`,
    role,
    inSize,
    outSize,
    weights: [`${prefix}.${name}.weight`],
    biases: spec.mlpBias ? [`${prefix}.${name}.bias`] : [],
  });
  const { hiddenSize, ffnSize } = spec;
  probe(decoder, rangeName('feed-in', layer), [input, hiddenSize]);
  const wide = [
    linear('gate_proj', 'feed-in', hiddenSize, ffnSize),
    linear('up_proj', 'feed-in', hiddenSize, ffnSize),
  ];
  const [gate, up] = arithmetic.project(writer, input, wide);
  const [activated] = writer.contrib('QuickGelu', [`${prefix}.silu`], [gate!], { alpha: { float: 1 } });
  const product = writer.node('Mul', `${prefix}.product`, [activated!, up!]);
  probe(decoder, rangeName('feed-out', layer), [product, ffnSize]);
  return arithmetic.project(writer, product, [linear('down_proj', 'feed-out', ffnSize, hiddenSize)])[0]!;
}

/** [..., size] → [size], the largest magnitude of each channel. */
function probe({ writer, probed }: Decoder, output: string, [input, size]: readonly [string, number]): void {
  if (!probed) return;
  const shape = writer.constant(`shape.${size}`, 'int64', [2], BigInt64Array.of(-1n, BigInt(size)));
  const axes = writer.constant('first_axis', 'int64', [1], BigInt64Array.of(0n));
  const magnitudes = writer.node('Abs', `${output}.magnitudes`, [input]);
  const rows = writer.node('Reshape', `${output}.rows`, [magnitudes, shape]);
  writer.node('ReduceMax', output, [rows, axes], { keepdims: { int: 0 } });
}

function rankTokens({ spec, writer }: Decoder): void {
  const k = writer.constant('top_count', 'int64', [1], BigInt64Array.of(BigInt(topCount(spec))));
  const outputs = ['top_values', 'top_ids.int64'];
  writer.append({
    operator: 'TopK',
    domain: '',
    outputs,
    inputs: ['logits', k],
    attributes: { axis: { int: -1 } },
  });
  writer.node('Cast', 'top_ids', ['top_ids.int64'], { to: { int: 6 } });
  // logsumexp = x₀ − logsoftmax(x)₀, for any column; ReduceLogSumExp takes ten times as long.
  const first = writer.constant('first_column', 'int64', [], BigInt64Array.of(0n));
  const logProbs = writer.node('LogSoftmax', 'log_probs', ['logits'], { axis: { int: -1 } });
  const value = writer.node('Gather', 'logits.first', ['logits', first], { axis: { int: 1 } });
  const logProb = writer.node('Gather', 'log_probs.first', [logProbs, first], { axis: { int: 1 } });
  writer.node('Sub', 'logsumexp', [value, logProb]);
}
