// Written by test/golden/validation.test.ts (make bless); do not edit. For each kind of prediction: family, chip, format,
// parallelism, regime; rows that were not fitted, most chips, longest prompt, median and worst error in %.
export const LEFT_OUT_MEDIAN = '12.8';

export const TRUST_TABLE: readonly string[] = [
  'dense wse2 fp16 wafer region 5 1 0 1.3 2.3',
  'dense h100 fp8 tensor load 8 2 20000 4.7 13.9',
  'dense h100 fp8 tensor users 15 2 5000 3.9 20.8',
  'dense h100 fp16 tensor users 2 1 547 6.0 8.2',
  'mixture h200 mxfp4 tensor load 5 1 32768 13.6 21.6',
  'mixture h100 mxfp4 expert load 3 4 32768 16.4 33.2',
  'mixture b200 mxfp4 expert load 2 2 32768 15.1 27.5',
  'mixture gb200 mxfp4 tensor load 10 1 32768 10.9 32.4',
  'mixture h100 mxfp4 tensor load 1 1 32768 9.6 9.6',
  'mixture b200 mxfp4 tensor load 2 1 32768 13.1 22.1',
  'mixture h200 fp8 expert load 3 8 32768 14.6 16.1',
  'mixture h100 fp8 expert load 2 8 1024 4.6 6.5',
  'mixture b200 nvfp4 expert load 5 4 32768 12.1 25.3',
  'mixture gb200 nvfp4 expert load 13 4 32768 7.1 27.4',
  'mixture b200 nvfp4 tensor load 2 1 32768 8.2 8.6',
  'mixture gb200 nvfp4 tensor load 5 1 32768 4.7 32.5',
  'dense b200 nvfp4 tensor load 1 1 32768 14.2 14.2',
  'dense gb200 nvfp4 tensor load 4 1 32768 3.1 11.0',
  'dense h200 fp8 tensor load 4 2 32768 6.2 6.7',
];
