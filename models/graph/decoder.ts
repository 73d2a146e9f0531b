// A decoder as ONNX nodes, of any family that a ModelSpec can say. One graph serves prefill chunks and decode:
//
//   inputs   input_ids int32 [B, n]; seqlens_k int32 [B], length of each sequence after the step − 1;
//            total_sequence_length int32 [], the longest of them after the step;
//            logit_rows int32 [R], indices into the B·n tokens whose logits are wanted, R ≥ 1;
//            alone_count int64 []: 0, or n where B = 1: each token as if it came alone, to the last bit (alone-nodes.ts); not read
//            where our own attention computes, which never does otherwise;
//            past_key.L, past_value.L f32 or int8 [B, kvHeads, capacity, headSize] per layer L;
//            with int8: key_scale.L, value_scale.L f32 [1, kvHeads, 1, headSize], what a step of 1 is worth; value_shift.L,
//            answer_shift.L f32 [shiftSizes], what moves values to their origins and answers back; wide int32 [],
//            1: the step is a chunk of a prompt (int8-attention-nodes.ts); not read by our own attention
//   outputs  top_values f32 [R, K], top_ids int32 [R, K], descending, equal values by lower id; K = topCount;
//            logsumexp f32 [R]; logits f32 [R, V];
//            present_key.L, present_value.L, to be bound to the memory of the past: updated in place
//
// ONNX Runtime's CPU kernel allows B > 1 with a past only where n = 1: a chunk is of one sequence.
// Before it: build.ts with a checkpoint; after it: the parts (attention-nodes.ts …), precision.ts for every matrix.
import type { DataType, GraphProto, ValueInfo } from '../onnx/onnx-proto.ts';
import type { ModelSpec } from '../spec.ts';
import type { WeightSource } from '../weights/weights.ts';
import { writeAttention, writeOutputProjection, writeRotaryTables } from './attention-nodes.ts';
import {
  type DecoderContext,
  type GraphTarget,
  type KvPrecision,
  rangeName,
  writeScaled,
  writeSoftCap,
} from './decoder-context.ts';
import { writeFeedForward } from './feed-forward-nodes.ts';
import { GraphWriter } from './graph-writer.ts';
import { shiftSizes, writeWideness } from './int8-attention-nodes.ts';
import { writeNorm, writeSkipNorm } from './norm-nodes.ts';
import { hasOwnAttention } from './own-attention-nodes.ts';
import { arithmeticOf, type Precision } from './precision.ts';
import { scoresScaled } from './score-scale.ts';
import { smoothedRoles } from './smoothing.ts';

/**
 * How many of the most likely tokens a step reports; bounds top-k sampling and logprobs without the full logits.
 * 32 of 8,192 take 23 µs a row, 64 take 34, the largest alone 15.
 */
export function topCount(spec: ModelSpec): number {
  return Math.min(32, spec.vocabSize);
}

export interface DecoderFormat {
  readonly precision: Precision;
  readonly kv: KvPrecision;
  readonly smoothed?: boolean; // the source is `smoothed`: activations are even enough for faster kernels
  readonly exactProducts?: boolean; // as of Calibration (build.ts)
  readonly stretch?: Stretch; // some layers alone, which also answer how large their activations are: stretchInterface()
  readonly target?: GraphTarget; // cpu, unless told otherwise
  readonly ownKernels?: boolean; // on the cpu: with our own operators (kernels/native), where they have the format
  readonly answers?: 'tokens' | 'states'; // tokens, or what the head would read, of every token: statesInterface()
}

/** Layers that follow each other. */
export interface Stretch {
  readonly from: number;
  readonly to: number; // exclusive
}

