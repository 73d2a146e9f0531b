// The fitted constants of the GPU model. Written by `npx tsx kernels/sim/fit/main.ts` from the calibration rows
// that are published (TensorRT-LLM v1.0: 8B on one H100, 70B on one H200, both fp8); do not edit.
export const gpuFitted = {
  computeUtilisation: 0.5503, // share of peak FLOP/s that linear layers and prefill attention reach
  layerOverheadUs: 53.18, // µs per layer and step: kernel launches and gaps
  rowOverheadUs: 2.148, // µs per sequence in a step: scheduling, sampling
};

// What a layer costs on chips that are no GPUs, beside reading, computing and bytes on links: from one row each of
// kernels/sim/fit/other-rows.ts (Groq: a dense model and a mixture; SambaNova: a dense model), one user.
export const groqFitted = {
  lpuLayerUs: 40.99, // µs per layer: eight chips and the network between them
  lpuMixtureLayerUs: 10.2, // µs more for a layer of experts
};
export const sn40lFitted = {
  rduLayerUs: 5.328, // µs per layer: one fused call, sums of 16 sockets
};

// The constants of mixtures of experts and of fp4, from the calibration rows of kernels/sim/fit/mixture-rows.ts
// (TensorRT-LLM 1.2, maximum load); those above are held.
export const mixtureFitted = {
  expertBf16Utilisation: 0.4, // share of peak FLOP/s of grouped products, both sides in 16 bits; not fitted: no row
  expertFp8Utilisation: 0.2856,
  expertFp4Utilisation: 0.7477,
  expertMxfp4Utilisation: 0.9, // MXFP4 weights on fp8 activations
  expertWidenedUtilisation: 0.3297, // MXFP4 weights widened to 16 bits (Hopper)
  fp4Utilisation: 0.3379, // of products that are no expert's, NVFP4
  tileTokens: 38.62, // tokens of one tile of a grouped product
  routingOps: 346.8, // operations of vector units on each element that is routed
  routingPasses: 10.28, // times that a routed token's vectors go through memory
  mixtureLayerUs: 67.72, // µs per mixture layer and step: router, sorting, more launches
  exchangeUs: 15.14, // µs more per mixture layer where tokens travel between ranks: waiting for the last
  rankImbalance: 1.1, // of data-parallel ranks, each with its own rows: the fullest over the mean
};
