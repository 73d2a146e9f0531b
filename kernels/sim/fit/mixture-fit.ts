// The constants of mixtures of experts, fp4 and pipeline stages from their calibrated rows, by the closed form of max-load.ts.
import { namedShape } from '../catalogue.ts';
import { gpuFitted, mixtureFitted } from '../gpu/fitted.ts';
import type { GpuCoefficients, MixtureCoefficients } from '../gpu/roofline.ts';
import { loadRate } from './gpu-fit.ts';
import { fitLogarithms } from './least-squares.ts';
import type { LoadRow } from './load-row.ts';
import { LOAD_ROWS } from './load-rows.ts';
import { DENSE_2026_ROWS, MIXTURE_ROWS } from './mixture-rows.ts';

// Dense rows in fp8 have had their say in the GPU's own constants.
const calibrated = [...MIXTURE_ROWS, ...DENSE_2026_ROWS, ...LOAD_ROWS].filter(
  ({ status, model, precision }) =>
    status === 'calibrated' && (precision !== 'fp8' || namedShape(model).mixtureLayerCount > 0),
);

/** What the rows of one model on one machine have in common. */
function kindOf({ model, chip, gpuCount, stageCount, precision }: LoadRow): string {
  return `${model} ${precision} on ${chip}x${gpuCount}/${stageCount}`;
}

/** Each calibrated row, with its rate by constants that were fitted without its model on its machine. */
export function leftOutRates(
  fitted: GpuCoefficients,
  all: MixtureCoefficients,
): { readonly row: LoadRow; readonly rate: number }[] {
  const kinds = [...new Set(calibrated.map(kindOf))];
  return kinds.flatMap((kind) => {
    const mixture = fitMixture(
      fitted,
      calibrated.filter((row) => kindOf(row) !== kind),
      all,
    );
    const own = calibrated.filter((row) => kindOf(row) === kind);
    return own.map((row) => ({ row, rate: loadRate(row, { fitted, mixture }) }));
  });
}

export function fitMixture(
  fitted: GpuCoefficients = gpuFitted,
  rows: readonly LoadRow[] = calibrated,
  from: Partial<MixtureCoefficients> = start,
): MixtureCoefficients {
  return fitLogarithms(
    mixtureFitted,
    Object.fromEntries(names.map((name) => [name, from[name]!])),
    (mixture) => rows.map((row) => Math.log(loadRate(row, { fitted, mixture }) / row.tokensPerSecondPerGpu)),
    bounds,
  );
}

// Where the descent begins, so that it ends at the same place whatever was fitted before. expertBf16Utilisation is not fitted: no
// calibrated row computes mixtures in 16 bits on both sides.
const start = {
  ...{ expertFp8Utilisation: 0.5, expertFp4Utilisation: 0.4, expertMxfp4Utilisation: 0.5 },
  ...{ expertWidenedUtilisation: 0.4, fp4Utilisation: 0.45, warpFp4Gain: 1.3, blockScaleShare: 0.5 },
  ...{ tileTokens: 64, routingOps: 100, routingPasses: 5, mixtureLayerUs: 40, stageRowUs: 30 },
  ...{ promptImbalance: 1.3, decodeImbalance: 1.1 },
};

const names = Object.keys(start) as (keyof typeof start)[];

const utilisation = [0.02, 0.95] as const; // of a peak
const bounds: Partial<Record<keyof MixtureCoefficients, readonly [number, number]>> = {
  ...{ expertFp8Utilisation: utilisation, expertFp4Utilisation: utilisation, fp4Utilisation: utilisation },
  ...{ expertMxfp4Utilisation: utilisation, expertWidenedUtilisation: utilisation },
  ...{ tileTokens: [8, 256], routingOps: [1, 5000], routingPasses: [0.1, 60], mixtureLayerUs: [1, 600] },
  ...{ promptImbalance: [1, 3], decodeImbalance: [1, 3], stageRowUs: [1, 600] },
};