/** The nodes and recipes of a decoder, or of a stretch of it. Reads no weights: recipes do, when the builder runs them. */
export function writeDecoder(spec: ModelSpec, format: DecoderFormat, unscaled: WeightSource): GraphWriter {
  const { precision, kv, target = 'cpu', smoothed = false, stretch, answers = 'tokens' } = format;
  const writer = new GraphWriter();
  const source = scoresScaled(spec, unscaled);
  const exactProducts = format.exactProducts ?? false;
  // Another device's head multiplies the embeddings' blocks, which a finer head leaves in the file.
  const fineHead = exactProducts && target === 'cpu';
  const ownKernels = target === 'cpu' && format.ownKernels === true;
  const arithmetic = arithmeticOf(precision, source, { smoothed, exactProducts, fineHead, ownKernels });
  // int8 keys are multiplied row by row as it is, and our own attention computes every token as if it came alone.
  const isAlike = kv === 'int8' || (ownKernels && hasOwnAttention(spec));
  const guesses = target === 'cpu' && !isAlike && answers === 'tokens' && stretch === undefined;
  const probed = stretch !== undefined;
  const context: DecoderContext = {
    spec,
    kv,
    target,
    probed,
    ownKernels,
    guesses,
    source,
    writer,
    arithmetic,
  };
  writeRotaryTables(context);
  writeWideness(context);
  const table = {
    weight: 'model.embed_tokens.weight',
    vocabSize: spec.vocabSize,
    hiddenSize: spec.hiddenSize,
  };
  const embeddings = () =>
    writeScaled(context, arithmetic.embed(writer, 'input_ids', table), spec.embeddingMultiplier);
  if (stretch !== undefined) {
    writeStretch(context, stretch.from === 0 ? embeddings() : 'past_states', stretch);
    return writer;
  }
  const normed = writeLayers(context, embeddings(), answers);
  if (answers === 'states') {
    writer.node('Identity', 'states', [normed]);
    return writer;
  }
  const head = { ...table, weight: spec.tiedEmbeddings ? table.weight : 'lm_head.weight' };
  const cap = spec.logitSoftCap;
  const output = cap === null ? 'logits' : 'logits.uncapped';
  const scaled = writeScaled(context, normed, spec.logitMultiplier);
  arithmetic.unembed(writer, scaled, { ...head, tied: spec.tiedEmbeddings, output });
  if (cap !== null) writeSoftCap(context, 'logits', output, cap);
  rankTokens(writer, topCount(spec));
  return writer;
}

/** Embeddings [B, n, d] → the last norm's rows [R, d], or all of them [B, n, d]. */
function writeLayers(
  context: DecoderContext,
  embeddings: string,
  answers: NonNullable<DecoderFormat['answers']>,
): string {
  const { spec } = context;
  let residual = embeddings;
  let normed = firstNorm(context, residual, 0);
  for (let layer = 0; layer < spec.layerCount; layer++) {
    const isLast = layer === spec.layerCount - 1;
    let attended = writeAttention(context, layer, normed);
    if (isLast && answers === 'tokens') [attended, residual] = selectRows(context, attended, residual);
    const [fed, sum] = writeBranches(context, layer, [attended, residual]);
    if (isLast)
      return writeSkipNorm(context, { name: 'model.norm', branch: fed, residual: sum, keepSum: false })[0];
    [normed, residual] = enter(context, [fed, sum], `model.layers.${layer + 1}.input_layernorm`);
  }
  throw new Error('a decoder has layers');
}

/** What `layers` make of states [B, n, d]: the output `states`. */
function writeStretch(context: DecoderContext, input: string, { from, to }: Stretch): void {
  let residual = input;
  for (let layer = from; layer < to; layer++) {
    const attended = writeAttention(context, layer, firstNorm(context, residual, layer));
    const branches = writeBranches(context, layer, [attended, residual]);
    const output = layer === to - 1 ? 'states' : `model.layers.${layer}.states`;
    residual = context.writer.node('Add', output, branches);
  }
}

/** After attention: [what the feed-forward adds, what to]. */
function writeBranches(
  context: DecoderContext,
  layer: number,
  [attended, residual]: readonly [string, string],
): [string, string] {
  const prefix = `model.layers.${layer}`;
  const projected = writeOutputProjection(context, layer, attended);
  const attention = leave(context, projected, `${prefix}.self_attn.out_norm`);
  const [normed, sum] = enter(context, [attention, residual], `${prefix}.post_attention_layernorm`);
  return [leave(context, writeFeedForward(context, layer, normed), `${prefix}.mlp.out_norm`), sum];
}

function firstNorm(context: DecoderContext, input: string, layer: number): string {
  const { normPlacement, hiddenSize: size } = context.spec;
  if (normPlacement === 'after') return input;
  const prefix = `model.layers.${layer}`;
  return writeNorm(context, { name: `${prefix}.input_layernorm`, input, output: `${prefix}.normed`, size });
}

/** What attention or feed-forward answered, as it is added to the residual. */
function leave(context: DecoderContext, output: string, name: string): string {
  const { normPlacement, hiddenSize: size, residualMultiplier } = context.spec;
  const normed =
    normPlacement === 'before'
      ? output
      : writeNorm(context, { name, input: output, output: `${name}.normed`, size });
  return writeScaled(context, normed, residualMultiplier);
}

