// StageChoice: how many chips share a layer, and in how many stages the layers lie, where the chip is one of hundreds. Pure.
// Before it: ../device.ts; after it: gpu-device.ts, which knows what fits.
import { DoesNotFitError } from '../fit-error.ts';
import { gpuKvTokens } from './gpu-device.ts';
import type { GpuSetup } from './roofline.ts';

/** Chips in all, and the stages they form. */
export interface Split {
  readonly gpuCount: number;
  readonly stageCount: number;
}

/** What was asked for; nothing: it is chosen. */
export interface AskedSplit {
  readonly gpuCount: number | null;
  readonly stageCount: number | undefined;
  readonly groupSize: number | undefined; // chips of a stage
}

/**
 * The fewest stages of the smallest group that hold the model and `contextTokens` of KV; what was asked for is kept. Throws
 * DoesNotFitError, with the numbers of the largest machine that was tried.
 */
export function chooseSplit(
  base: Omit<GpuSetup, 'gpuCount' | 'stageCount'>,
  asked: AskedSplit,
  contextTokens: number,
): Split {
  let refusal: unknown = null;
  for (const split of candidates(base, asked)) {
    try {
      if (gpuKvTokens({ ...base, ...split }) >= contextTokens) return split;
    } catch (error) {
      if (!(error instanceof DoesNotFitError)) throw error;
      refusal = error;
    }
  }
  throw (
    refusal ??
    new DoesNotFitError(
      `${asked.gpuCount ?? asked.groupSize ?? asked.stageCount} × ${base.chip.name}: a layer lies on ${base.chip.own!.groups.join(', ')} of them, in at most ${base.shape.layerCount} stages`,
    )
  );
}

function* candidates(
  { chip, shape }: Omit<GpuSetup, 'gpuCount' | 'stageCount'>,
  { gpuCount, stageCount, groupSize }: AskedSplit,
): Iterable<Split> {
  for (const group of chip.own!.groups) {
    if (group !== (groupSize ?? group)) continue;
    for (
      let stages = stageCount ?? 1;
      stages <= Math.min(stageCount ?? shape.layerCount, shape.layerCount);
      stages++
    ) {
      if (gpuCount === null || gpuCount === group * stages)
        yield { gpuCount: group * stages, stageCount: stages };
    }
  }
}
