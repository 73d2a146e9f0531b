// LoadRow: one published figure of a machine at maximum load, and how tables of them are written down. Used by mixture-rows.ts and
// load-rows.ts.
import type { SimKvPrecision, SimPrecision } from '../precision.ts';
import type { LoadLengths } from './max-load.ts';
import type { RowStatus } from './published.ts';

export interface LoadRow extends LoadLengths {
  readonly model: string;
  readonly chip: string;
  readonly gpuCount: number;
  readonly stageCount: number; // pipeline stages
  readonly sharding: 'tensor' | 'expert';
  readonly precision: SimPrecision;
  readonly kvPrecision: SimKvPrecision;
  readonly tokensPerSecondPerGpu: number; // output
  readonly status: RowStatus;
}

export type LoadSetup = Omit<LoadRow, 'isl' | 'osl' | 'tokensPerSecondPerGpu' | 'status'>;

/** Tensor parallelism; one GPU, too. */
export function tensor(model: string, chip: string, gpuCount: number, precision: SimPrecision): LoadSetup {
  const kvPrecision = kvOf(chip, precision);
  return { model, chip, gpuCount, stageCount: 1, sharding: 'tensor', precision, kvPrecision };
}

/** Data-parallel attention, experts apart. */
export function expert(model: string, chip: string, gpuCount: number, precision: SimPrecision): LoadSetup {
  return { ...tensor(model, chip, gpuCount, precision), sharding: 'expert' };
}

export function staged(setup: LoadSetup, stageCount: number): LoadSetup {
  return { ...setup, stageCount };
}

// "Hopper: use auto", which is 16 bits, says the page of gpt-oss.
function kvOf(chip: string, precision: SimPrecision): SimKvPrecision {
  return precision === 'fp16' || (precision === 'mxfp4' && chip.startsWith('h')) ? 'fp16' : 'fp8';
}

/** Rates of a GPU in the order of `lengths`; 0: not published. `fit`: indices of those that the constants were fitted to. */
export function rowsOf(
  lengths: readonly (readonly [number, number])[],
  setup: LoadSetup,
  rates: readonly number[],
  fit: readonly number[],
): LoadRow[] {
  return rates.flatMap((tokensPerSecondPerGpu, index): LoadRow[] => {
    const [isl, osl] = lengths[index]!;
    const status = fit.includes(index) ? 'calibrated' : 'validated';
    return tokensPerSecondPerGpu === 0 ? [] : [{ ...setup, isl, osl, tokensPerSecondPerGpu, status }];
  });
}

/**
 * The same rows, with those of a GB200 disputed for which the same page has more of a B200: the GB200 has the same two dies, a fifth
 * more power and as much bandwidth. Its other figures are above the B200's.
 */
export function withDisputes(rows: readonly LoadRow[]): LoadRow[] {
  const same = (a: LoadRow, b: LoadRow): boolean =>
    (['model', 'gpuCount', 'stageCount', 'sharding', 'precision', 'isl', 'osl'] as const).every(
      (key) => a[key] === b[key],
    );
  return rows.map((row) => {
    const older = rows.find((other) => other.chip === 'b200' && same(row, other));
    const isBelow = row.chip === 'gb200' && (older?.tokensPerSecondPerGpu ?? 0) > row.tokensPerSecondPerGpu;
    return isBelow ? { ...row, status: 'disputed' } : row;
  });
}
