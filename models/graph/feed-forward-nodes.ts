// Feed-forward as nodes. Before it: decoder.ts; after it: graph-writer.ts.
import { type Activation, hasExperts } from '../spec.ts';
import { type DecoderContext, linearOf, rangeName, writeProbe } from './decoder-context.ts';
import { writeExperts } from './expert-nodes.ts';
import { bytesOf } from './graph-writer.ts';

/** [..., hiddenSize] → [..., hiddenSize]. */
export function writeFeedForward(context: DecoderContext, layer: number, input: string): string {
  const { spec, writer } = context;
  const prefix = `model.layers.${layer}.mlp`;
  if (!hasExperts(spec, layer)) return writeDense(context, { layer, prefix, input });
  const chosen = writeExperts(context, layer, input);
  const { shared } = spec.experts!;
  if (shared === null) return chosen;
  const always = writeGated(context, { prefix: `${prefix}.shared`, input, size: shared.size });
  const share = shared.isGated
    ? writeShare(context, { prefix, input, output: always.output })
    : always.output;
  return writer.node('Add', `${prefix}.both`, [chosen, share]);
}

/** The layer's only feed-forward, whose activations are measured. */
function writeDense(
  context: DecoderContext,
  { layer, prefix, input }: { layer: number; prefix: string; input: string },
): string {
  const { hiddenSize, ffnSize, experts } = context.spec;
  const size = experts?.dense?.size ?? ffnSize;
  const isProbed = experts === null;
  if (isProbed) writeProbe(context, rangeName('feed-in', layer), [input, hiddenSize]);
  const { product, output } = writeGated(context, { prefix, input, size });
  if (isProbed) writeProbe(context, rangeName('feed-out', layer), [product, size]);
  return output;
}

/** down(act(gate(x)) · up(x)), or down(act(up(x))), and what down reads. */
function writeGated(
  context: DecoderContext,
  { prefix, input, size }: { prefix: string; input: string; size: number },
): { readonly product: string; readonly output: string } {
  const { spec, writer, arithmetic } = context;
  const { hiddenSize, mlpBias: bias } = spec;
  const wide = (name: string) =>
    linearOf(`${prefix}.${name}`, { role: 'feed-in', inSize: hiddenSize, outSize: size, bias });
  const down = linearOf(`${prefix}.down_proj`, {
    ...{ role: 'feed-out', inSize: size, outSize: hiddenSize, bias },
  });
  const names = spec.isGated ? ['gate_proj', 'up_proj'] : ['up_proj'];
  const [first, second] = arithmetic.project(writer, input, names.map(wide));
  const activated = writeActivation(context, `${prefix}.activated`, first!);
  const product =
    second === undefined ? activated : writer.node('Mul', `${prefix}.product`, [activated, second]);
  return { product, output: arithmetic.project(writer, product, [down])[0]! };
}

/** `output` times σ(gate · input), a number for each token, in float whatever the format. */
function writeShare(
  { spec, writer, source }: DecoderContext,
  { prefix, input, output }: { prefix: string; input: string; output: string },
): string {
  const name = `${prefix}.shared_gate`;
  writer.weights({
    tensors: [{ name: `${name}.weight`, type: 'float', shape: [spec.hiddenSize, 1] }],
    produce: () => [bytesOf(source.read(`${name}.weight`))],
  });
  const share = writer.node('Sigmoid', `${name}.share`, [
    writer.node('MatMul', name, [input, `${name}.weight`]),
  ]);
  return writer.node('Mul', `${prefix}.shared_share`, [output, share]);
}

// QuickGelu with alpha 1 is SiLU; FastGelu is the one with tanh.
const operators: Readonly<Record<Activation, string>> = {
  silu: 'QuickGelu',
  gelu: 'Gelu',
  'gelu-tanh': 'FastGelu',
};

function writeActivation({ spec, writer }: DecoderContext, output: string, input: string): string {
  const attributes = spec.activation === 'silu' ? { alpha: { float: 1 } } : {};
  return writer.contrib(operators[spec.activation], [output], [input], attributes)[0]!;
}
