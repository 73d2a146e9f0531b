// A feed-forward of experts as nodes: a router in float, and ONNX Runtime's operator that computes only the chosen experts,
// so that a token costs what its own experts cost. Weights are float (MoE), or levels in blocks (QMoE). Before it:
// decoder.ts; after it: graph-writer.ts.
//
// The operator wants gate and up of an expert as one matrix with their rows in turns, and no other activation.
import type { BlockQuantised, WeightSource } from '../weights/weights.ts';
import { commonLayout } from './arithmetic.ts';
import { quantiseBlocks } from './block-quantise.ts';
import type { DecoderContext } from './decoder-context.ts';
import { bytesOf, type TensorShape } from './graph-writer.ts';

const blockSize = 32; // values a scale; the blocks of Q4_0 and Q8_0 are as long

/** [..., hiddenSize] → [..., hiddenSize]. */
export function writeExperts(context: DecoderContext, layer: number, input: string): string {
  const { spec, writer } = context;
  const { activeCount, clamp } = spec.experts!;
  const prefix = `model.layers.${layer}.mlp`;
  const router = writeRouter(context, prefix, input);
  const [first, second] = (['gate-up', 'down'] as const).map((which) =>
    writeMatrices(context, prefix, which),
  );
  const isFloat = areFloat(context);
  const inputs = [input, router, ...first!, ...second!];
  while (inputs.at(-1) === '') inputs.pop();
  const [output] = writer.contrib(isFloat ? 'MoE' : 'QMoE', [`${prefix}.fed`], inputs, {
    k: { int: activeCount },
    normalize_routing_weights: { int: 1 },
    activation_type: { text: 'swiglu' },
    swiglu_fusion: { int: 1 },
    activation_alpha: { float: clamp?.alpha ?? 1 },
    activation_beta: { float: clamp === null ? 0 : 1 },
    swiglu_limit: { float: clamp?.limit ?? 1e30 },
    ...(!isFloat && { expert_weight_bits: { int: bitsOf(context, prefix) }, block_size: { int: blockSize } }),
  });
  return spec.experts!.isNormalised
    ? output!
    : writeShare(context, prefix, { router, input, output: output! });
}

/**
 * The operator's weights of the chosen experts sum to 1. Where they are the softmax over all experts they sum to less, and
 * the output is that share of the operator's.
 */
function writeShare(
  { spec, writer }: DecoderContext,
  prefix: string,
  { router, input, output }: { router: string; input: string; output: string },
): string {
  const { hiddenSize } = spec;
  const count = BigInt64Array.of(BigInt(spec.experts!.activeCount));
  const k = writer.constant('active_experts', 'int64', [1], count);
  const axes = writer.constant('last_axis', 'int64', [1], BigInt64Array.of(-1n));
  const shape = writer.constant(
    `shape.${hiddenSize}`,
    'int64',
    [2],
    BigInt64Array.of(-1n, BigInt(hiddenSize)),
  );
  const attributes = { axis: { int: -1 } };
  const shares = writer.node('Softmax', `${prefix}.router.shares`, [router], attributes);
  const outputs = [`${prefix}.router.chosen`, `${prefix}.router.chosen_ids`];
  writer.append({ operator: 'TopK', domain: '', outputs, inputs: [shares, k], attributes });
  const sum = writer.node('ReduceSum', `${prefix}.router.sum`, [outputs[0]!, axes], { keepdims: { int: 1 } });
  const rows = writer.node('Reshape', `${output}.rows`, [output, shape]);
  const shared = writer.node('Mul', `${output}.shared`, [rows, sum]);
  return writer.node('Reshape', `${output}.whole`, [
    shared,
    writer.node('Shape', `${output}.shape`, [input]),
  ]);
}

/** [tokens, experts] logits, in float whatever the format: which experts are chosen hangs on their order. */
function writeRouter({ spec, source, writer }: DecoderContext, prefix: string, input: string): string {
  const { hiddenSize } = spec;
  const { count, hasRouterBias } = spec.experts!;
  const name = `${prefix}.router`;
  writer.weights({
    tensors: [{ name: `${name}.weight`, type: 'float', shape: [count, hiddenSize] }],
    produce: () => [bytesOf(source.read(`${name}.weight`))],
  });
  if (hasRouterBias) {
    writer.weights({
      tensors: [{ name: `${name}.bias`, type: 'float', shape: [count] }],
      produce: () => [bytesOf(source.read(`${name}.bias`))],
    });
  }
  const shape = writer.constant(
    `shape.${hiddenSize}`,
    'int64',
    [2],
    BigInt64Array.of(-1n, BigInt(hiddenSize)),
  );
  const rows = writer.node('Reshape', `${name}.rows`, [input, shape]);
  const bias = hasRouterBias ? [`${name}.bias`] : [];
  return writer.node('Gemm', name, [rows, `${name}.weight`, ...bias], { transB: { int: 1 } });
}

type Which = 'gate-up' | 'down';

