// DeviceList: every simulated device with every model: what fits, on how many chips, and the room left for KV.
// Capacity only; no engine runs.
import { DEVICE_NAMES, OPEN_ENDED, planSimDevice } from '../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../kernels/sim/fit-error.ts';
import type { SimPrecision } from '../../kernels/sim/precision.ts';
import { type ModelShape, totalBytes } from '../../kernels/sim/shapes.ts';
import { table } from '../show/text-table.ts';

export interface DeviceFit {
  readonly device: string;
  readonly model: string;
  readonly precision: SimPrecision;
  readonly weightsGB: number;
  readonly count: number | null; // fewest chips; null: does not fit
  readonly kvTokens: number; // room beside the weights
  readonly reason: string | null; // why it does not fit
}

const contextTokens = 8192; // what a device must have room for, to count as fitting

/** The fewest chips of each device that hold each model and one sequence of 8,192 tokens. `format` null: as published. */
export function deviceFits(shapes: readonly ModelShape[], format: SimPrecision | null): DeviceFit[] {
  return shapes.flatMap((shape) =>
    DEVICE_NAMES.map((device): DeviceFit => {
      const precision = format ?? shape.publishedPrecision;
      const weightsGB = totalBytes(shape, precision) / 1e9;
      const base = { device, model: shape.name, precision, weightsGB };
      let reason = '';
      for (const count of device.startsWith('wse') || OPEN_ENDED.includes(device)
        ? [undefined]
        : [1, 2, 4, 8]) {
        try {
          const plan = planSimDevice({ device, shape, precision, ...(count !== undefined && { count }) });
          const kvTokens = plan.limits.blockCount * plan.limits.blockSize;
          if (kvTokens >= Math.min(contextTokens, shape.contextLength)) {
            return { ...base, count: plan.count, kvTokens, reason: null };
          }
          reason = `${kvTokens} tokens of KV beside the weights`;
        } catch (error) {
          if (!(error instanceof DoesNotFitError)) throw error;
          reason = error.message;
        }
      }
      return { ...base, count: null, kvTokens: 0, reason };
    }),
  );
}

export function formatDeviceFits(fits: readonly DeviceFit[]): string {
  const models = [...new Set(fits.map(({ model }) => model))];
  const rows = models.map((model) => {
    const own = fits.filter((fit) => fit.model === model);
    const cells = own.map(({ count, kvTokens }) => (count === null ? '–' : `×${count}, ${short(kvTokens)}`));
    return [model, own[0]!.precision, own[0]!.weightsGB.toFixed(1), ...cells];
  });
  const head = ['model', 'weights', 'GB', ...new Set(fits.map(({ device }) => device))];
  return `${table(head, rows)}\n  ×N, T: fewest chips that hold the weights and ${contextTokens} tokens, and the tokens of KV they have room for\n`;
}

function short(tokens: number): string {
  return tokens >= 1e6 ? `${(tokens / 1e6).toFixed(1)}M` : `${(tokens / 1e3).toFixed(0)}k`;
}
