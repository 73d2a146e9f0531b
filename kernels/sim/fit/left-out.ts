// Output tokens per second and GPU of the calibrated rows of mixture-rows.ts, each kind by constants that were fitted without
// it, in the order of the rows. Written by the fit, which says how in its own file; do not edit.
export const LEFT_OUT: Readonly<Record<string, readonly number[]>> = {
  'gpt-oss-120b mxfp4 on h200x1/1': [6408, 2201, 1401],
  'gpt-oss-120b mxfp4 on h100x4/1': [4961],
  'gpt-oss-120b mxfp4 on b200x2/1': [28690, 16890, 6170],
  'gpt-oss-20b mxfp4 on h100x1/1': [13090, 8335, 2808],
  'gpt-oss-20b mxfp4 on b200x1/1': [45780, 40270, 10700],
  'qwen3-235b-a22b fp8 on h200x4/1': [1966, 1260, 411.2],
  'qwen3-235b-a22b nvfp4 on b200x4/1': [6314, 3449, 1274],
  'qwen3-30b-a3b nvfp4 on b200x1/1': [26440, 12960, 5393],
  'llama-4-maverick fp8 on h200x8/1': [5317, 1032],
  'llama-4-maverick nvfp4 on b200x4/1': [11100, 3932, 2287],
  'deepseek-r1 fp8 on h200x8/1': [2769, 1626],
  'deepseek-r1 nvfp4 on b200x4/1': [6529, 4275, 1317],
  'llama-3.3-70b nvfp4 on b200x1/1': [11880, 3891, 2072],
};
