// The GPU's constants from the calibrated rows of dense models in fp8, by the closed form of max-load.ts, and from NIM with few
// users, where steps are short.
import { namedShape } from '../catalogue.ts';
import { gpuChip } from '../gpu/chips.ts';
import { gpuFitted } from '../gpu/fitted.ts';
import type { GpuCoefficients, GpuSetup } from '../gpu/roofline.ts';
import { fitLogarithms } from './least-squares.ts';
import { type LoadRow, type LoadSetup, tensor } from './load-row.ts';
import { LOAD_ROWS } from './load-rows.ts';
import { type Coefficients, maxLoadRate, steadyRate } from './max-load.ts';
import { NIM_ROWS, type NimRow } from './published.ts';

/** The machine of a row. */
export function loadSetup(row: LoadSetup): GpuSetup {
  const { gpuCount, stageCount, sharding, precision, kvPrecision } = row;
  const chip = gpuChip(row.chip);
  return { chip, gpuCount, stageCount, sharding, shape: namedShape(row.model), precision, kvPrecision };
}

/** Output tokens per second and GPU. */
export function loadRate(row: LoadRow, coefficients: Coefficients = {}): number {
  return maxLoadRate(loadSetup(row), row, coefficients) / row.gpuCount;
}

// NIM's users share every step, and there is no end to them.
function nimRate({ model, gpuCount, userCount, isl, osl }: NimRow, fitted: GpuCoefficients): number {
  const setup = loadSetup(tensor(model, 'h100', gpuCount, 'fp8'));
  return steadyRate(setup, { isl, osl }, userCount, { fitted });
}

const nimWeight = 2; // of each of its rows, of which there are few

export function fitGpu(): GpuCoefficients {
  return fitLogarithms(gpuFitted, start, (fitted) => [
    ...LOAD_ROWS.filter(({ status, precision }) => status === 'calibrated' && precision === 'fp8')
      .filter(({ model }) => namedShape(model).mixtureLayerCount === 0)
      .map((row) => Math.log(loadRate(row, { fitted }) / row.tokensPerSecondPerGpu)),
    ...NIM_ROWS.filter(({ status }) => status === 'calibrated').map(
      (row) => nimWeight * Math.log(nimRate(row, fitted) / row.tokensPerSecond),
    ),
  ]);
}

const start = {
  ...{ computeUtilisation: 0.6, layerOverheadUs: 60, rowOverheadUs: 2, ringStepUs: 3, pcie4Utilisation: 0.6 },
};
