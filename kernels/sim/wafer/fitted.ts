// The fitted constants of the wafer model. Written by `npx tsx kernels/sim/fit/main.ts` from the calibration rows of
// kernels/sim/fit/published.ts (WaferLLM on a WSE-2: LLaMA3-8B and QWen2-72B); do not edit.
export const waferFitted = {
  decodeCyclesPerMac: 1.088, // cycles per multiply-add on a core, one token
  decodeCyclesPerEdgeCore: 15.71, // cycles per layer and core of the region's edge: broadcasts and reductions
  decodeCyclesPerLayer: 4632, // cycles per layer, whatever its region
  prefillCyclesPerMac: 1.04, // cycles per multiply-add on a core, many tokens
  prefillCyclesPerEdgeCore: 1864, // cycles per layer and core of the region's edge
  prefillCyclesPerEdgeCoreAndWidth: 0.5937, // the same, per element of the hidden size
};
