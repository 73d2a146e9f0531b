// Weights as int8 with one scale per output, for integer products with uint8 activations (MatMulInteger). Keeps
// every product exact on x86 without VNNI, whose kernel adds neighbours in 16 bits and would saturate.
// Pure arithmetic on one matrix at a time. Before it: precision.ts.

export interface ChannelQuantised {
  readonly data: Int8Array; // [columns, rows]: transposed, as MatMulInteger multiplies from the left
  readonly scales: Float32Array; // [rows]
}

const levelMax = 127;
/**
 * vpmaddubsw computes a₀·w₀ + a₁·w₁ of neighbours (columns 2i and 2i+1) in a signed 16-bit lane, a ≤ 255 unsigned:
 * 255 · 128 = 32,640 fits, so the weights of one sign in a pair may add up to 128. Source: Intel SDM, VPMADDUBSW.
 * Weights of spark-nano lose 0.9 to 1.1 % this way, 0.7 to 0.9 % without the limit, 1.4 % at 7 bits.
 */
const pairSumMax = 128;
// Candidates for the scale, as a share of the one that maps the row's extreme to ±127: a larger scale breaks the
// limit less often, a smaller one rounds finer.
const shares = [0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6];
const unlimitedShares = [0.9, 1];

/**
 * Nearest, symmetric, with the candidate scale of the least squared error per row. `limit`: of a pair's sum, where the
 * processor needs one.
 */
export function quantiseChannels(
  values: Float32Array,
  columns: number,
  limit: 'pairs' | 'none' = 'pairs',
): ChannelQuantised {
  const sumMax = limit === 'pairs' ? pairSumMax : 2 * levelMax;
  const candidates = limit === 'pairs' ? shares : unlimitedShares;
  const rows = values.length / columns;
  const data = new Int8Array(values.length);
  const scales = new Float32Array(rows);
  const trial = new Int8Array(columns);
  const best = new Int8Array(columns);
  for (let row = 0; row < rows; row++) {
    const source = values.subarray(row * columns, (row + 1) * columns);
    let max = 0;
    for (let column = 0; column < columns; column++) max = Math.max(max, Math.abs(source[column]!));
    let bestError = Number.POSITIVE_INFINITY;
    for (const share of candidates) {
      const scale = Math.fround((max * share) / levelMax);
      const error = quantiseRow(source, { scale, sumMax }, trial);
      if (error >= bestError) continue;
      bestError = error;
      scales[row] = scale;
      best.set(trial);
    }
    for (let column = 0; column < columns; column++) data[column * rows + row] = best[column]!;
  }
  return { data, scales };
}

/** Fills `target`; answers the squared error. Pairs are (2i, 2i + 1); an odd last column stands alone. */
function quantiseRow(
  source: Float32Array,
  { scale, sumMax }: { scale: number; sumMax: number },
  target: Int8Array,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  const count = source.length;
  let error = 0;
  for (let column = 0; column < count; column += 2) {
    const x = source[column]!;
    const y = column + 1 < count ? source[column + 1]! : 0;
    let left = nearest(x * inverse);
    let right = nearest(y * inverse);
    // The excess of a pair of one sign is taken from both alike: the nearest pair that is allowed.
    if (left + right > sumMax && left > 0 && right > 0) {
      left -= Math.min(left, (left + right - sumMax + 1) >> 1);
      right = Math.min(right, sumMax - left);
    } else if (left + right < -sumMax && left < 0 && right < 0) {
      left += Math.min(-left, (1 - left - right - sumMax) >> 1);
      right = Math.max(right, -sumMax - left);
    }
    target[column] = left;
    if (column + 1 < count) target[column + 1] = right;
    const offLeft = x - left * scale;
    const offRight = y - right * scale;
    error += offLeft * offLeft + offRight * offRight; // not `** 2`: V8 calls pow() for it, ten times slower
  }
  return error;
}

/** Rounded half away from zero, within ±127. The sum with ±½ is truncated to an integer by `| 0`. */
function nearest(level: number): number {
  const rounded = (level < 0 ? level - 0.5 : level + 0.5) | 0;
  return Math.max(-levelMax, Math.min(levelMax, rounded));
}