/** Adds a branch to the residual: [what the next branch reads, the new residual]. */
function enter(
  context: DecoderContext,
  [branch, residual]: readonly [string, string],
  name: string,
): [string, string] {
  const { spec, writer } = context;
  if (spec.normPlacement !== 'after')
    return writeSkipNorm(context, { name, branch, residual, keepSum: true });
  const sum = writer.node('Add', `${name}.sum`, [branch, residual]);
  return [sum, sum];
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
      ? [
          ...perLayer('float', ['key_scale', 'value_scale'], [1, spec.kvHeadCount, 1, spec.headSize]),
          ...perLayer('float', ['value_shift'], [shiftSizes(spec).before]),
          ...perLayer('float', ['answer_shift'], [shiftSizes(spec).after]),
        ]
      : [];
  return {
    inputs: [
      { name: 'input_ids', type: 'int32', shape: ['batch', 'tokens'] },
      { name: 'seqlens_k', type: 'int32', shape: ['batch'] },
      { name: 'total_sequence_length', type: 'int32', shape: [] },
      { name: 'logit_rows', type: 'int32', shape: ['rows'] },
      { name: 'alone_count', type: 'int64', shape: [] },
      ...cache('past'),
      ...scales,
      ...(kv === 'int8' ? [{ name: 'wide', type: 'int32' as const, shape: [] }] : []),
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

/** The same of a decoder that answers states: f32 [B, n, hiddenSize], with the keys and values of a past as before. */
export function statesInterface(spec: ModelSpec): Pick<GraphProto, 'inputs' | 'outputs'> {
  const { inputs, outputs } = decoderInterface(spec, 'fp32');
  const states: ValueInfo = { name: 'states', type: 'float', shape: ['batch', 'tokens', spec.hiddenSize] };
  return {
    inputs: inputs.filter(({ name }) => name !== 'logit_rows' && name !== 'alone_count'),
    outputs: [states, ...outputs.filter(({ name }) => name.startsWith('present'))],
  };
}

/**
 * Of a stretch of layers: past_states f32 [B, n, d] instead of the tokens, but for the first one; states of the same shape, and
 * for each layer the largest magnitude of each channel of an input, over the step's tokens.
 */
export function stretchInterface(spec: ModelSpec, stretch: Stretch): Pick<GraphProto, 'inputs' | 'outputs'> {
  const { inputs, outputs } = statesInterface(spec);
  const layers = Array.from({ length: stretch.to - stretch.from }, (_, index) => stretch.from + index);
  const isWithin = ({ name }: ValueInfo) =>
    !/^(past|present)_/.test(name) || layers.some((layer) => name.endsWith(`.${layer}`));
  const states: ValueInfo = {
    name: 'past_states',
    type: 'float',
    shape: ['batch', 'tokens', spec.hiddenSize],
  };
  const ranges = layers.flatMap((layer) =>
    smoothedRoles(spec).map((role): ValueInfo => {
      const size = role === 'feed-out' ? spec.ffnSize : spec.hiddenSize;
      return { name: rangeName(role, layer), type: 'float', shape: [size] };
    }),
  );
  return {
    inputs: inputs
      .filter(isWithin)
      .map((input) => (stretch.from > 0 && input.name === 'input_ids' ? states : input)),
    outputs: [...outputs.filter(isWithin), ...ranges],
  };
}

/** After the last attention only the rows whose logits are wanted matter: [B, n, d] → [R, d], twice. */
function selectRows({ spec, writer }: DecoderContext, attended: string, residual: string): [string, string] {
  const select = (input: string, size: number): string => {
    const shape = writer.constant(`shape.${size}`, 'int64', [2], BigInt64Array.of(-1n, BigInt(size)));
    const flat = writer.node('Reshape', `${input}.flat`, [input, shape]);
    return writer.node('Gather', `${input}.rows`, [flat, 'logit_rows'], { axis: { int: 0 } });
  };
  return [select(attended, spec.headCount * spec.headSize), select(residual, spec.hiddenSize)];
}

/** What of `logits` [R, V] is told: top_values, top_ids, logsumexp. */
export function rankTokens(writer: GraphWriter, count: number): void {
  const k = writer.constant('top_count', 'int64', [1], BigInt64Array.of(BigInt(count)));
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