/** The operator's inputs for one of the two matrices: weights, (scales,) biases or ''. */
function writeMatrices(context: DecoderContext, prefix: string, which: Which): readonly string[] {
  const { spec, source, writer } = context;
  const { count } = spec.experts!;
  const [rows, columns] =
    which === 'down' ? [spec.hiddenSize, spec.ffnSize] : [2 * spec.ffnSize, spec.hiddenSize];
  const name = `${prefix}.experts.${which}`;
  const weights = expertNames(context, prefix, which).flat();
  const bias = spec.mlpBias ? [writeBiases(context, prefix, which)] : [''];
  if (areFloat(context)) {
    writer.weights({
      tensors: [{ name, type: 'float', shape: [count, rows, columns] }],
      produce: () => [
        bytesOf(joined(expertNames(context, prefix, which), (each) => source.read(each), rows)),
      ],
    });
    return [name, ...bias];
  }
  const bits = bitsOf(context, prefix);
  const isStored = commonLayout(source, weights)?.bits === bits;
  const blocks = Math.ceil(columns / blockSize);
  const tensors: TensorShape[] = [
    { name: `${name}.levels`, type: 'uint8', shape: [count, rows, (columns * bits) / 8] },
    { name: `${name}.scales`, type: 'float', shape: [count, rows, blocks] },
  ];
  writer.fates.push({ weights, fate: `${bits} bit${isStored ? ' as it is' : ''}` });
  writer.weights({
    tensors,
    produce: () => {
      // One expert's matrix at a time is in float.
      const parts = new Map(
        weights.map((each) => [each, isStored ? source.readBlocks!(each) : quantised(source, each, columns)]),
      );
      const ofAll = (pick: (part: BlockQuantised) => Uint8Array | Float32Array) =>
        bytesOf(joined(expertNames(context, prefix, which), (each) => pick(parts.get(each)!), rows));
      return [ofAll(({ data }) => data), ofAll(({ scales }) => scales)];
    },
  });
  return [`${name}.levels`, `${name}.scales`, ...bias];
}

/** The operator for levels takes whole blocks only; no published model has others. */
function areFloat({ arithmetic, spec }: DecoderContext): boolean {
  return (
    arithmetic.expertBits === 'float' || spec.ffnSize % blockSize !== 0 || spec.hiddenSize % blockSize !== 0
  );
}

/** 4 where the file has both matrices of every expert so, else 8: the operator takes one width. */
function bitsOf({ arithmetic, spec, source }: DecoderContext, prefix: string): 4 | 8 {
  if (arithmetic.expertBits !== 'stored') return 8;
  const names = Array.from({ length: spec.experts!.count }, (_, expert) =>
    ['gate_proj', 'up_proj', 'down_proj'].map((name) => `${prefix}.experts.${expert}.${name}.weight`),
  );
  return commonLayout(source, names.flat())?.bits ?? 8;
}

function quantised(source: WeightSource, name: string, columns: number): BlockQuantised {
  return quantiseBlocks(source.read(name), { columns, blockSize, bits: 8 });
}

/** For each expert the one matrix, or the two whose rows take turns. */
function expertNames({ spec }: DecoderContext, prefix: string, which: Which): readonly (readonly string[])[] {
  const projections = which === 'down' ? ['down_proj'] : ['gate_proj', 'up_proj'];
  return Array.from({ length: spec.experts!.count }, (_, expert) =>
    projections.map((name) => `${prefix}.experts.${expert}.${name}.weight`),
  );
}

function writeBiases(context: DecoderContext, prefix: string, which: Which): string {
  const { spec, source, writer } = context;
  const name = `${prefix}.experts.${which}.bias`;
  const rows = which === 'down' ? spec.hiddenSize : 2 * spec.ffnSize;
  const names = expertNames(context, prefix, which).map((each) =>
    each.map((weight) => weight.replace(/weight$/, 'bias')),
  );
  writer.weights({
    tensors: [{ name, type: 'float', shape: [spec.experts!.count, rows] }],
    produce: () => [bytesOf(joined(names, (each) => source.read(each), rows))],
  });
  return name;
}

/** Experts one after another, each of `rows` rows; where one is of two tensors, a row of each in turn. */
function joined<T extends Uint8Array | Float32Array>(
  names: readonly (readonly string[])[],
  read: (name: string) => T,
  rows: number,
): T {
  const first = read(names[0]![0]!);
  const size = first.length * names[0]!.length; // of one expert
  const all = (
    first instanceof Uint8Array ? new Uint8Array(size * names.length) : new Float32Array(size * names.length)
  ) as T;
  const width = size / rows;
  for (const [expert, parts] of names.entries()) {
    for (const [index, name] of parts.entries()) {
      const values = read(name);
      for (let row = index; row < rows; row += parts.length) {
        const from = ((row - index) / parts.length) * width;
        all.set(values.subarray(from, from + width), expert * size + row * width);
      }
    }
  }
  return all;
}
