// Attention over keys and values kept as int8, each channel with its scale. GroupQueryAttention's own kernel for it computes
// every row by itself: fastest for a token or a few guesses, and their bits do not depend on how many come together, but it
// widens keys and values anew for every row. So `wide` rows, those of prompts, are computed at fp32, from numbers that were
// rounded first. Before it: attention-nodes.ts; after it: graph-writer.ts.
import type { NodeProto, ValueInfo } from '../onnx/onnx-proto.ts';
import type { ModelSpec } from '../spec.ts';
import { type DecoderContext, isPacked } from './decoder-context.ts';
import { hasOwnAttention } from './own-attention-nodes.ts';

export interface AttentionParts {
  readonly layer: number;
  readonly prefix: string;
  readonly projected: readonly string[]; // [packed, '', ''] or [queries, keys, values]
  readonly tables: readonly string[]; // cos and sin, or none
  readonly sinks: string;
  readonly attributes: NodeProto['attributes']; // of GroupQueryAttention, but for rotary and formats
}

/** Values that every layer reads: whether the rows are wide, and how many tokens the chunk has before it. Once, first. */
export function writeWideness({ spec, kv, ownKernels, writer }: DecoderContext): void {
  if (kv === 'fp32' || (ownKernels && hasOwnAttention(spec))) return;
  writer.node('Cast', 'is_wide', ['wide'], { to: { int: 9 } });
  const one = writer.constant('shape.1', 'int64', [1], BigInt64Array.of(1n));
  const total = writer.node('Cast', 'total.int64', ['total_sequence_length'], { to: { int: 7 } });
  const totals = writer.node('Reshape', 'total.vector', [total, one]);
  const tokens = writer.node('Shape', 'chunk_tokens', ['input_ids'], { start: { int: 1 }, end: { int: 2 } });
  writer.node('Sub', 'past_tokens', [totals, tokens]);
}

/** [B, n, headCount · headSize]; updates keys and values in place. */
export function writeInt8Attention(context: DecoderContext, parts: AttentionParts): string {
  const { writer, spec } = context;
  const { layer, prefix } = parts;
  const outputs = [`${prefix}.attended`, `present_key.${layer}`, `present_value.${layer}`];
  const projected = withoutOrigins(context, parts);
  const branch = (kind: string, write: (branch: DecoderContext, names: readonly string[]) => void) => {
    const names = outputs.map((name) => `${name}.${kind}`);
    const inner = writer.branch();
    write({ ...context, writer: inner }, names);
    const { nodes } = inner;
    return {
      graph: { name: kind, nodes, initializers: [], inputs: [], outputs: branchOutputs(spec, names) },
    };
  };
  const attributes = {
    then_branch: branch('wide', (inner, names) => writeWide(inner, { ...parts, projected }, names)),
    else_branch: branch('narrow', (inner, names) => writeNarrow(inner, { ...parts, projected }, names)),
  };
  writer.append({ operator: 'If', domain: '', outputs, inputs: ['is_wide'], attributes });
  return writer.node('Add', `${prefix}.answers`, [outputs[0]!, `answer_shift.${layer}`]);
}

/**
 * Values are kept as distances from what the first token's are whatever it is: it takes most of the attention, so that its
 * rounding would be in every answer. The weights of a query sum to 1, so answers get the same back.
 */
function withoutOrigins({ writer }: DecoderContext, { projected, prefix, layer }: AttentionParts) {
  const [first, keys, values] = projected as readonly [string, string, string];
  const shifted = (input: string) => writer.node('Add', `${prefix}.shifted`, [input, `value_shift.${layer}`]);
  return values === '' ? [shifted(first), keys, values] : [first, keys, shifted(values)];
}

/** Lengths of value_shift, added to what holds the values before attention, and of answer_shift, added behind it. */
export function shiftSizes(spec: ModelSpec) {
  const { headCount, kvHeadCount, headSize } = spec;
  const heads = isPacked(spec) ? headCount + 2 * kvHeadCount : kvHeadCount;
  return { before: heads * headSize, after: headCount * headSize };
}

function branchOutputs({ kvHeadCount, headSize }: ModelSpec, names: readonly string[]): ValueInfo[] {
  const kv = ['batch', kvHeadCount, 'capacity', headSize];
  const [attended, key, value] = names as [string, string, string];
  return [
    { name: attended, type: 'float', shape: ['batch', 'tokens', 'width'] },
    { name: key, type: 'int8', shape: kv },
    { name: value, type: 'int8', shape: kv },
  ];
}

function writeNarrow({ writer }: DecoderContext, parts: AttentionParts, outputs: readonly string[]): void {
  const { layer, projected, tables, sinks, attributes } = parts;
  const inputs = [...projected, `past_key.${layer}`, `past_value.${layer}`];
  inputs.push('seqlens_k', 'total_sequence_length', tables[0] ?? '', tables[1] ?? '');
  inputs.push('', '', sinks, `key_scale.${layer}`, `value_scale.${layer}`);
  writer.contrib('GroupQueryAttention', outputs, inputs, {
    ...attributes,
    do_rotary: { int: tables.length > 0 ? 1 : 0 },
    k_quant_type: { text: 'PER_CHANNEL' },
    v_quant_type: { text: 'PER_CHANNEL' },
    kv_cache_bit_width: { int: 8 },
  });
}

