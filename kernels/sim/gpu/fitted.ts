// The fitted constants of the GPU model. Written by `npx tsx kernels/sim/fit/main.ts` from the calibrated rows of
// kernels/sim/fit/load-rows.ts (dense models in fp8 on H100, H200 and L40S) and of NIM with 1 and 25 users; do not edit.
export const gpuFitted = {
  computeUtilisation: 0.6477, // share of peak FLOP/s that products and prefill attention reach
  layerOverheadUs: 61.4, // µs per layer and step: kernel launches and gaps
  rowOverheadUs: 1.16, // µs per sequence in a step: scheduling, sampling
  ringStepUs: 3.86, // µs of each step of a ring, beyond a small exchange's latency
  pcie4Utilisation: 0.5053, // share of PCIe 4's rate that data has on its way through the host
};

// What a layer costs on chips that are no GPUs, beside reading, computing and bytes on links: from one row each of
// kernels/sim/fit/other-rows.ts (Groq: a dense model and a mixture; SambaNova: a dense model), one user.
export const groqFitted = {
  lpuLayerUs: 40.99, // µs per layer: eight chips and the network between them
  lpuMixtureLayerUs: 10.56, // µs more for a layer of experts
};
export const sn40lFitted = {
  rduLayerUs: 5.328, // µs per layer: one fused call, sums of 16 sockets
};

// The constants of mixtures of experts, of fp4 and of pipeline stages, from the calibrated rows of kernels/sim/fit/mixture-rows.ts and
// kernels/sim/fit/load-rows.ts (maximum load); those above are held.
export const mixtureFitted = {
  expertBf16Utilisation: 0.4, // share of peak FLOP/s of grouped products, both sides in 16 bits; not fitted
  expertFp8Utilisation: 0.5794,
  expertFp4Utilisation: 0.5866,
  expertMxfp4Utilisation: 0.4889, // MXFP4 weights on fp8 activations
  expertWidenedUtilisation: 0.2797, // MXFP4 weights widened to 16 bits (Hopper)
  fp4Utilisation: 0.4796, // of products that are no expert's, NVFP4
  warpFp4Gain: 1.317, // times as much of the peak where a warp's instructions do it, on a chip whose peak is lower
  blockScaleShare: 0.3531, // of the utilisations in fp8 where scales are of blocks
  tileTokens: 29.41, // tokens of one tile of a grouped product
  routingOps: 373.4, // operations of vector units on each element that is routed
  routingPasses: 1.511, // times that a routed token's vectors go through memory
  mixtureLayerUs: 112.5, // µs per mixture layer and step: router, sorting, more launches
  promptImbalance: 1.469, // of eight data-parallel ranks in a step with prompts: the fullest over the mean
  decodeImbalance: 1.046, // the same of a step without
  stageRowUs: 35.7, // µs per sequence that a stage tells the next of
};
