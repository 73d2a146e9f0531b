// Wafers as published. The grid is assumed near square, because only the number of cores is published.
// Numbers only; what a layer takes on a region of cores is in latency.ts.

export interface WaferChip {
  readonly name: string;
  readonly columns: number; // cores
  readonly rows: number; // cores
  readonly coreBytes: number; // SRAM of one core
  readonly clockHz: number;
  readonly ioBytesPerSecond: number; // off the wafer, one direction
  readonly powerW: number; // system
}

const coreBytes = 48 * 1024; // WaferLLM (OSDI'25), ALCF guide: 48 KB; × 900,000 = 44 GB as published
const clockHz = 1.1e9; // WSE-2: up to 1.1 GHz; WSE-3: unpublished, 1.1 GHz in WaferLLM's host script
const ioBytesPerSecond = 150e9; // 12 × 100 GbE

// Cores: 850,000 and 900,000 enabled; power: about 15 and 23 kW. Source: hardware-facts, section 1.
export const WAFER_CHIPS: readonly WaferChip[] = [
  { name: 'wse2', columns: 921, rows: 922, coreBytes, clockHz, ioBytesPerSecond, powerW: 15_000 },
  { name: 'wse3', columns: 948, rows: 949, coreBytes, clockHz, ioBytesPerSecond, powerW: 23_000 },
];

/** Wafer-to-wafer latency of a CS-3 is unpublished: sweep 1 to 10 µs. */
export const linkLatencyUsDefault = 5;

/** External KV store: 6 TB of DDR5 (SemiAnalysis, May 2026); reached through the wafer's I/O. */
export const kvStoreBytesMax = 6e12;

// Program and buffers of each core that are neither weights, KV nor activations. Unpublished; assumed.
export const coreReservedBytes = 1024;
