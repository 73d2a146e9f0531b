// Heads in the sizes that kernels take: GroupQueryAttention wants multiples of 16 elements, and turns as many. Others get zeros
// where nothing is, and come out the same: zeros add nothing to a score, and pairs that are not turned have an angle of 0. Only
// the order within a head changes, the same for queries and keys. Pure. Before it: build.ts; after it: decoder.ts.
import { computedHeadSize, type ModelSpec } from '../spec.ts';
import type { Checkpoint } from '../weights/weights.ts';

/** The checkpoint as it is where its heads fit. */
export function paddedHeads(checkpoint: Checkpoint): Checkpoint {
  const { headSize, rotarySize } = checkpoint.spec;
  const [size, turned] = [computedHeadSize(headSize), computedHeadSize(rotarySize)];
  if (size === headSize && turned === rotarySize) return checkpoint;
  const spec = {
    ...checkpoint.spec,
    ...{ headSize: size, rotarySize: turned, unpadded: { headSize, rotarySize } },
  };
  const parts = partsOf(spec);
  const partOf = (name: string) => parts[/\.self_attn\.(\w+)\.(?:weight|bias)$/.exec(name)?.[1] ?? ''];
  return {
    ...checkpoint,
    spec,
    read(name) {
      const values = checkpoint.read(name);
      return partOf(name)?.(values, name.endsWith('.weight')) ?? values;
    },
    // Blocks of what is padded would not be those that are stored.
    storedLayout: (name) => (partOf(name) === undefined ? (checkpoint.storedLayout?.(name) ?? null) : null),
  };
}

type Padding = (values: Float32Array, isWeight: boolean) => Float32Array;

function partsOf(spec: PaddedSpec): Readonly<Record<string, Padding>> {
  const { headSize: size, unpadded, hiddenSize } = spec;
  const { headSize } = unpadded;
  const turned = placesOf(spec);
  const plain = Array.from({ length: headSize }, (_, at) => at);
  const rows =
    (places: readonly number[]): Padding =>
    (values, isWeight) =>
      spread(values, { places, size, width: isWeight ? hiddenSize : 1 });
  const columns: Padding = (values, isWeight) =>
    isWeight ? spread(values, { places: plain, size, width: 1 }) : values; // each row holds all heads
  // A norm of more elements divides by more: see normEpsilon.
  const gains: Padding = (values) =>
    spread(values, { places: turned, size, width: 1 }).map((gain) => gain * Math.sqrt(headSize / size));
  return {
    ...{ q_proj: rows(turned), k_proj: rows(turned), v_proj: rows(plain), o_proj: columns },
    ...{ q_norm: gains, k_norm: gains },
  };
}

type PaddedSpec = ModelSpec & Required<Pick<ModelSpec, 'unpadded'>>;

/** Where each element of a head goes: both halves of what turns to the begin of a half, the others wherever there is room. */
function placesOf({ headSize: size, rotarySize: turned, unpadded }: PaddedSpec): number[] {
  const half = unpadded.rotarySize / 2;
  const isTaken = (place: number) => place < turned && place % (turned / 2) < half;
  const free = Array.from({ length: size }, (_, place) => place).filter((place) => !isTaken(place));
  return Array.from({ length: unpadded.headSize }, (_, at) => {
    if (at < half) return at;
    return at < 2 * half ? turned / 2 + at - half : free[at - 2 * half]!;
  });
}

/** Every head's elements, each of `width` values, to their places among `size`; the rest is zero. */
function spread(
  values: Float32Array,
  { places, size, width }: { places: readonly number[]; size: number; width: number },
): Float32Array {
  const headCount = values.length / (places.length * width);
  const result = new Float32Array(headCount * size * width);
  for (let head = 0; head < headCount; head++) {
    for (const [at, place] of places.entries()) {
      const from = (head * places.length + at) * width;
      result.set(values.subarray(from, from + width), (head * size + place) * width);
    }
  }
  return result;
}

/** Of norms of heads: the mean is over zeros too. */
export function headNormEpsilon({ rmsNormEps, headSize, unpadded }: ModelSpec): number {
  return unpadded === undefined ? rmsNormEps : (rmsNormEps * unpadded.headSize) / headSize;
}
