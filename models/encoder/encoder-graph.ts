// An encoder as ONNX nodes, of any family that an EncoderSpec can say:
//
//   input   input_ids int32 [1, n]: one text, so that nothing is padded and no text depends on its neighbours
//   output  states f32 [1, n, hiddenSize]
//
// Before it: encoder-build.ts with a checkpoint; after it: graph/precision.ts for every matrix.
import type { Arithmetic, LinearRole } from '../graph/arithmetic.ts';
import { bytesOf, GraphWriter } from '../graph/graph-writer.ts';
import { arithmeticOf, type Precision } from '../graph/precision.ts';
import type { GraphProto } from '../onnx/onnx-proto.ts';
import type { WeightSource } from '../weights/weights.ts';
import { type EncoderSpec, isFirstNormLeftOut } from './encoder-spec.ts';

interface Context {
  readonly spec: EncoderSpec;
  readonly source: WeightSource;
  readonly writer: GraphWriter;
  readonly arithmetic: Arithmetic;
}

export function writeEncoder(spec: EncoderSpec, precision: Precision, source: WeightSource): GraphWriter {
  const writer = new GraphWriter();
  const plain = { smoothed: false, exactProducts: false, fineHead: false, ownKernels: false };
  const context = { spec, source, writer, arithmetic: arithmeticOf(precision, source, plain) };
  writeTables(context);
  const { vocabSize, hiddenSize, layers } = spec;
  const words = context.arithmetic.embed(writer, 'input_ids', {
    weight: 'words.weight',
    vocabSize,
    hiddenSize,
  });
  let state = norm(context, 'embedding_norm', placed(context, words));
  for (const layer of layers.keys()) {
    const prefix = `layers.${layer}`;
    if (spec.normPlacement === 'after') {
      state = addedNorm(context, `${prefix}.attention_norm`, [attention(context, layer, state), state]);
      state = addedNorm(context, `${prefix}.feed_norm`, [feedForward(context, layer, state), state]);
      continue;
    }
    const read = isFirstNormLeftOut(spec, layer) ? state : norm(context, `${prefix}.attention_norm`, state);
    state = writer.node('Add', `${prefix}.attended.sum`, [attention(context, layer, read), state]);
    const fed = feedForward(context, layer, norm(context, `${prefix}.feed_norm`, state));
    state = writer.node('Add', `${prefix}.fed.sum`, [fed, state]);
  }
  writer.node('Identity', 'states', [
    spec.normPlacement === 'before' ? norm(context, 'final_norm', state) : state,
  ]);
  return writer;
}

export function encoderInterface(spec: EncoderSpec): Pick<GraphProto, 'inputs' | 'outputs'> {
  return {
    inputs: [{ name: 'input_ids', type: 'int32', shape: [1, 'tokens'] }],
    outputs: [{ name: 'states', type: 'float', shape: [1, 'tokens', spec.hiddenSize] }],
  };
}

/** Cosines and sines of every base, and who is within reach of whom. */
function writeTables({ spec, writer }: Context): void {
  const half = spec.hiddenSize / spec.headCount / 2;
  const shape = [spec.contextLength, half];
  for (const theta of new Set(spec.layers.flatMap(({ ropeTheta }) => ropeTheta ?? []))) {
    const tableOf = (turn: (angle: number) => number) => () => {
      const table = new Float32Array(spec.contextLength * half);
      for (let at = 0; at < table.length; at++) {
        const position = Math.floor(at / half);
        table[at] = turn(position * theta ** (-(at % half) / half));
      }
      return [bytesOf(table)];
    };
    for (const [name, turn] of [
      ['cos', Math.cos],
      ['sin', Math.sin],
    ] as const) {
      const tensors = [{ name: `rotary.${name}.${theta}`, type: 'float' as const, shape }];
      writer.weights({ tensors, produce: tableOf(turn) });
    }
  }
  if (spec.hasPositions || spec.layers.some(({ reach }) => reach !== null)) writePositions(writer);
  for (const reach of new Set(spec.layers.flatMap((layer) => layer.reach ?? []))) writeReach(writer, reach);
}

