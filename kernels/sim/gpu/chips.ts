// GPUs and other chips with weights in off-chip memory, as published: peak rates, memory, links, power. Numbers only, each
// with its source; what software achieves of them is in roofline.ts and fitted.ts.
import { kvPrecisionOf, type SimKvPrecision, type SimPrecision } from '../precision.ts';
import { gpuFitted, groqFitted, sn40lFitted } from './fitted.ts';
import type { MeasuredSteps } from './measured-steps.ts';

export interface GpuChip {
  readonly name: string;
  readonly bf16FlopsPerSecond: number; // dense
  readonly fp8FlopsPerSecond: number; // dense; equal to bf16 where the chip has no fp8
  readonly fp4FlopsPerSecond: number; // dense; equal to bf16 where the chip has no fp4: weights are widened
  readonly vectorFlopsPerSecond: number; // fp32, outside the matrix units
  readonly memoryBytesPerSecond: number;
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number; // one direction, all links of a chip
  readonly powerW: number; // board limit; 0: not known
  readonly sharesFabric?: boolean; // one memory fabric joins the GPUs, so that a kernel writes into another's memory
  readonly isHostLinked?: boolean; // its link is PCIe 4, through the host
  readonly tileTokens?: number; // rows of a product's tile; default: 128
  readonly hasWarpFp4?: boolean; // fp4 by instructions of a warp, as workstation Blackwells do; default: of a whole unit
  readonly own?: OwnConstants; // where a GPU's software does not run
  readonly measured?: MeasuredSteps; // of a machine that was timed: its rates above are for people
}

/** What a step costs beside reading, computing and the bytes on links, on a chip that is no GPU. */
export interface OwnConstants {
  readonly layerUs: number; // each layer and step; the latency of exchanges between chips is in it
  readonly mixtureLayerUs: number; // more for a layer of experts
  readonly rowUs: number; // each sequence of a step
  readonly bandwidthUtilisation: number; // share of the memory's rate
  readonly computeUtilisation: number; // share of the peak rate
  readonly groups: readonly number[]; // chips that may share a layer; the first that holds the model is taken
  readonly place: string; // where weights and KV lie, for people
}

const T = 1e12;
const G = 1e9;
const M = 2 ** 20;

// Two of a data-centre Blackwell's units share a tile (its tcgen05 instructions). NVIDIA, CUTLASS.
const pairTileTokens = 256;

