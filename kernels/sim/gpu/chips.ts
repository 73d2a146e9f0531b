// GPUs as published: peak rates, memory, links, power. Numbers only, each with its source; what software achieves
// of them is in roofline.ts and fitted.ts.

export interface GpuChip {
  readonly name: string;
  readonly bf16FlopsPerSecond: number; // dense
  readonly fp8FlopsPerSecond: number; // dense; equal to bf16 where the chip has no fp8
  readonly memoryBytesPerSecond: number;
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number; // NVLink, one direction, all links of a GPU
  readonly powerW: number; // board limit
}

const T = 1e12;
const G = 1e9;

// Rates and memory: hardware-facts, section 2 (data sheets: A100-80G and H100 read, H200 and B200 quoted).
// Links: NVIDIA data sheets, half of the stated total of both directions (600, 900, 900, 1800 GB/s).
// Power: data sheets, SXM: 400, 700, 700, 1000 W.
export const GPU_CHIPS: readonly GpuChip[] = [
  chip('a100', [312 * T, 312 * T], [2.039 * T, 80 * G], 300 * G, 400),
  chip('h100', [989.5 * T, 1979 * T], [3.35 * T, 80 * G], 450 * G, 700),
  chip('h200', [989 * T, 1979 * T], [4.8 * T, 141 * G], 450 * G, 700),
  chip('b200', [2250 * T, 4500 * T], [8 * T, 180 * G], 900 * G, 1000),
];

function chip(
  name: string,
  [bf16FlopsPerSecond, fp8FlopsPerSecond]: [number, number],
  [memoryBytesPerSecond, memoryBytes]: [number, number],
  linkBytesPerSecond: number,
  powerW: number,
): GpuChip {
  const rates = { bf16FlopsPerSecond, fp8FlopsPerSecond, memoryBytesPerSecond };
  return { name, ...rates, memoryBytes, linkBytesPerSecond, powerW };
}

/** GPUs that NVLink joins in one node; tensor parallelism beyond it is not modelled. */
export const tensorParallelMax = 8;

// Small all-reduce (2 KB) on H100, nccl-tests in APEX+; hardware-facts, section 2. Other chips: taken as equal.
const allReduceBaseUs: Readonly<Record<number, number>> = { 1: 0, 2: 8, 4: 11, 8: 16 };

/** Milliseconds of one all-reduce of `bytes` over `count` GPUs: latency, then a ring at link speed. */
export function allReduceMs(chip: GpuChip, count: number, bytes: number): number {
  if (count === 1) return 0;
  const ringShare = (2 * (count - 1)) / count; // every byte goes round twice, but for one part
  return allReduceBaseUs[count]! / 1e3 + ((ringShare * bytes) / chip.linkBytesPerSecond) * 1e3;
}
