// Which nodes become one, and which must stay: a name that others read is still there afterwards.
import { expect, test } from 'vitest';
import { fusedNodes } from '../../../../models/graph/own-fusion.ts';
import {
  type Attribute,
  microsoftDomain,
  type NodeProto,
  ownDomain,
} from '../../../../models/onnx/onnx-proto.ts';

type Attributes = Readonly<Record<string, Attribute>>;
const node = (
  operator: string,
  output: string,
  inputs: readonly string[],
  { domain = '', attributes = {} }: { domain?: string; attributes?: Attributes } = {},
): NodeProto => ({ operator, domain, name: output, outputs: [output], inputs, attributes });
const product = (output: string, inputs: readonly string[], inSize = 8): NodeProto =>
  node('Product', output, inputs, {
    domain: ownDomain,
    attributes: { inSize: { int: inSize }, epsilon: { float: 0 } },
  });
const norm = (output: string, input: string) =>
  node('SimplifiedLayerNormalization', output, [input, `${output}.gains`], {
    attributes: { epsilon: { float: 1e-5 } },
  });
const silu = (output: string, input: string) =>
  node('QuickGelu', output, [input], { domain: microsoftDomain, attributes: { alpha: { float: 1 } } });

const layer = [
  norm('first', 'states'),
  product('qkv', ['first', 'w.qkv']),
  node('Attention', 'attended', ['qkv'], { domain: ownDomain }),
  product('out', ['attended', 'w.out', 'b.out']),
  node('Add', 'middle', ['out', 'states']),
  norm('second', 'middle'),
  product('gate', ['second', 'w.gate']),
  product('up', ['second', 'w.up']),
  silu('active', 'gate'),
  node('Mul', 'both', ['active', 'up']),
  product('down', ['both', 'w.down']),
  node('Add', 'end', ['down', 'middle']),
];
const formOf = (nodes: readonly NodeProto[]) =>
  nodes.map(({ operator, outputs, inputs }) => `${outputs} = ${operator}(${inputs.join(', ')})`);

test('a decoder layer becomes five nodes', () => {
  expect(formOf(fusedNodes(layer, new Set(['end'])))).toEqual([
    'qkv = Product(states, w.qkv, , first.gains)',
    'attended = Attention(qkv)',
    'middle = Product(attended, w.out, b.out, , states)',
    'both = GatedProduct(middle, w.gate, w.up, second.gains)',
    'end = Product(both, w.down, , , middle)',
  ]);
});

test('a norm takes its epsilon along', () => {
  const [first] = fusedNodes(layer, new Set(['end']));
  expect(first!.attributes).toEqual({ inSize: { int: 8 }, epsilon: { float: 1e-5 } });
});

test('what others read stays', () => {
  const operators = (nodes: readonly NodeProto[], kept: readonly string[] = []) =>
    fusedNodes(nodes, new Set(['end', ...kept])).map(({ operator }) => operator);
  const plain = operators(layer);
  for (const [name, operator] of [
    ['first', 'SimplifiedLayerNormalization'],
    ['out', 'Add'],
    ['active', 'QuickGelu'],
    ['down', 'Add'],
  ] as const) {
    expect(plain).not.toContain('QuickGelu');
    expect(operators(layer, [name]).filter((each) => each === operator).length).toBeGreaterThan(0);
    // The same of a node beside, and of one within a branch.
    expect(operators([...layer, node('Abs', 'seen', [name])])).toContain(operator);
    const graph = {
      name: '',
      nodes: [node('Abs', 'inner', [name])],
      initializers: [],
      inputs: [],
      outputs: [],
    };
    const branch = node('If', 'branch', ['condition'], { attributes: { then_branch: { graph } } });
    expect(operators([...layer, branch])).toContain(operator);
  }
});

test('two matrices of other forms are no pair', () => {
  const others = layer.map((each) =>
    each.outputs[0] === 'up' ? product('up', ['second', 'w.up'], 9) : each,
  );
  const nodes = fusedNodes(others, new Set(['end']));
  expect(formOf(nodes)).toContain('gate = Product(middle, w.gate, , second.gains)');
  expect(formOf(nodes)).toContain('up = Product(middle, w.up, , second.gains)');
  expect(nodes.map(({ operator }) => operator)).toContain('QuickGelu');
});