// Vector rates: fp32 outside the matrix units, the same data sheets; of TPU and Apple: not published, assumed.
// a100 … b200: rates from hardware-facts, section 2 (data sheets: A100-80G and H100 read, H200 and B200 quoted). Memory of NVIDIA's: what
// its driver says (nvidia-smi: 81,920, 81,559, 143,771, 183,359, 189,471, 46,068, 24,564, 32,607 and 97,887 MiB), which is more than the
// name, whose GB are binary; of AMD's and Apple's: the name in GiB. links: NVIDIA data sheets, half of the stated total of both directions (600, 900, 900, 1800 GB/s); power: data
// sheets, SXM. gb200: one of an NVL72's GPUs, NVIDIA GB200 NVL72 page (dense = half of the sparse rates). l40s, rtx: NVIDIA
// data sheet and Ada/Blackwell architecture papers, dense with fp32 accumulation, links PCIe; rtx6000pro: RTX PRO 6000
// Blackwell Server Edition's data sheet, half of its sparse rates. mi300x, mi355x: AMD data
// sheets, links Infinity Fabric 7 × 64 and 7 × 76.8 GB/s. tpuv6e: Google Cloud's TPU v6e page (int8 for fp8). m4max,
// m3ultra: bandwidth and memory from Apple's specifications; its 16-bit rate is not published: cores × 2 × 128 × clock.
export const GPU_CHIPS: readonly GpuChip[] = [
  chip('a100', [312 * T, 312 * T, 312 * T], [2.039 * T, 81_920 * M], 19.5 * T, 300 * G, 400),
  chip('h100', [989.5 * T, 1979 * T, 989.5 * T], [3.35 * T, 81_559 * M], 67 * T, 450 * G, 700),
  chip('h200', [989 * T, 1979 * T, 989 * T], [4.8 * T, 143_771 * M], 67 * T, 450 * G, 700),
  {
    ...chip('b200', [2250 * T, 4500 * T, 9000 * T], [8 * T, 183_359 * M], 75 * T, 900 * G, 1000),
    tileTokens: pairTileTokens,
  },
  {
    ...chip('gb200', [2500 * T, 5000 * T, 10000 * T], [8 * T, 189_471 * M], 80 * T, 900 * G, 1200),
    sharesFabric: true,
    tileTokens: pairTileTokens,
  },
  {
    ...chip('l40s', [362 * T, 733 * T, 362 * T], [0.864 * T, 46_068 * M], 91.6 * T, 32 * G, 350),
    isHostLinked: true,
  },
  {
    ...chip('rtx4090', [165.2 * T, 330.3 * T, 165.2 * T], [1.008 * T, 24_564 * M], 82.6 * T, 32 * G, 450),
    isHostLinked: true,
  },
  {
    ...chip('rtx5090', [209.5 * T, 419 * T, 1676 * T], [1.792 * T, 32_607 * M], 104.8 * T, 64 * G, 575),
    hasWarpFp4: true,
  },
  {
    ...chip('rtx6000pro', [500 * T, 1000 * T, 2000 * T], [1.597 * T, 97_887 * M], 120 * T, 64 * G, 600),
    hasWarpFp4: true,
  },
  chip('mi300x', [1307.4 * T, 2614.9 * T, 1307.4 * T], [5.3 * T, 192 * 1024 * M], 163.4 * T, 448 * G, 750),
  chip('mi355x', [2516 * T, 5033 * T, 10066 * T], [8 * T, 288 * 1024 * M], 157.3 * T, 537 * G, 1400),
  chip('tpuv6e', [918 * T, 1836 * T, 918 * T], [1.64 * T, 32 * G], 14 * T, 224 * G, 300),
  chip('m4max', [34 * T, 34 * T, 34 * T], [0.546 * T, 128 * 1024 * M], 17 * T, 10 * G, 90),
  chip('m3ultra', [57 * T, 57 * T, 57 * T], [0.819 * T, 512 * 1024 * M], 28 * T, 10 * G, 270),
  // groqlpu: 230 MB of SRAM at 80 TB/s, 188 TFLOPS fp16, 750 TOPS int8 (for fp8), 5,120 vector ALUs (× 0.9 GHz × 2): TechPowerUp,
  // February 2024, quoting Groq. 8-bit weights on 576 chips for Llama-2-70B; 8 chips a node. Links: 16 × 100 Gbit/s assumed; power assumed.
  {
    ...chip('groqlpu', [188 * T, 750 * T, 188 * T], [80 * T, 0.23 * G], 9.2 * T, 200 * G, 215),
    own: {
      ...{ layerUs: groqFitted.lpuLayerUs, mixtureLayerUs: groqFitted.lpuMixtureLayerUs, rowUs: 0 },
      ...{ bandwidthUtilisation: 0.85, computeUtilisation: 0.55, groups: [8, 16, 32, 64, 128] },
      place: 'SRAM of all chips, one static schedule',
    },
  },
  // sn40l: 638 TFLOPS bf16, 520 MB of SRAM, 64 GB of HBM3, 1.5 TB of DDR: SambaNova at Hot Chips 2024 (servethehome.com, aiwiki.ai). Its HBM's
  // rate was found nowhere: assumed, two stacks of HBM3. Over 75 % of peak in token generation on 16 sockets: its talk at ISC 2025. A model
  // lies in HBM; SRAM fuses a layer's operators, DDR holds other models. Links, power: assumed (10 kW a rack of 16).
  {
    ...chip('sn40l', [638 * T, 638 * T, 638 * T], [1.638 * T, 64 * G], 40 * T, 100 * G, 625),
    own: {
      ...{ layerUs: sn40lFitted.rduLayerUs, mixtureLayerUs: 0, rowUs: 0 },
      ...{ bandwidthUtilisation: 0.75, computeUtilisation: 0.75, groups: [16, 8, 4, 2, 1] },
      place: 'HBM of all sockets; SRAM fuses operators, DDR holds other models',
    },
  },
];

function chip(
  name: string,
  [bf16FlopsPerSecond, fp8FlopsPerSecond, fp4FlopsPerSecond]: [number, number, number],
  [memoryBytesPerSecond, memoryBytes]: [number, number],
  vectorFlopsPerSecond: number,
  linkBytesPerSecond: number,
  powerW: number,
): GpuChip {
  const rates = { bf16FlopsPerSecond, fp8FlopsPerSecond, fp4FlopsPerSecond, memoryBytesPerSecond };
  return { name, ...rates, vectorFlopsPerSecond, memoryBytes, linkBytesPerSecond, powerW };
}