/** A chunk of one sequence. Keys and values stay in steps of their scales: queries and answers are multiplied instead. */
function writeWide(context: DecoderContext, parts: AttentionParts, outputs: readonly string[]): void {
  const { spec, writer } = context;
  const { layer, tables, prefix, sinks, attributes } = parts;
  const [query, key, value] = splitHeads(context, parts);
  const turned = (input: string, headCount: number) =>
    tables.length === 0 ? input : turn(context, { input, headCount, tables });
  const from = turned(key, spec.kvHeadCount);
  const keys = round(context, { kind: 'key', layer, from, present: outputs[1]! });
  const values = round(context, { kind: 'value', layer, from: value, present: outputs[2]! });
  const queries = writer.node('Mul', `${prefix}.queries`, [
    turned(query, spec.headCount),
    headScales(context, `key_scale.${layer}`),
  ]);
  const inputs = [queries, keys.fresh, values.fresh, keys.past, values.past];
  inputs.push('seqlens_k', 'total_sequence_length', '', '', '', '', sinks);
  const weighted = `${prefix}.weighted`;
  writer.contrib('GroupQueryAttention', [weighted, `${weighted}.keys`, `${weighted}.values`], inputs, {
    ...attributes,
    do_rotary: { int: 0 },
  });
  writer.node('Mul', outputs[0]!, [weighted, headScales(context, `value_scale.${layer}`)]);
}

function splitHeads({ spec, writer }: DecoderContext, { projected, prefix }: AttentionParts) {
  if (projected[1] !== '') return projected as readonly [string, string, string];
  const [querySize, kvSize] = [spec.headCount * spec.headSize, spec.kvHeadCount * spec.headSize];
  const sizes = BigInt64Array.of(BigInt(querySize), BigInt(kvSize), BigInt(kvSize));
  const outputs = ['queries', 'keys', 'values'].map((name) => `${prefix}.split.${name}`);
  const inputs = [projected[0]!, writer.constant('qkv_sizes', 'int64', [3], sizes)];
  writer.append({ operator: 'Split', domain: '', outputs, inputs, attributes: { axis: { int: -1 } } });
  return outputs as unknown as readonly [string, string, string];
}

/** Rotary positions from past_tokens on, as GroupQueryAttention turns. */
function turn(
  { spec, writer }: DecoderContext,
  { input, headCount, tables }: { input: string; headCount: number; tables: readonly string[] },
): string {
  const isPartial = spec.rotarySize !== spec.headSize;
  return writer.contrib('RotaryEmbedding', [`${input}.turned`], [input, 'past_tokens', ...tables], {
    interleaved: { int: 0 },
    ...(isPartial && { rotary_embedding_dim: { int: spec.rotarySize }, num_heads: { int: headCount } }),
  })[0]!;
}

interface Rounding {
  readonly kind: 'key' | 'value';
  readonly layer: number;
  readonly from: string; // [1, n, kvHeadCount · headSize]
  readonly present: string;
}

/** Into the cache, as `present`; answers the chunk's own and the past's as float, in steps of the scale. */
function round({ spec, writer }: DecoderContext, { kind, layer, from, present }: Rounding) {
  const { kvHeadCount, headSize } = spec;
  const name = `${kind}.${layer}`;
  const vector = (values: readonly number[]) =>
    writer.constant(`shape.${values}`, 'int64', [values.length], BigInt64Array.from(values, BigInt));
  const scales = writer.node('Reshape', `${name}.scales`, [`${kind}_scale.${layer}`, vector([-1])]);
  const steps = writer.node('Div', `${name}.steps`, [from, scales]);
  const unit = writer.constant('unit_scale', 'float', [], Float32Array.of(1));
  const zero = writer.constant('int8_zero', 'int8', [], new Uint8Array(1));
  const rounded = writer.node('QuantizeLinear', `${name}.rounded`, [steps, unit, zero]);
  const heads = writer.node('Reshape', `${name}.heads`, [rounded, vector([0, 0, kvHeadCount, headSize])]);
  const rows = writer.node('Transpose', `${name}.rows`, [heads], { perm: { ints: [0, 2, 1, 3] } });
  const cache = `past_${kind}.${layer}`;
  writer.node('TensorScatter', present, [cache, rows, 'past_tokens'], { axis: { int: 2 } });
  const bounds = [vector([0]), 'past_tokens', vector([2])];
  const past = writer.node('Slice', `${name}.past`, [cache, ...bounds]);
  const float = { to: { int: 1 } };
  return {
    fresh: writer.node('Cast', `${name}.fresh_steps`, [rounded], float),
    past: writer.node('Cast', `${name}.past_steps`, [past], float),
  };
}

/** [1, kvHeadCount, 1, headSize] → [headCount · headSize], each for all queries that share it. */
function headScales({ spec, writer }: DecoderContext, scales: string): string {
  const { headCount, kvHeadCount, headSize } = spec;
  const shape = [1, kvHeadCount, headCount / kvHeadCount, headSize];
  const target = writer.constant(`shape.${shape}`, 'int64', [4], BigInt64Array.from(shape, BigInt));
  const shared = writer.node('Expand', `${scales}.shared`, [scales, target]);
  const all = writer.constant('shape.-1', 'int64', [1], BigInt64Array.of(-1n));
  return writer.node('Reshape', `${scales}.heads`, [shared, all]);
}
