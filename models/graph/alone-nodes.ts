// Guessed tokens are computed together and must come out as if each had come alone, to the last bit, or guessing would
// change answers. Matrix products give a row the same bits in any company; attention over fp32 keys multiplies a single
// row by another kernel than several. So where the step says so, each token's attention is computed by itself, over the
// keys and values that are there by then. A branch costs 1 to 6 µs a layer. Before it: attention-nodes.ts.
import { type Attribute, microsoftDomain } from '../onnx/onnx-proto.ts';
import type { DecoderContext } from './decoder-context.ts';
import { GraphWriter } from './graph-writer.ts';

export interface JointAttention {
  readonly query: string; // [1, n, headCount · headSize], or with the keys and values behind it
  readonly isPacked: boolean;
  readonly attended: string; // [B, n, headCount · headSize] computed together
  readonly tail: readonly string[]; // the operator's inputs from `total_sequence_length` on
  readonly attributes: Readonly<Record<string, Attribute>>; // the operator's
}

/** `attended` as it is, or, with alone_count = n > 0 and B = 1, each of the n tokens' as if it had come alone. */
export function writeEachAlone(context: DecoderContext, layer: number, joint: JointAttention): string {
  const { spec, writer } = context;
  const name = (part: string) => `model.layers.${layer}.self_attn.${part}`;
  const shape = ['batch', 'tokens', spec.headCount * spec.headSize];
  const branch = (output: string, nodes: GraphWriter['nodes']): Attribute => ({
    graph: {
      ...{ name: output, nodes, initializers: [], inputs: [] },
      outputs: [{ name: output, type: 'float', shape }],
    },
  });
  const together = new GraphWriter();
  together.node('Identity', name('together'), [joint.attended]);
  const apart = writeLoop(context, layer, joint);
  return writer.node('If', name('chosen'), [writeSwitch(writer)], {
    then_branch: branch(name('apart'), apart.nodes),
    else_branch: branch(name('together'), together.nodes),
  });
}

/** Whether alone_count is above 0; once for all layers. */
function writeSwitch(writer: GraphWriter): string {
  const name = 'is_alone';
  if (!writer.nodes.some(({ outputs }) => outputs[0] === name))
    writer.node('Cast', name, ['alone_count'], { to: { int: 9 } });
  return name;
}

/** One token after another: its query over the keys and values of all tokens up to it, which are in place already. */
function writeLoop(context: DecoderContext, layer: number, joint: JointAttention): GraphWriter {
  const { spec, writer } = context;
  const loop = new GraphWriter();
  const name = (part: string) => `model.layers.${layer}.self_attn.alone.${part}`;
  const int64 = (key: string, ...values: bigint[]) =>
    writer.constant(`alone.${key}`, 'int64', [values.length], BigInt64Array.from(values));
  const [zero, tokenAxis] = [int64('zero', 0n), int64('token_axis', 2n)];
  const querySize = spec.headCount * spec.headSize;
  const one = writer.constant('alone.one', 'int32', [], Int32Array.of(1));
  // The operator looks at all it is given, so that of a seat's memory it gets what is filled.
  const total64 = loop.node('Cast', name('total'), ['total_sequence_length'], { to: { int: 7 } });
  const end = loop.node('Unsqueeze', name('end'), [total64, zero]);
  for (const kind of ['key', 'value'])
    loop.node('Slice', name(kind), [`present_${kind}.${layer}`, zero, end, tokenAxis]);
  const count = loop.node('Cast', name('count'), ['alone_count'], { to: { int: 6 } });
  const after = loop.node('Add', name('after'), ['seqlens_k', one]);
  loop.node('Sub', name('first'), [after, count]); // seqlens_k of the first token
  loop.append({
    ...{ operator: 'Loop', domain: '', outputs: [name('each')], inputs: ['alone_count', 'is_alone'] },
    attributes: { body: { graph: writeBody(context, layer, queryOf(context, loop, layer, joint), joint) } },
  });
  const flat = int64(`shape.${querySize}`, 1n, -1n, BigInt(querySize));
  loop.node('Reshape', `model.layers.${layer}.self_attn.apart`, [name('each'), flat]);
  return loop;
}

function queryOf(
  { spec, writer }: DecoderContext,
  loop: GraphWriter,
  layer: number,
  { query, isPacked }: JointAttention,
): string {
  if (!isPacked) return query;
  const [querySize, kvSize] = [spec.headCount * spec.headSize, spec.kvHeadCount * spec.headSize];
  const sizes = BigInt64Array.of(BigInt(querySize), BigInt(2 * kvSize));
  const split = writer.constant('alone.sizes', 'int64', [2], sizes);
  const outputs = ['queries', 'rest'].map((part) => `model.layers.${layer}.self_attn.alone.${part}`);
  const attributes = { axis: { int: -1 } };
  loop.append({ operator: 'Split', domain: '', outputs, inputs: [query, split], attributes });
  return outputs[0]!;
}

function writeBody(
  { spec, writer }: DecoderContext,
  layer: number,
  queries: string,
  { tail, attributes }: JointAttention,
) {
  const body = new GraphWriter();
  const name = (part: string) => `model.layers.${layer}.self_attn.alone.${part}`;
  const size = spec.kvHeadCount * spec.headSize;
  const noKeys = writer.constant('alone.no_keys', 'float', [1, 0, size], new Float32Array(0));
  body.node('Identity', name('goes_on.next'), [name('goes_on')]);
  const index = body.node('Unsqueeze', name('index.1'), [name('index'), 'alone.zero']);
  const query = body.node('Gather', name('query'), [queries, index], { axis: { int: 1 } });
  const place = body.node('Cast', name('place'), [index], { to: { int: 6 } });
  const length = body.node('Add', name('length'), [name('first'), place]);
  const attended = name('attended');
  body.append({
    ...{ operator: 'GroupQueryAttention', domain: microsoftDomain },
    outputs: [attended, name('key.same'), name('value.same')],
    inputs: [query, noKeys, noKeys, name('key'), name('value'), length, ...tail],
    attributes,
  });
  return {
    ...{ name: name('body'), nodes: body.nodes, initializers: [] },
    inputs: [
      { name: name('index'), type: 'int64', shape: [] },
      { name: name('goes_on'), type: 'bool', shape: [] },
    ],
    outputs: [
      { name: name('goes_on.next'), type: 'bool', shape: [] },
      { name: attended, type: 'float', shape: [1, 1, spec.headCount * spec.headSize] },
    ],
  } as const;
}
