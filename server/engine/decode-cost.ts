// What a step of decode rows costs, read off the device's measured costs. Used by chunks.ts and draft-model.ts.
import type { StepCosts } from '../../kernels/backend.ts';

/** Milliseconds of a step of `rowCount` rows of one token; beyond what was measured, of as many as were. */
export function decodeCostMs({ decodeMs }: StepCosts, rowCount: number): number {
  return decodeMs[Math.max(0, Math.min(rowCount, decodeMs.length) - 1)]!;
}