/** `positions` int64 [n]: 0, 1, … */
function writePositions(writer: GraphWriter): void {
  const scalar = (name: string, value: bigint) => writer.constant(name, 'int64', [], BigInt64Array.of(value));
  const shape = writer.node('Shape', 'input_shape', ['input_ids']);
  const count = writer.node('Gather', 'token_count', [shape, scalar('one', 1n)]);
  writer.node('Range', 'positions', [scalar('zero', 0n), count, scalar('one', 1n)]);
}

/** [1, 1, n, n]: 0 where the distance is within reach, else so low that nothing of it is left. */
function writeReach(writer: GraphWriter, reach: number): void {
  const axes = (name: string, axis: bigint) => writer.constant(name, 'int64', [1], BigInt64Array.of(axis));
  const name = `reach.${reach}`;
  const floats = writer.node('Cast', `${name}.places`, ['positions'], { to: { int: 1 } });
  const rows = writer.node('Unsqueeze', `${name}.rows`, [floats, axes('last_axis', 1n)]);
  const columns = writer.node('Unsqueeze', `${name}.columns`, [floats, axes('front_axis', 0n)]);
  const distance = writer.node('Abs', `${name}.distance`, [
    writer.node('Sub', `${name}.difference`, [rows, columns]),
  ]);
  const bound = writer.constant(`${name}.bound`, 'float', [], Float32Array.of(reach));
  const isBeyond = writer.node('Greater', `${name}.beyond`, [distance, bound]);
  const beyond = writer.constant('reach.out', 'float', [], Float32Array.of(-1e30));
  const within = writer.constant('reach.in', 'float', [], Float32Array.of(0));
  const bias = writer.node('Where', `${name}.bias`, [isBeyond, beyond, within]);
  const shape = writer.constant('front_axes', 'int64', [2], BigInt64Array.of(0n, 1n));
  writer.node('Unsqueeze', name, [bias, shape]);
}

/** With what learned positions and the first segment add to every token. */
function placed({ spec, source, writer }: Context, words: string): string {
  const { hiddenSize: d, contextLength, positionStart } = spec;
  if (!spec.hasPositions && spec.segmentCount === 0) return words;
  const rows = spec.hasPositions ? contextLength : 1;
  writer.weights({
    tensors: [{ name: 'places', type: 'float', shape: [rows, d] }],
    produce() {
      const places = spec.hasPositions
        ? source.read('positions.weight').slice(positionStart * d, (positionStart + rows) * d)
        : new Float32Array(d);
      if (spec.segmentCount > 0) {
        const segment = source.read('segments.weight').subarray(0, d);
        for (let at = 0; at < places.length; at++) places[at]! += segment[at % d]!;
      }
      return [bytesOf(places)];
    },
  });
  const place = spec.hasPositions ? writer.node('Gather', 'placed', ['places', 'positions']) : 'places';
  return writer.node('Add', 'embeddings.placed', [words, place]);
}

