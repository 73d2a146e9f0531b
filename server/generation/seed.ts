// Seeds as requests bring them: any int64, exactly. Owns how they become the numbers that draws are made
// of. Pure. Before it: the dialects; after it: generation.ts.

const MASK = (1n << 64n) - 1n;

/** A safe integer is itself; of larger ones 53 bits of a mixture of all 64, so that neighbours are none. */
export function foldSeed(seed: number | bigint): number {
  const exact = BigInt(seed);
  const own = Number(exact);
  if (Number.isSafeInteger(own)) return own;
  let h = exact & MASK;
  // SplitMix64's finaliser; source: Steele, Lea, Flood 2014.
  h = ((h ^ (h >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  h = ((h ^ (h >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return Number((h ^ (h >> 31n)) >> 11n);
}
