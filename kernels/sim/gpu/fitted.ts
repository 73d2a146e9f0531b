// The fitted constants of the GPU model. Written by `npx tsx kernels/sim/fit/main.ts` from the calibration rows of
// kernels/sim/fit/published.ts (TensorRT-LLM v1.0: 8B on one H100, 70B on one H200, both fp8); do not edit.
export const gpuFitted = {
  computeUtilisation: 0.5503, // share of peak FLOP/s that linear layers and prefill attention reach
  layerOverheadUs: 53.18, // µs per layer and step: kernel launches and gaps
  rowOverheadUs: 2.148, // µs per sequence in a step: scheduling, sampling
};