function attention(context: Context, layer: number, input: string): string {
  const { spec, writer, arithmetic } = context;
  const prefix = `layers.${layer}`;
  const names = ['query', 'key', 'value'];
  const { hiddenSize: d } = spec;
  const [packed] = arithmetic.project(writer, input, [
    {
      ...{ name: `${prefix}.packed`, role: 'attention-in', inSize: d, outSize: 3 * d },
      weights: names.map((name) => `${prefix}.${name}.weight`),
      biases: spec.qkvBias ? names.map((name) => `${prefix}.${name}.bias`) : [],
    },
  ]);
  const sizes = writer.constant(
    'packed_sizes',
    'int64',
    [3],
    BigInt64Array.of(BigInt(d), BigInt(d), BigInt(d)),
  );
  const parts = names.map((name) => `${prefix}.${name}`);
  writer.append({
    ...{ operator: 'Split', domain: '', inputs: [packed!, sizes], outputs: parts },
    attributes: { axis: { int: -1 } },
  });
  const { reach, ropeTheta } = spec.layers[layer]!;
  const [query, key] = parts
    .slice(0, 2)
    .map((name) => (ropeTheta === null ? name : turned(context, name, ropeTheta)));
  const inputs = [query!, key!, parts[2]!, ...(reach === null ? [] : ['', '', `reach.${reach}`])];
  const output = `${prefix}.attended`;
  writer.contrib('MultiHeadAttention', [output], inputs, { num_heads: { int: spec.headCount } });
  return linear(context, `${prefix}.output`, output, {
    role: 'attention-out',
    in: d,
    out: d,
    bias: spec.outputBias,
  });
}

function turned({ spec, writer }: Context, input: string, theta: number): string {
  const start = writer.constant('start', 'int64', [1], BigInt64Array.of(0n));
  const inputs = [input, start, `rotary.cos.${theta}`, `rotary.sin.${theta}`];
  return writer.contrib('RotaryEmbedding', [`${input}.turned`], inputs, {
    num_heads: { int: spec.headCount },
    interleaved: { int: 0 },
  })[0]!;
}

// QuickGelu with alpha 1 is SiLU; FastGelu is the one with tanh.
const operators = { silu: 'QuickGelu', gelu: 'Gelu', 'gelu-tanh': 'FastGelu' } as const;

function feedForward(context: Context, layer: number, input: string): string {
  const { spec, writer } = context;
  const { hiddenSize: d, ffnSize: f, feedBias: bias } = spec;
  const prefix = `layers.${layer}`;
  const wide = (name: string) =>
    linear(context, `${prefix}.${name}`, input, { role: 'feed-in', in: d, out: f, bias });
  const first = wide(spec.isGated ? 'gate' : 'up');
  const attributes = spec.activation === 'silu' ? { alpha: { float: 1 } } : {};
  const [activated] = writer.contrib(
    operators[spec.activation],
    [`${prefix}.activated`],
    [first],
    attributes,
  );
  const product = spec.isGated
    ? writer.node('Mul', `${prefix}.product`, [activated!, wide('up')])
    : activated!;
  return linear(context, `${prefix}.down`, product, { role: 'feed-out', in: f, out: d, bias });
}

function linear(
  { writer, arithmetic }: Context,
  name: string,
  input: string,
  sizes: { readonly role: LinearRole; readonly in: number; readonly out: number; readonly bias: boolean },
): string {
  const { role, in: inSize, out: outSize, bias } = sizes;
  const own = {
    name,
    role,
    inSize,
    outSize,
    weights: [`${name}.weight`],
    biases: bias ? [`${name}.bias`] : [],
  };
  return arithmetic.project(writer, input, [own])[0]!;
}

function norm(context: Context, name: string, input: string): string {
  const { spec, writer } = context;
  return writer.node('LayerNormalization', `${name}.normed`, [input, ...gains(context, name)], {
    axis: { int: -1 },
    epsilon: { float: spec.normEps },
  });
}

/** The norm of a branch's sum with what it read. */
function addedNorm(context: Context, name: string, [branch, residual]: readonly [string, string]): string {
  return norm(context, name, context.writer.node('Add', `${name}.sum`, [branch, residual]));
}

function gains({ spec, source, writer }: Context, name: string): readonly string[] {
  const names = spec.hasNormBias ? [`${name}.weight`, `${name}.bias`] : [`${name}.weight`];
  for (const each of names) {
    writer.weights({
      tensors: [{ name: each, type: 'float', shape: [spec.hiddenSize] }],
      produce: () => [bytesOf(source.read(each))],
    });
  }
  return names;
}
