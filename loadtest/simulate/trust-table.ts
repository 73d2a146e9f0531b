// Written by test/golden/validation.test.ts (make bless); do not edit. For each kind of prediction: family, chip, format,
// parallelism, regime; rows that were not fitted, most chips, longest prompt, median and worst error in %. Before them: the median error in % of the
// mixtures' calibrated rows, each kind by constants that were fitted without it.
export const LEFT_OUT_MEDIAN = '12.1';

export const TRUST_TABLE: readonly string[] = [
  'dense wse2 fp16 wafer region 5 1 0 1.3 2.3',
  'dense h100 fp8 tensor load 8 2 20000 3.4 12.5',
  'dense h100 fp8 tensor users 15 2 5000 3.7 22.9',
  'dense h100 fp16 tensor users 2 1 547 6.0 8.2',
  'mixture h200 mxfp4 tensor load 5 1 32768 12.6 15.4',
  'mixture h100 mxfp4 expert load 3 4 32768 13.2 23.3',
  'mixture b200 mxfp4 expert load 2 2 32768 5.5 8.9',
  'mixture gb200 mxfp4 tensor load 10 1 32768 5.5 16.6',
  'mixture h100 mxfp4 tensor load 1 1 32768 12.4 12.4',
  'mixture b200 mxfp4 tensor load 2 1 32768 2.9 5.5',
  'mixture h200 fp8 expert load 3 8 32768 15.6 16.7',
  'mixture h100 fp8 expert load 2 8 1024 6.5 6.9',
  'mixture b200 nvfp4 expert load 5 4 32768 7.2 24.8',
  'mixture gb200 nvfp4 expert load 13 4 32768 6.8 25.7',
  'mixture b200 nvfp4 tensor load 2 1 32768 3.3 4.8',
  'mixture gb200 nvfp4 tensor load 5 1 32768 8.4 21.6',
  'mixture rtx6000pro nvfp4 tensor load 4 1 32768 19.8 23.8',
  'mixture rtx6000pro nvfp4 expert load 7 8 32768 14.9 20.8',
  'mixture rtx6000pro nvfp4 expert-pp load 5 4 32768 10.7 14.4',
  'dense b200 nvfp4 tensor load 1 1 32768 15.4 15.4',
  'dense gb200 nvfp4 tensor load 4 1 32768 2.5 12.2',
  'dense h200 fp8 tensor load 4 2 32768 5.1 5.6',
  'dense rtx6000pro nvfp4 tensor load 2 1 8192 12.7 15.5',
  'dense rtx6000pro nvfp4 tensor-pp load 3 2 32768 15.3 15.5',
  'dense wse3 fp16 wafer one-user 3 64 1024 8.5 11.8',
  'mixture wse3 mxfp4 wafer one-user 1 64 1024 13.8 13.8',
];
