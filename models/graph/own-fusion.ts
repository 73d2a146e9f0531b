// Nodes that our own operators compute in one: a norm before products, a sum behind one, a gated pair. Each node of a step costs
// a microsecond or two however little it does, and a decoder layer is five of them then instead of twelve. Pure: nodes in, nodes
// out. Before it: decoder.ts; after it: the operators of kernels/native/product-op.c.
import { type NodeProto, ownDomain } from '../onnx/onnx-proto.ts';

/** `kept`: names that must be there afterwards, such as the graph's outputs; branches name some themselves. */
export function fusedNodes(nodes: readonly NodeProto[], kept: ReadonlySet<string>): NodeProto[] {
  return withSums(withNorms(withGates(nodes, kept), kept), kept);
}

/** Who reads what, and what is read by one node alone. */
class Readers {
  readonly #readers = new Map<string, NodeProto[]>();
  readonly #kept: ReadonlySet<string>;

  constructor(nodes: readonly NodeProto[], kept: ReadonlySet<string>) {
    this.#kept = kept;
    for (const node of nodes) {
      for (const name of namesRead(node)) {
        const known = this.#readers.get(name);
        if (known === undefined) this.#readers.set(name, [node]);
        else known.push(node);
      }
    }
  }

  /** Every node that reads `name`; none where others than nodes do. */
  of(name: string): readonly NodeProto[] {
    return this.#kept.has(name) ? [] : (this.#readers.get(name) ?? []);
  }

  /** The only one, which reads it once. */
  onlyOf(name: string): NodeProto | null {
    const readers = this.of(name);
    return readers.length === 1 ? readers[0]! : null;
  }
}

function namesRead({ inputs, attributes }: NodeProto): readonly string[] {
  const within = Object.values(attributes).flatMap((attribute) =>
    'graph' in attribute ? attribute.graph.nodes.flatMap(namesRead) : [],
  );
  return [...inputs, ...within];
}

function isOwn(node: NodeProto | null, operator: string): node is NodeProto {
  return node !== null && node.domain === ownDomain && node.operator === operator;
}

// Places of inputs: kernels/native/product-op.c.
const product = { input: 0, matrix: 1, bias: 2, gains: 3, residual: 4 } as const;
const gated = { gains: 3 } as const;

function inputAt({ inputs }: NodeProto, at: number): string {
  return inputs[at] ?? '';
}

function withInput(inputs: readonly string[], at: number, name: string): string[] {
  const longer = [...inputs, ...Array.from({ length: Math.max(0, at + 1 - inputs.length) }, () => '')];
  longer[at] = name;
  while (longer.at(-1) === '') longer.pop();
  return longer;
}

/** silu(Product) · Product, of one input: GatedProduct, where the second stood. */
function withGates(nodes: readonly NodeProto[], kept: ReadonlySet<string>): NodeProto[] {
  const readers = new Readers(nodes, kept);
  const made = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const gone = new Set<NodeProto>();
  const instead = new Map<NodeProto, NodeProto>();
  for (const node of nodes) {
    if (node.operator !== 'Mul' || node.domain !== '') continue;
    const [left, right] = node.inputs as readonly [string, string];
    const activation = made.get(left) ?? null;
    const up = made.get(right) ?? null;
    if (!isSilu(activation) || !isOwn(up, 'Product')) continue;
    const gate = made.get(activation.inputs[0]!) ?? null;
    if (!isOwn(gate, 'Product') || !isPair(gate, up)) continue;
    const inner = [gate.outputs[0]!, left, right];
    if (inner.some((name) => readers.onlyOf(name) === null)) continue;
    for (const one of [gate, up, activation]) gone.add(one);
    const inputs = [gate.inputs[product.input]!, gate.inputs[product.matrix]!, up.inputs[product.matrix]!];
    inputs.push('', inputAt(gate, product.bias), inputAt(up, product.bias));
    while (inputs.at(-1) === '') inputs.pop();
    const [name] = node.outputs;
    const { attributes } = gate;
    instead.set(node, {
      ...{
        operator: 'GatedProduct',
        domain: ownDomain,
        name: name!,
        inputs,
        outputs: node.outputs,
        attributes,
      },
    });
  }
  return nodes.filter((node) => !gone.has(node)).map((node) => instead.get(node) ?? node);
}

/** ONNX Runtime's QuickGelu with alpha 1. */
function isSilu(node: NodeProto | null): node is NodeProto {
  const alpha = node?.attributes['alpha'];
  return node?.operator === 'QuickGelu' && alpha !== undefined && 'float' in alpha && alpha.float === 1;
}

/** Two that read the same and whose matrices have one form. */
function isPair(gate: NodeProto, up: NodeProto): boolean {
  return (
    gate.inputs[product.input] === up.inputs[product.input] &&
    JSON.stringify(gate.attributes) === JSON.stringify(up.attributes)
  );
}

/** A norm that products alone read: each computes it for itself, which is nothing beside the product. */
function withNorms(nodes: readonly NodeProto[], kept: ReadonlySet<string>): NodeProto[] {
  const readers = new Readers(nodes, kept);
  const norms = new Map<string, NodeProto>();
  for (const node of nodes) {
    if (node.operator !== 'SimplifiedLayerNormalization') continue;
    const [output] = node.outputs;
    const reading = readers.of(output!);
    if (reading.length > 0 && reading.every((reader) => takesNorm(reader, output!))) norms.set(output!, node);
  }
  return nodes
    .filter((node) => !norms.has(node.outputs[0]!))
    .map((node) => {
      const norm = norms.get(inputAt(node, product.input));
      if (norm === undefined) return node;
      const [input, gains] = norm.inputs as readonly [string, string];
      const at = node.operator === 'Product' ? product.gains : gated.gains;
      const inputs = withInput(withInput(node.inputs, product.input, input), at, gains);
      return { ...node, inputs, attributes: { ...node.attributes, epsilon: norm.attributes['epsilon']! } };
    });
}

function takesNorm(reader: NodeProto, name: string): boolean {
  const isOurs = isOwn(reader, 'Product') || isOwn(reader, 'GatedProduct');
  return isOurs && reader.inputs.filter((input) => input === name).length === 1 && reader.inputs[0] === name;
}

/** A sum that is the only reader of a product: the product adds what else is summed. */
function withSums(nodes: readonly NodeProto[], kept: ReadonlySet<string>): NodeProto[] {
  const readers = new Readers(nodes, kept);
  const sums = new Map<string, NodeProto>(); // by the product's output
  for (const node of nodes) {
    if (!isOwn(node, 'Product') || inputAt(node, product.residual) !== '') continue;
    const [output] = node.outputs;
    const sum = readers.onlyOf(output!);
    if (sum?.operator === 'Add' && sum.domain === '' && sum.inputs[0] === output) sums.set(output!, sum);
  }
  const gone = new Set(sums.keys());
  const summed = new Map([...sums].map(([output, sum]) => [sum, output]));
  const made = new Map(nodes.map((node) => [node.outputs[0]!, node]));
  // The product moves to where the sum stood: what it adds is there by then.
  return nodes
    .filter((node) => !gone.has(node.outputs[0]!))
    .map((node) => {
      const output = summed.get(node);
      if (output === undefined) return node;
      const own = made.get(output)!;
      const [name] = node.outputs;
      const inputs = withInput(own.inputs, product.residual, node.inputs[1]!);
      return { ...own, name: name!, outputs: node.outputs, inputs };
    });
}
