// A graph under construction: nodes in order and the tensors they need, each with a recipe that makes its bytes
// when they are due, so that no model is ever whole in memory. Owns names; knows no architecture.
// Before it: decoder.ts and precision.ts; after it: build.ts streams the recipes, onnx/onnx-proto.ts writes the nodes.
import {
  type DataType,
  elementSizes,
  microsoftDomain,
  type NodeProto,
  type TensorProto,
} from '../onnx/onnx-proto.ts';

export interface TensorShape {
  readonly name: string;
  readonly type: DataType;
  readonly shape: readonly number[];
}

/** Tensors made together from the same weights. `produce` answers their bytes in order; called once, at build time. */
export interface TensorRecipe {
  readonly tensors: readonly TensorShape[];
  readonly produce: () => readonly Uint8Array[];
}

/** The bytes of another tensor under a second name and shape. */
export interface TensorAlias extends TensorShape {
  readonly of: string;
}

type Inline = Float32Array | Int32Array | BigInt64Array | Uint8Array;

export class GraphWriter {
  readonly nodes: NodeProto[] = [];
  readonly recipes: TensorRecipe[] = [];
  readonly aliases: TensorAlias[] = [];
  readonly fates: { readonly weights: readonly string[]; readonly fate: string }[] = []; // of those not kept in float
  readonly constants: TensorProto[]; // a few bytes each, they stay in the model file

  constructor(constants: TensorProto[] = []) {
    this.constants = constants;
  }

  /** For the nodes of a branch: its constants are the whole graph's, it has no weights. */
  branch(): GraphWriter {
    return new GraphWriter(this.constants);
  }

  /** Appends an ONNX node named after its only output; answers that output. */
  node(
    operator: string,
    output: string,
    inputs: readonly string[],
    attributes: NodeProto['attributes'] = {},
  ): string {
    this.append({ operator, domain: '', outputs: [output], inputs, attributes });
    return output;
  }

  /** The same for ONNX Runtime's own operators, which may have several outputs ('' = not wanted). */
  contrib(
    operator: string,
    outputs: readonly string[],
    inputs: readonly string[],
    attributes: NodeProto['attributes'],
  ): readonly string[] {
    this.append({ operator, domain: microsoftDomain, outputs, inputs, attributes });
    return outputs;
  }

  /** Appends any node, named after its first output. */
  append(node: Omit<NodeProto, 'name'>): void {
    this.nodes.push({ ...node, name: node.outputs[0]! });
  }

  /** A small constant, written once however often it is asked for. */
  constant(name: string, type: DataType, shape: readonly number[], values: Inline): string {
    if (!this.constants.some((tensor) => tensor.name === name)) {
      const bytes = bytesOf(values);
      this.constants.push({ name, type, shape, content: { kind: 'inline', bytes } });
    }
    return name;
  }

  /** Weights to be streamed to the external file. */
  weights(recipe: TensorRecipe): void {
    this.recipes.push(recipe);
  }
}

/** Size of a tensor in bytes. */
export function tensorSize({ type, shape }: TensorShape): number {
  return shape.reduce((product, dim) => product * dim, elementSizes[type]);
}

/** Bytes of all that a recipe makes. */
export function recipeSize({ tensors }: TensorRecipe): number {
  return tensors.reduce((sum, tensor) => sum + tensorSize(tensor), 0);
}

/** The memory of a typed array as bytes, little endian as every platform of Node is. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
