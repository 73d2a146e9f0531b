// The wafer's constants from WaferLLM's calibration rows. One layer on a P × P region, repeated for all layers.
import { namedShape } from '../catalogue.ts';
import { WAFER_CHIPS } from '../wafer/chips.ts';
import { waferFitted } from '../wafer/fitted.ts';
import { decodeLayerCycles, productLayerCycles, type WaferCoefficients } from '../wafer/latency.ts';
import { leastSquares } from './least-squares.ts';
import { prefillTokens, WAFER_DECODE_ROWS, WAFER_PREFILL_ROWS, type WaferRegionRow } from './published.ts';

const { clockHz } = WAFER_CHIPS[0]!; // measured on a WSE-2

/** Tokens per second of one request on square regions, layers only: what WaferLLM reports. */
export function regionDecodeRate(
  model: string,
  edge: number,
  fitted: WaferCoefficients = waferFitted,
): number {
  const shape = namedShape(model);
  const cycles = decodeLayerCycles(shape, { columns: edge, rows: edge }, 0, fitted);
  return clockHz / (shape.layerCount * cycles);
}

/** The same for the prompt. */
export function regionPrefillRate(
  model: string,
  edge: number,
  fitted: WaferCoefficients = waferFitted,
): number {
  const shape = namedShape(model);
  const area = { columns: edge, rows: edge };
  const cycles = productLayerCycles(shape, area, { tokenCount: prefillTokens, position: 0 }, fitted);
  return (clockHz * prefillTokens) / (shape.layerCount * cycles);
}

export function fitWafer(): WaferCoefficients {
  const calibration = (rows: readonly WaferRegionRow[]) =>
    rows.filter(({ status }) => status === 'calibrated');
  const decodeRows = calibration(WAFER_DECODE_ROWS);
  const [perMac, perEdge, perLayer] = leastSquares([1, 10, 1000], ([a, b, c]) => {
    const fitted = {
      ...waferFitted,
      decodeCyclesPerMac: a!,
      decodeCyclesPerEdgeCore: b!,
      decodeCyclesPerLayer: c!,
    };
    // Cycles, not rates: linear in the constants.
    return decodeRows.map((row) => row.tokensPerSecond / regionDecodeRate(row.model, row.edge, fitted) - 1);
  });
  const decode = {
    decodeCyclesPerMac: perMac!,
    decodeCyclesPerEdgeCore: perEdge!,
    decodeCyclesPerLayer: perLayer!,
  };
  const prefillRows = calibration(WAFER_PREFILL_ROWS);
  const [prefillPerMac, prefillPerEdge, prefillPerEdgeAndWidth] = leastSquares(
    [1, 1000, 0.5],
    ([a, b, c]) => {
      const fitted = {
        ...decode,
        prefillCyclesPerMac: a!,
        prefillCyclesPerEdgeCore: b!,
        prefillCyclesPerEdgeCoreAndWidth: c!,
      };
      return prefillRows.map(
        (row) => row.tokensPerSecond / regionPrefillRate(row.model, row.edge, fitted) - 1,
      );
    },
  );
  return {
    ...decode,
    prefillCyclesPerMac: prefillPerMac!,
    prefillCyclesPerEdgeCore: prefillPerEdge!,
    prefillCyclesPerEdgeCoreAndWidth: prefillPerEdgeAndWidth!,
  };
}
