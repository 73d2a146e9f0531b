// Feed-forward as nodes. Before it: decoder.ts; after it: graph-writer.ts.
import type { Activation } from '../spec.ts';
import { type DecoderContext, linearOf, rangeName, writeProbe } from './decoder-context.ts';
import { writeExperts } from './expert-nodes.ts';

/** down(act(gate(x)) · up(x)), or down(act(up(x))): [..., hiddenSize] → [..., hiddenSize]. */
export function writeFeedForward(context: DecoderContext, layer: number, input: string): string {
  const { spec, writer, arithmetic } = context;
  if (spec.experts !== null) return writeExperts(context, layer, input);
  const { hiddenSize, ffnSize, mlpBias: bias } = spec;
  const prefix = `model.layers.${layer}.mlp`;
  writeProbe(context, rangeName('feed-in', layer), [input, hiddenSize]);
  const wide = (name: string) =>
    linearOf(`${prefix}.${name}`, { role: 'feed-in', inSize: hiddenSize, outSize: ffnSize, bias });
  const down = linearOf(`${prefix}.down_proj`, {
    ...{ role: 'feed-out', inSize: ffnSize, outSize: hiddenSize, bias },
  });
  const names = spec.isGated ? ['gate_proj', 'up_proj'] : ['up_proj'];
  const [first, second] = arithmetic.project(writer, input, names.map(wide));
  const activated = writeActivation(context, `${prefix}.activated`, first!);
  const product =
    second === undefined ? activated : writer.node('Mul', `${prefix}.product`, [activated, second]);
  writeProbe(context, rangeName('feed-out', layer), [product, ffnSize]);
  return arithmetic.project(writer, product, [down])[0]!;
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
