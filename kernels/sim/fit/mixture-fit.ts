// The constants of mixtures of experts and fp4 from their calibration rows, by the closed form of the steady state.
import { namedShape } from '../catalogue.ts';
import { GPU_CHIPS } from '../gpu/chips.ts';
import { mixtureFitted } from '../gpu/fitted.ts';
import type { GpuSetup, MixtureCoefficients } from '../gpu/roofline.ts';
import { sequencesAtMaxLoad, steadyRate } from './gpu-fit.ts';
import { coordinateDescent } from './least-squares.ts';
import { DENSE_2026_ROWS, MIXTURE_ROWS, type MixtureRow } from './mixture-rows.ts';

function mixtureSetup(row: MixtureRow): GpuSetup {
  const { gpuCount, stageCount, sharding, precision, kvPrecision } = row;
  const chip = GPU_CHIPS.find(({ name }) => name === row.chip)!;
  return { chip, gpuCount, stageCount, sharding, shape: namedShape(row.model), precision, kvPrecision };
}

/** Output tokens per second and GPU in the steady state. */
export function mixtureRate(row: MixtureRow, mixture: MixtureCoefficients = mixtureFitted): number {
  const setup = mixtureSetup(row);
  return steadyRate(setup, row, { rowCount: sequencesAtMaxLoad(setup, row), mixture }) / row.gpuCount;
}

// Not fitted: no row computes mixtures in 16 bits on both sides.
const fixed: readonly string[] = ['expertBf16Utilisation'];
const shareMax = 0.9; // of a peak

function boundsOf(name: string): readonly [number, number] {
  if (name === 'routingOps') return [1, 5000];
  if (name.endsWith('Utilisation')) return [0.02, shareMax];
  if (name === 'rankImbalance') return [1, 3];
  return name === 'tileTokens' ? [8, 256] : [1, 600];
}

// |log ratio|²: twice too fast is as wrong as twice too slow.
const errorPower = 2;

const calibrated = [...MIXTURE_ROWS, ...DENSE_2026_ROWS].filter(({ status }) => status === 'calibrated');

/** What the rows of one model on one machine have in common. */
export function kindOf({ model, chip, gpuCount, stageCount, precision }: MixtureRow): string {
  return `${model} ${precision} on ${chip}x${gpuCount}/${stageCount}`;
}

/** Each calibrated row's rate by constants that were fitted without its model on its machine, in the order of the rows. */
export function leftOutRates(): { readonly kind: string; readonly rates: readonly number[] }[] {
  const kinds = [...new Set(calibrated.map(kindOf))];
  return kinds.map((kind) => {
    const mixture = fitMixture(calibrated.filter((row) => kindOf(row) !== kind));
    const own = calibrated.filter((row) => kindOf(row) === kind);
    return { kind, rates: own.map((row) => mixtureRate(row, mixture)) };
  });
}

export function fitMixture(rows: readonly MixtureRow[] = calibrated): MixtureCoefficients {
  const names = Object.keys(mixtureFitted).filter((name) => !fixed.includes(name));
  const named = (values: readonly number[]): MixtureCoefficients => ({
    ...mixtureFitted,
    ...Object.fromEntries(names.map((name, index) => [name, values[index]!])),
  });
  const found = coordinateDescent(
    names.map((name) => start[name as keyof typeof start]),
    names.map(boundsOf),
    (values) => {
      const mixture = named(values);
      const off = (row: MixtureRow): number =>
        Math.abs(Math.log(mixtureRate(row, mixture) / row.tokensPerSecondPerGpu)) ** errorPower;
      return rows.reduce((sum, row) => sum + off(row), 0);
    },
  );
  return named(found);
}

// Where the descent begins, so that it ends at the same place whatever was fitted before.
const start = {
  ...{ expertFp8Utilisation: 0.4, expertFp4Utilisation: 0.2, expertMxfp4Utilisation: 0.3 },
  ...{ expertWidenedUtilisation: 0.3, fp4Utilisation: 0.4, tileTokens: 64, routingPasses: 4, routingOps: 50 },
  ...{ mixtureLayerUs: 20, exchangeUs: 50, rankImbalance: 1.1 },
};
