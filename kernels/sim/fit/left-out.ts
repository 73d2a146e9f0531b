// Output tokens per second and GPU of the calibrated rows of mixture-rows.ts, each kind by constants that were fitted without
// it, in the order of the rows. Written by the fit, which says how in its own file; do not edit.
export const LEFT_OUT: Readonly<Record<string, readonly number[]>> = {
  'gpt-oss-120b mxfp4 on h200x1/1': [6390, 2151, 1397],
  'gpt-oss-120b mxfp4 on h100x4/1': [4922],
  'gpt-oss-120b mxfp4 on b200x2/1': [28800, 16960, 6193],
  'gpt-oss-20b mxfp4 on h100x1/1': [13120, 8316, 2815],
  'gpt-oss-20b mxfp4 on b200x1/1': [45520, 40270, 10650],
  'qwen3-235b-a22b fp8 on h200x4/1': [1968, 1267, 411.6],
  'qwen3-235b-a22b nvfp4 on b200x4/1': [6274, 3452, 1267],
  'qwen3-30b-a3b nvfp4 on b200x1/1': [26580, 12930, 5421],
  'llama-4-maverick fp8 on h200x8/1': [5239, 1021],
  'llama-4-maverick nvfp4 on b200x4/1': [11100, 3957, 2289],
  'deepseek-r1 fp8 on h200x8/1': [2727, 1620],
  'deepseek-r1 nvfp4 on b200x4/1': [6478, 4281, 1309],
  'llama-3.3-70b nvfp4 on b200x1/1': [11880, 3891, 2072],
};