/** Whether products in 4 bits are quicker than in 16. */
export function hasFp4(chip: GpuChip): boolean {
  return chip.fp4FlopsPerSecond > chip.bf16FlopsPerSecond;
}

/**
 * The KV format that goes with the weights' unless stated. MXFP4 has 8 bits on chips with fp4 and 16 on others, as TensorRT-LLM's page of
 * gpt-oss has it.
 */
export function gpuKvPrecision(chip: GpuChip, precision: SimPrecision): SimKvPrecision {
  return precision === 'mxfp4' && hasFp4(chip) && chip.own === undefined ? 'fp8' : kvPrecisionOf(precision);
}

/**
 * Peak of products with weights of that format. Weight-only formats are widened to 16 bits. MXFP4 (experts only) meets
 * fp8 activations where the chip has fp4, and what is not in 4 bits computes in 16.
 */
export function peakFlops(chip: GpuChip, precision: SimPrecision, part: 'expert' | 'common'): number {
  if (precision === 'fp8') return chip.fp8FlopsPerSecond;
  if (precision === 'nvfp4') return chip.fp4FlopsPerSecond;
  if (precision === 'mxfp4' && part === 'expert' && hasFp4(chip)) return chip.fp8FlopsPerSecond;
  return chip.bf16FlopsPerSecond;
}

/** The chip of that name. Throws where there is none: names come from tables. */
export function gpuChip(name: string): GpuChip {
  const chip = GPU_CHIPS.find((candidate) => candidate.name === name);
  if (chip === undefined) throw new Error(`${name} is no GPU of the list`);
  return chip;
}

/** GPUs that are joined closely in one node; parallelism beyond it is not modelled. */
export const tensorParallelMax = 8;

// Small all-reduce (2 KB) on H100, nccl-tests in APEX+; hardware-facts, section 2. Other chips: taken as equal.
const allReduceBaseUs: Readonly<Record<number, number>> = { 1: 0, 2: 8, 4: 11, 8: 16 };

// Share of a link's rate that data has; the rest is protocol. NCCL's maintainers on H100 (NVIDIA/nccl-tests, issue 212): 370 GB/s of
// 450. Other links, PCIe among them: taken as equal.
const linkUtilisation = 370 / 450;

// Up to here a kernel writes everything to everybody at once; a ring's steps are waited for from here on. Assumed; 0.25 and 4 MB fit as well.
const ringBytes = 1e6;

/** What was fitted about links. */
export interface LinkConstants {
  readonly ringStepUs: number; // µs more of each step of a ring
  readonly pcie4Utilisation: number; // share of a rate that goes through the host
}

/** Bytes per second of data in one direction. */
export function linkRate(chip: GpuChip, fitted: LinkConstants = gpuFitted): number {
  return chip.linkBytesPerSecond * (chip.isHostLinked === true ? fitted.pcie4Utilisation : linkUtilisation);
}

// Milliseconds before the bytes of an exchange in `steps` steps: the small one's, and the ring's as far as it is needed.
function latencyMs(
  chip: GpuChip,
  { count, steps, bytes }: { readonly count: number; readonly steps: number; readonly bytes: number },
  { ringStepUs }: LinkConstants,
): number {
  if (chip.own !== undefined) return 0;
  return (allReduceBaseUs[count]! + steps * ringStepUs * Math.min(1, bytes / ringBytes)) / 1e3;
}

/** Milliseconds of one all-reduce of `bytes` over `count` GPUs: latency, then a ring at link speed. */
export function allReduceMs(
  chip: GpuChip,
  count: number,
  bytes: number,
  fitted: LinkConstants = gpuFitted,
): number {
  if (count === 1) return 0;
  const steps = 2 * (count - 1);
  const ringShare = steps / count; // every byte goes round twice, but for one part
  return (
    latencyMs(chip, { count, steps, bytes }, fitted) + ((ringShare * bytes) / linkRate(chip, fitted)) * 1e3
  );
}

/** Milliseconds of one all-to-all in which each of `count` GPUs sends `bytes` to others. Latency as of half an all-reduce. */
export function allToAllMs(
  chip: GpuChip,
  count: number,
  bytes: number,
  fitted: LinkConstants = gpuFitted,
): number {
  if (count === 1) return 0;
  return latencyMs(chip, { count, steps: count - 1, bytes }, fitted) + (bytes / linkRate(chip, fitted)) * 1e3;
}
