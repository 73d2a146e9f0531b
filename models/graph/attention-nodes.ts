// Attention as nodes: one packed projection, norms of queries and keys where there are any, and GroupQueryAttention, which
// turns, masks, caps and keeps keys and values. Before it: decoder.ts; after it: graph-writer.ts.
import { type ModelSpec, scoreGrowthAt } from '../spec.ts';
import { writeEachAlone } from './alone-nodes.ts';
import type { Linear } from './arithmetic.ts';
import { type DecoderContext, isPacked, linearOf, rangeName, writeProbe } from './decoder-context.ts';
import { bytesOf } from './graph-writer.ts';
import { writeInt8Attention } from './int8-attention-nodes.ts';
import { writeNorm } from './norm-nodes.ts';
import { hasOwnAttention, writeOwnAttention } from './own-attention-nodes.ts';
import { headNormEpsilon } from './padded-heads.ts';
import { type RotaryKind, rotaryTables } from './rotary.ts';

/** [B, n, hiddenSize] → [B, n, headCount · headSize]. */
export function writeAttention(context: DecoderContext, layer: number, input: string): string {
  const { spec, kv, writer } = context;
  const prefix = `model.layers.${layer}.self_attn`;
  writeProbe(context, rangeName('attention-in', layer), [input, spec.hiddenSize]);
  const { window, rotary } = spec.layers[layer]!;
  const projected = queryKeyValue(context, prefix, input);
  const tables = rotary === 'none' ? [] : tableNames(rotary);
  const isOwn = context.ownKernels && hasOwnAttention(spec);
  const sinks = writeSinks(context, prefix, isOwn);
  if (isOwn) return writeOwnAttention(context, { layer, prefix, projected, tables, sinks });
  const attributes = {
    num_heads: { int: spec.headCount },
    kv_num_heads: { int: spec.kvHeadCount },
    rotary_interleaved: { int: 0 },
    ...scoreAttributes(spec),
    ...(window !== null && { local_window_size: { int: window } }),
  };
  if (kv === 'int8')
    return writeInt8Attention(context, { layer, prefix, projected, tables, sinks, attributes });
  const tail = ['total_sequence_length', tables[0] ?? '', tables[1] ?? ''];
  tail.push('', '', sinks); // left out: positions, an attention bias
  while (tail.at(-1) === '') tail.pop();
  const inputs = [...projected, `past_key.${layer}`, `past_value.${layer}`, 'seqlens_k', ...tail];
  const outputs = [`${prefix}.attended`, `present_key.${layer}`, `present_value.${layer}`];
  const turning = { ...attributes, do_rotary: { int: tables.length > 0 ? 1 : 0 } };
  writer.contrib('GroupQueryAttention', outputs, inputs, turning);
  if (!context.guesses) return outputs[0]!;
  const [query, isPacked] = [projected[0]!, projected[1] === ''];
  return writeEachAlone(context, layer, {
    ...{ query, isPacked, attended: outputs[0]!, tail },
    attributes: turning,
  });
}

/** [B, n, headCount · headSize] → [B, n, hiddenSize]; also of rows [R, …]. */
export function writeOutputProjection(context: DecoderContext, layer: number, input: string): string {
  const { spec, writer, arithmetic } = context;
  const linear = linearOf(`model.layers.${layer}.self_attn.o_proj`, {
    role: 'attention-out',
    inSize: spec.headCount * spec.headSize,
    outSize: spec.hiddenSize,
    bias: spec.attentionOutputBias,
  });
  return arithmetic.project(writer, input, [linear])[0]!;
}

/** The tables that some layer turns by. */
export function writeRotaryTables({ spec, writer }: DecoderContext): void {
  const shape = [spec.contextLength, spec.rotarySize / 2];
  for (const kind of ['main', 'local'] as const) {
    if (!spec.layers.some(({ rotary }) => rotary === kind)) continue;
    writer.weights({
      tensors: tableNames(kind).map((name) => ({ name, type: 'float' as const, shape })),
      produce: () => {
        const { cos, sin } = rotaryTables(spec, kind);
        return [bytesOf(cos), bytesOf(sin)];
      },
    });
  }
}

function tableNames(kind: RotaryKind): readonly string[] {
  return kind === 'main' ? ['rotary.cos', 'rotary.sin'] : ['rotary.local.cos', 'rotary.local.sin'];
}

/** Queries are scaled already: score-scale.ts. */
function scoreAttributes({ attentionSoftCap }: ModelSpec) {
  return {
    scale: { float: 1 },
    ...(attentionSoftCap !== null && { softcap: { float: attentionSoftCap } }),
  };
}

// With sinks ONNX Runtime's cpu kernel computes all scores of a row before it weighs them, else block by block, which takes a
// single token twice as long (docs/lab/precision.md). So there always are some; these weigh nothing: exp(−10³⁰) = 0.
const weightless = -1e30;

function writeSinks(
  { spec, source, writer, target }: DecoderContext,
  prefix: string,
  isOwn: boolean,
): string {
  if (!spec.hasSinks) {
    if (target !== 'cpu' || isOwn) return '';
    const none = Float32Array.from({ length: spec.headCount }, () => weightless);
    return writer.constant('weightless_sinks', 'float', [spec.headCount], none);
  }
  const name = `${prefix}.sinks`;
  writer.weights({
    tensors: [{ name, type: 'float', shape: [spec.headCount] }],
    produce: () => [bytesOf(source.read(name))],
  });
  return name;
}

