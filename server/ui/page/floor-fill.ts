// What a region's cores hold now, in shares of their memory: from the plan's bytes and the engine's counts of blocks. Pure. Used by
// floor-picture.tsx.
import type { PlanRegion, RegionsPlan } from '../../../kernels/device-plan.ts';

export interface Fill {
  readonly kind: 'program' | 'weights' | 'act' | 'kv' | 'kept';
  readonly share: number; // of a core's memory
}

/** `used` and `kept`: blocks of the store, which may have more than the chips hold. */
export function fillsOf(
  region: PlanRegion,
  { kvBlocks, coreBytes }: Pick<RegionsPlan, 'kvBlocks' | 'coreBytes'>,
  { used, kept }: { readonly used: number; readonly kept: number },
): readonly Fill[] {
  const usedHere = Math.min(kvBlocks, used);
  const keptHere = Math.min(kvBlocks - usedHere, kept);
  // A block lies across one row of the region; rows fill evenly.
  const ofBlocks = (blocks: number): number => (region.blockBytes * blocks) / region.rows / coreBytes;
  return [
    { kind: 'program', share: region.programBytes / coreBytes },
    { kind: 'weights', share: region.weightBytes / coreBytes },
    { kind: 'act', share: region.activationBytes / coreBytes },
    { kind: 'kv', share: ofBlocks(usedHere) },
    { kind: 'kept', share: ofBlocks(keptHere) },
  ];
}

export function regionName({ firstLayer, layerCount }: PlanRegion): string {
  if (layerCount === 0) return 'head';
  return layerCount === 1 ? `${firstLayer}` : `${firstLayer}–${firstLayer + layerCount - 1}`;
}
