// What a layer takes on a rectangle of cores, in cycles: broadcast, local products, reduction over the mesh.
// Decode: a · MACs / cores + c1 · edge + c0. Prefill: the same shape with the mesh terms of a matrix product.
// Pure. Source of the form: hardware-facts, section 1 (WaferLLM's measurements). Before it: floorplan.ts.
import {
  activeLayerWeights,
  attentionMacs,
  decodeAttentionMacs,
  headWeights,
  type ModelShape,
} from '../shapes.ts';
import { waferFitted } from './fitted.ts';

export interface Rectangle {
  readonly columns: number; // cores
  readonly rows: number; // cores
}

export type WaferCoefficients = typeof waferFitted;

/** Cycles of one layer for one token that looks at `contextCount` others. */
export function decodeLayerCycles(
  shape: ModelShape,
  area: Rectangle,
  contextCount: number,
  fitted: WaferCoefficients = waferFitted,
): number {
  const attention = decodeAttentionMacs(shape, contextCount) * fullAttentionShare(shape);
  return passCycles(activeLayerWeights(shape) + attention, area, fitted);
}

/** Cycles of the output projection for one token. It is taken to have the mesh costs of a layer: an upper bound. */
export function headCycles(
  shape: ModelShape,
  area: Rectangle,
  parts = 1, // equal areas, each with its part
  fitted: WaferCoefficients = waferFitted,
): number {
  return passCycles(headWeights(shape) / parts, area, fitted);
}

export interface ChunkSize {
  readonly tokenCount: number;
  readonly position: number; // tokens before it
}

/** Cycles of one layer for a chunk of one prompt, as one matrix product. */
export function productLayerCycles(
  shape: ModelShape,
  area: Rectangle,
  { tokenCount, position }: ChunkSize,
  fitted: WaferCoefficients = waferFitted,
): number {
  const contextCount = position + tokenCount; // the whole square of scores, as WaferLLM computes it
  const attention = attentionMacs(shape, contextCount) * fullAttentionShare(shape);
  return productCycles(shape, tokenCount * (activeLayerWeights(shape) + attention), area, fitted);
}

/** What a step of many sequences asks of a layer. */
export interface BatchSize {
  readonly tokenCount: number;
  readonly attentionMacs: number; // of one layer with full attention, of all tokens together
}

/** Cycles of one layer for such a step, token after token or as one product, whichever is sooner. Each of `parts` areas does its part. */
export function batchLayerCycles(
  shape: ModelShape,
  { tokenCount, attentionMacs: attention }: BatchSize,
  { area, parts }: { readonly area: Rectangle; readonly parts: number },
  fitted: WaferCoefficients = waferFitted,
): number {
  const macs = (tokenCount * activeLayerWeights(shape) + attention * fullAttentionShare(shape)) / parts;
  return Math.min(passCycles(macs, area, fitted, tokenCount), productCycles(shape, macs, area, fitted));
}

/** Half the way round a rectangle: a square's side. */
export function edge(area: Rectangle): number {
  return (area.columns + area.rows) / 2;
}

function passCycles(macs: number, area: Rectangle, fitted: WaferCoefficients, passCount = 1): number {
  const local = (fitted.decodeCyclesPerMac * macs) / (area.columns * area.rows);
  return local + passCount * (fitted.decodeCyclesPerEdgeCore * edge(area) + fitted.decodeCyclesPerLayer);
}

function productCycles(shape: ModelShape, macs: number, area: Rectangle, fitted: WaferCoefficients): number {
  const edgeCycles =
    fitted.prefillCyclesPerEdgeCore + fitted.prefillCyclesPerEdgeCoreAndWidth * shape.hiddenSize;
  return (fitted.prefillCyclesPerMac * macs) / (area.columns * area.rows) + edgeCycles * edge(area);
}

/** Layers whose attention grows with the context, of all. A short window looks at next to nothing. */
export function fullAttentionShare(shape: ModelShape): number {
  return shape.fullAttentionLayerCount / shape.layerCount;
}