/** [packed, '', ''], or [queries, keys, values] where queries or keys are changed between. */
function queryKeyValue(context: DecoderContext, prefix: string, input: string): readonly string[] {
  const { spec, writer, arithmetic } = context;
  const projections = ['q_proj', 'k_proj', 'v_proj'];
  const [querySize, kvSize] = [spec.headCount * spec.headSize, spec.kvHeadCount * spec.headSize];
  const packed: Linear = {
    name: `${prefix}.qkv`,
    role: 'attention-in',
    inSize: spec.hiddenSize,
    outSize: querySize + 2 * kvSize,
    weights: projections.map((name) => `${prefix}.${name}.weight`),
    biases: spec.qkvBias ? projections.map((name) => `${prefix}.${name}.bias`) : [],
  };
  const [qkv] = arithmetic.project(writer, input, [packed]);
  if (isPacked(spec)) return [qkv!, '', ''];
  const sizes = BigInt64Array.of(BigInt(querySize), BigInt(kvSize), BigInt(kvSize));
  const outputs = projections.map((name) => `${prefix}.${name}`);
  const split = writer.constant('qkv_sizes', 'int64', [3], sizes);
  const attributes = { axis: { int: -1 } };
  writer.append({ operator: 'Split', domain: '', outputs, inputs: [qkv!, split], attributes });
  const [query, key] = outputs as [string, string];
  const { headCount, kvHeadCount } = spec;
  const grown = (from: string) => writeGrowth(context, { input, query: from });
  if (spec.queryKeyNorm === 'none') return [grown(query), key, outputs[2]!];
  return [
    grown(headNorm(context, { name: `${prefix}.q_norm`, input: query, headCount })),
    headNorm(context, { name: `${prefix}.k_norm`, input: key, headCount: kvHeadCount }),
    outputs[2]!,
  ];
}

/**
 * Queries by what scores grow at their positions. `input`: [B, n, hiddenSize]. The factors are a table's, as an operator that
 * computes several may give others bits than for one.
 */
function writeGrowth(
  { spec, writer }: DecoderContext,
  { input, query }: { input: string; query: string },
): string {
  if (spec.scoreGrowth === null) return query;
  const name = 'score_growth';
  const factors = `${name}.factors`; // [B, n, 1]
  if (!writer.nodes.some(({ outputs }) => outputs[0] === factors)) {
    writer.weights({
      tensors: [{ name, type: 'float', shape: [spec.contextLength] }],
      produce: () => [
        bytesOf(
          Float32Array.from({ length: spec.contextLength }, (_, position) => scoreGrowthAt(spec, position)),
        ),
      ],
    });
    const constant = (key: string, values: readonly number[], shape: readonly number[]) =>
      writer.constant(`${name}.${key}`, 'int64', [...shape], BigInt64Array.from(values, BigInt));
    const [one, lastAxis] = [constant('one', [1], []), constant('last_axis', [-1], [1])];
    const count = writer.node('Shape', `${name}.count`, [input], { start: { int: 1 }, end: { int: 2 } });
    const tokens = writer.node('Squeeze', `${name}.tokens`, [count]);
    const end = writer.node('Add', `${name}.end`, [tokens, one]);
    const order = writer.node('Range', `${name}.order`, [one, end, one]); // 1 … n
    const last = writer.node('Cast', `${name}.last`, ['seqlens_k'], { to: { int: 7 } });
    const lasts = writer.node('Unsqueeze', `${name}.lasts`, [last, lastAxis]);
    const before = writer.node('Sub', `${name}.before`, [lasts, tokens]);
    const positions = writer.node('Add', `${name}.positions`, [before, order]);
    const rows = writer.node('Gather', `${name}.rows`, [name, positions]);
    writer.node('Unsqueeze', factors, [rows, lastAxis]);
  }
  return writer.node('Mul', `${query}.grown`, [query, factors]);
}

/** Each head by itself, or all of them as one vector. */
function headNorm(
  context: DecoderContext,
  { name, input, headCount }: { name: string; input: string; headCount: number },
): string {
  const { spec, writer } = context;
  const { headSize } = spec;
  const size = headCount * headSize;
  const output = `${name}.normed`;
  const epsilon = headNormEpsilon(spec);
  if (spec.queryKeyNorm === 'whole') return writeNorm(context, { name, input, output, size, epsilon });
  const reshape = (to: string, from: string, shape: readonly number[]) => {
    const values = BigInt64Array.from(shape, BigInt);
    return writer.node('Reshape', to, [
      from,
      writer.constant(`shape.${shape}`, 'int64', [shape.length], values),
    ]);
  };
  const heads = reshape(`${input}.heads`, input, [0, 0, headCount, headSize]);
  const normed = writeNorm(context, {
    ...{ name, input: heads, output: `${name}.heads`, size: headSize, epsilon },
  });
  return reshape(output, normed, [0, 0, size]);
}
