// Ranges of activations that come with a model, so that its first start need not measure them: a file beside the weights,
// believed only where it was made of exactly these weights, adapters and tokens. Before it: build.ts; written by
// test/quality/ship-ranges.ts.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ModelSpec } from '../spec.ts';
import { type ActivationRanges, type SmoothedRole, smoothedRoles } from './smoothing.ts';

const fileName = 'activation-ranges.bin';
const formatVersion = 1;
const keySize = 32; // bytes: SHA-256 of what the ranges were measured on; then float32, role by role, layer by layer

/** What ranges depend on: digests of the weight files, what tells apart models of equal files, and the tokens measured. */
export interface RangesOrigin {
  readonly weightFiles: readonly string[]; // paths; the ranges stand beside the first
  readonly digests: readonly string[];
  readonly variant: string | undefined;
  readonly calibrationKey: string;
}

/** Null where there is no such file, or one of something else. */
export async function readShippedRanges(
  spec: ModelSpec,
  origin: RangesOrigin,
): Promise<ActivationRanges | null> {
  const bytes = await readFile(rangesPath(origin)).catch(() => null);
  const count = smoothedRoles(spec).reduce((sum, role) => sum + spec.layerCount * sizeOf(spec, role), 0);
  if (bytes === null || bytes.length !== keySize + 4 * count) return null;
  if (!bytes.subarray(0, keySize).equals(keyOf(origin))) return null;
  let at = keySize;
  const layersOf = (role: SmoothedRole) =>
    Array.from({ length: spec.layerCount }, () => {
      const range = Float32Array.from({ length: sizeOf(spec, role) }, (_, i) =>
        bytes.readFloatLE(at + 4 * i),
      );
      at += 4 * range.length;
      return range;
    });
  return Object.fromEntries(smoothedRoles(spec).map((role) => [role, layersOf(role)]));
}

/** Where the file goes and what it holds. */
export function shippedRanges(
  spec: ModelSpec,
  origin: RangesOrigin,
  ranges: ActivationRanges,
): { readonly path: string; readonly bytes: Uint8Array } {
  const parts = smoothedRoles(spec).flatMap((role) => ranges[role]!);
  const bytes = Buffer.alloc(keySize + 4 * parts.reduce((sum, { length }) => sum + length, 0));
  keyOf(origin).copy(bytes);
  let at = keySize;
  for (const part of parts) for (const value of part) at = bytes.writeFloatLE(value, at);
  return { path: rangesPath(origin), bytes };
}

function rangesPath({ weightFiles }: RangesOrigin): string {
  return join(dirname(weightFiles[0]!), fileName);
}

function keyOf({ digests, variant, calibrationKey }: RangesOrigin): Buffer {
  const origin = JSON.stringify([formatVersion, digests, variant ?? null, calibrationKey]);
  return createHash('sha256').update(origin).digest();
}

function sizeOf({ hiddenSize, ffnSize }: ModelSpec, role: SmoothedRole): number {
  return role === 'feed-out' ? ffnSize : hiddenSize;
}
