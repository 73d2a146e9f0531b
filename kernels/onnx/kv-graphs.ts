// Two small graphs that copy keys and values within a device, which ONNX Runtime itself offers for whole tensors only: a
// range of tokens out of seats, and rows into them, in place. Shapes as in kv-memory.ts. Before it: backend.ts, which
// opens them beside the decoder; after it: device-seats.ts runs them.
import { GraphWriter } from '../../models/graph/graph-writer.ts';
import { encodeModel, type GraphProto, type ValueInfo } from '../../models/onnx/onnx-proto.ts';
import type { KvShape } from './kv-memory.ts';

type Sizes = Pick<KvShape, 'layerCount' | 'kvHeadCount' | 'headSize'>;

const producer = { name: 'sparklane', version: '1' } as const;

/**
 * Inputs: starts, ends int64 [2], of seat and token; from.i f32 [seats, kvHeads, capacity, headSize] per array of KV.
 * Outputs: to.i f32 [1, kvHeads, ends − starts, headSize].
 */
export function sliceGraph({ layerCount, kvHeadCount, headSize }: Sizes): Uint8Array {
  const writer = new GraphWriter();
  const axes = writer.constant('axes', 'int64', [2], BigInt64Array.of(0n, 2n));
  const inputs: ValueInfo[] = [
    { name: 'starts', type: 'int64', shape: [2] },
    { name: 'ends', type: 'int64', shape: [2] },
  ];
  const outputs: ValueInfo[] = [];
  for (let array = 0; array < 2 * layerCount; array++) {
    writer.node('Slice', `to.${array}`, [`from.${array}`, 'starts', 'ends', axes]);
    const shape = [kvHeadCount, 'tokens', headSize];
    inputs.push({
      name: `from.${array}`,
      type: 'float',
      shape: ['seats', kvHeadCount, 'capacity', headSize],
    });
    outputs.push({ name: `to.${array}`, type: 'float', shape: ['taken', ...shape] });
  }
  return encoded(writer, { name: 'kv-slice', inputs, outputs });
}

/**
 * Inputs: rows int32 [n, 1]; piece.i f32 [n, headSize] and into.i f32 [rows of the seats, headSize] per array of KV.
 * Outputs: into.i.after, to be bound to the memory of into.i: its rows `rows` are those of the piece then.
 */
export function scatterGraph({ layerCount, headSize }: Sizes): Uint8Array {
  const writer = new GraphWriter();
  const zeros = writer.constant('zeros', 'int32', [1, headSize], new Int32Array(headSize));
  const index = writer.node('Add', 'index', ['rows', zeros]);
  const inputs: ValueInfo[] = [{ name: 'rows', type: 'int32', shape: ['rows', 1] }];
  const outputs: ValueInfo[] = [];
  for (let array = 0; array < 2 * layerCount; array++) {
    const [into, piece] = [`into.${array}`, `piece.${array}`];
    writer.node('ScatterElements', `${into}.after`, [into, index, piece], { axis: { int: 0 } });
    inputs.push({ name: piece, type: 'float', shape: ['rows', headSize] });
    inputs.push({ name: into, type: 'float', shape: ['all', headSize] });
    outputs.push({ name: `${into}.after`, type: 'float', shape: ['all', headSize] });
  }
  return encoded(writer, { name: 'kv-scatter', inputs, outputs });
}

function encoded(
  { nodes, constants }: GraphWriter,
  graph: Pick<GraphProto, 'name' | 'inputs' | 'outputs'>,
): Uint8Array {
  return encodeModel({ ...graph, nodes, initializers: constants }, producer);
}
