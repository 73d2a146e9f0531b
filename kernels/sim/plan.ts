// A simulated device as a picture: its placement or its memory in the words of device-plan.ts. Pure. Before it: device.ts.
import type { DevicePlan, PagesPlan, RegionsPlan } from '../device-plan.ts';
import type { SimDevice, WaferSimDevice } from './device.ts';
import { gpuKvBytesPerToken, gpuWeightBytes } from './gpu/gpu-device.ts';

export function planPicture(device: SimDevice): DevicePlan {
  return device.kind === 'wafer' ? regionsOf(device) : pagesOf(device);
}

function factsOf({ shape, precision, powerW, count, setup }: SimDevice) {
  return { chip: setup.chip.name, chipCount: count, model: shape.name, precision, powerW };
}

function regionsOf(device: WaferSimDevice): RegionsPlan {
  const { chip } = device.setup;
  return {
    kind: 'regions',
    ...factsOf(device),
    columns: chip.columns,
    rows: chip.rows,
    coreBytes: chip.coreBytes,
    kvBlocks: device.placement.kvBlocks,
    regions: device.placement.stages.map(({ wafer, x, y, columns, rows, firstLayer, layerCount, sram }) => ({
      ...{ chip: wafer, x, y, columns, rows, firstLayer, layerCount },
      programBytes: sram.reservedBytes,
      weightBytes: sram.weightsBytes,
      activationBytes: sram.activationsBytes,
      blockBytes: sram.blockBytes,
    })),
  };
}

function pagesOf(device: Exclude<SimDevice, WaferSimDevice>): PagesPlan {
  const { setup, limits } = device;
  return {
    kind: 'pages',
    ...factsOf(device),
    memoryBytes: setup.gpuCount * setup.chip.memoryBytes,
    weightBytes: gpuWeightBytes(setup),
    kvBytes: limits.blockCount * limits.blockSize * gpuKvBytesPerToken(setup),
  };
}
