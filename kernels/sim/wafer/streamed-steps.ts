// StreamedSteps: what a step takes on wafers whose weights come from external memory. Every wafer fetches its part of each layer
// over its own I/O while the layer before is computed; wafers add up partial sums over their links. A step serves a whole batch,
// so that all its users share one stream of weights. Pure. Before it: streamed-device.ts; after it: latency.ts.
import { decodeAttentionMacs, layerBytes, type ModelShape, metShare } from '../shapes.ts';
import { type WaferSetup, waferActivationBytes } from './floorplan.ts';
import { batchLayerCycles, headCycles } from './latency.ts';

export interface StreamedSetup extends WaferSetup {
  readonly linkLatencyUs: number; // wafer to wafer
  readonly sequenceCountMax: number;
}

/** Of all layers, which pass through the buffers and which stay. */
export interface LayerSplit {
  readonly residentLayerCount: number;
  readonly streamedLayerCount: number;
}

/** What a step contains. */
export interface StreamedCounts {
  readonly tokenCount: number;
  readonly sampledCount: number;
  readonly attentionMacs: number; // of one layer with full attention, of all tokens together
}

/** One decoded token of each of `rowCount` users. */
export function decodeCounts(shape: ModelShape, rowCount: number, contextTokens: number): StreamedCounts {
  const macs = rowCount * decodeAttentionMacs(shape, contextTokens);
  return { tokenCount: rowCount, sampledCount: rowCount, attentionMacs: macs };
}

/** From one streamed layer to the next, with the resident layers behind it. Milliseconds. */
export interface StreamedPeriod {
  readonly residentCount: number; // layers computed after the streamed one
  readonly headMs: number; // > 0: the last one, with the output projection
  readonly ms: number; // the later of I/O and computing
}

export interface StreamedStep {
  readonly periods: readonly StreamedPeriod[]; // [streamed layers], or one if all stay
  readonly commonMs: number; // I/O of what every token of a layer meets: comes while the layer before is computed
  readonly routedMs: number; // I/O of the experts that some token meets: comes when the router has spoken
  readonly layerMs: number; // computing a layer
  readonly exchangeMs: number; // partial sums of a layer between wafers
  readonly totalMs: number;
}

/** Steady state: the first layer of a step came in at the end of the one before. */
export function streamedStep(
  setup: StreamedSetup,
  { streamedLayerCount, residentLayerCount }: LayerSplit,
  { tokenCount, sampledCount, attentionMacs }: StreamedCounts,
): StreamedStep {
  const { chip, waferCount, shape, precision } = setup;
  const cyclesPerMs = chip.clockHz / 1e3;
  const bytesPerMs = (waferCount * chip.ioBytesPerSecond) / 1e3;
  const spread = { area: chip, parts: waferCount };
  const { common, routed } = layerBytes(shape, precision);
  const commonMs = common / shape.layerCount / bytesPerMs;
  const routedMs = (routed * metShare(shape, tokenCount)) / shape.layerCount / bytesPerMs;
  const layerMs = batchLayerCycles(shape, { tokenCount, attentionMacs }, spread) / cyclesPerMs;
  const { exchangeMs, sentMs } = exchangesOfLayer(setup, tokenCount);
  const headMs = (sampledCount * headCycles(shape, chip, waferCount)) / cyclesPerMs;
  const count = Math.max(1, streamedLayerCount);
  const periods = Array.from({ length: count }, (_, index): StreamedPeriod => {
    const residentCount = evenPart(residentLayerCount, count, index);
    const layers = residentCount + Math.min(1, streamedLayerCount);
    const ownHeadMs = index === count - 1 ? headMs : 0;
    const fetchMs = streamedLayerCount === 0 ? 0 : commonMs + routedMs;
    const expertsMs = streamedLayerCount === 0 ? 0 : routedMs;
    const workMs = expertsMs + layers * (layerMs + exchangeMs) + ownHeadMs;
    return { residentCount, headMs: ownHeadMs, ms: Math.max(fetchMs + layers * sentMs, workMs) };
  });
  const totalMs = periods.reduce((sum, { ms }) => sum + ms, 0);
  return { periods, commonMs, routedMs, layerMs, exchangeMs, totalMs };
}

function evenPart(total: number, count: number, index: number): number {
  return Math.floor((total * (index + 1)) / count) - Math.floor((total * index) / count);
}

const exchangesPerLayer = 2; // after attention and after the feed-forward part, as under tensor parallelism

// Partial sums go up a tree of wafers and come down again; the I/O that carries them fetches nothing meanwhile.
function exchangesOfLayer(
  { chip, waferCount, shape, linkLatencyUs }: StreamedSetup,
  tokenCount: number,
): { readonly exchangeMs: number; readonly sentMs: number } {
  if (waferCount === 1) return { exchangeMs: 0, sentMs: 0 };
  const hops = 2 * Math.ceil(Math.log2(waferCount));
  const hopBytes = tokenCount * shape.hiddenSize * waferActivationBytes;
  const sentMs = exchangesPerLayer * hops * (hopBytes / (chip.ioBytesPerSecond / 1e3));
  return { exchangeMs: sentMs + (exchangesPerLayer * hops * linkLatencyUs) / 1e3, sentMs };
}
