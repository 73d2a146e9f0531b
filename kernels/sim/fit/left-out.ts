// Output tokens per second and GPU of the calibrated rows of mixture-rows.ts, each kind by constants that were fitted without
// it, in the order of the rows. Written by the fit, which says how in its own file; do not edit.
export const LEFT_OUT: Readonly<Record<string, readonly number[]>> = {
  'gpt-oss-120b mxfp4 on h200x1/1': [6393, 2171, 1399],
  'gpt-oss-120b mxfp4 on h100x4/1': [4892],
  'gpt-oss-120b mxfp4 on b200x2/1': [28900, 16990, 6183],
  'gpt-oss-20b mxfp4 on h100x1/1': [13130, 8308, 2816],
  'gpt-oss-20b mxfp4 on b200x1/1': [45840, 40400, 10640],
  'qwen3-235b-a22b fp8 on h200x4/1': [1965, 1266, 411.2],
  'qwen3-235b-a22b nvfp4 on b200x4/1': [6250, 3442, 1263],
  'qwen3-30b-a3b nvfp4 on b200x1/1': [26610, 12920, 5408],
  'llama-4-maverick fp8 on h200x8/1': [5246, 1023],
  'llama-4-maverick nvfp4 on b200x4/1': [11140, 3962, 2273],
  'deepseek-r1 fp8 on h200x8/1': [2729, 1621],
  'deepseek-r1 nvfp4 on b200x4/1': [6477, 4285, 1309],
  'llama-3.3-70b nvfp4 on b200x1/1': [11700, 3872, 2065],
};
