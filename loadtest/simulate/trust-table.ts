// Written by test/golden/validation.test.ts (make bless); do not edit. For each kind of prediction: family, chip, format,
// parallelism, regime; rows that were not fitted, most chips, longest prompt, median and worst error in %. Before them: the median error in % of the
// mixtures' calibrated rows, each kind by constants that were fitted without it.
export const LEFT_OUT_MEDIAN = '12.8';

export const TRUST_TABLE: readonly string[] = [
  'dense wse2 fp16 wafer region 5 1 0 1.3 2.3',
  'dense h100 fp8 tensor load 8 2 20000 4.7 13.9',
  'dense h100 fp8 tensor users 15 2 5000 3.9 20.8',
  'dense h100 fp16 tensor users 2 1 547 6.0 8.2',
  'mixture h200 mxfp4 tensor load 5 1 32768 12.0 15.8',
  'mixture h100 mxfp4 expert load 3 4 32768 12.5 22.7',
  'mixture b200 mxfp4 expert load 2 2 32768 5.7 9.4',
  'mixture gb200 mxfp4 tensor load 10 1 32768 5.4 16.1',
  'mixture h100 mxfp4 tensor load 1 1 32768 12.4 12.4',
  'mixture b200 mxfp4 tensor load 2 1 32768 3.4 6.1',
  'mixture h200 fp8 expert load 3 8 32768 15.5 16.5',
  'mixture h100 fp8 expert load 2 8 1024 6.9 7.8',
  'mixture b200 nvfp4 expert load 5 4 32768 7.0 25.0',
  'mixture gb200 nvfp4 expert load 13 4 32768 7.1 26.0',
  'mixture b200 nvfp4 tensor load 2 1 32768 2.7 4.1',
  'mixture gb200 nvfp4 tensor load 5 1 32768 8.8 21.1',
  'mixture rtx6000pro nvfp4 tensor load 4 1 32768 18.8 22.7',
  'mixture rtx6000pro nvfp4 expert load 7 8 32768 18.7 27.4',
  'mixture rtx6000pro nvfp4 expert-pp load 5 4 32768 7.6 12.3',
  'dense b200 nvfp4 tensor load 1 1 32768 14.8 14.8',
  'dense gb200 nvfp4 tensor load 4 1 32768 2.8 11.7',
  'dense h200 fp8 tensor load 4 2 32768 6.2 6.7',
  'dense rtx6000pro nvfp4 tensor load 2 1 8192 13.0 15.8',
  'dense rtx6000pro nvfp4 tensor-pp load 3 2 32768 14.9 15.0',
  'dense wse3 fp16 wafer one-user 3 64 1024 8.5 11.8',
  'mixture wse3 mxfp4 wafer one-user 1 64 1024 13.8 13.8',
];
