// A simulated device as a picture: its placement or its memory in the words of device-plan.ts. Pure. Before it: device.ts.
import type { DevicePlan, PagesPlan, RegionsPlan } from '../device-plan.ts';
import type { GpuSimDevice, SimDevice, StreamedSimDevice, WaferSimDevice } from './device.ts';
import { gpuKvBytesPerToken, gpuWeightBytes } from './gpu/gpu-device.ts';

export function planPicture(device: SimDevice): DevicePlan {
  if (device.kind === 'streamed') return waferRegions(device);
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

// Streamed weights: every layer lies over all cores of every wafer.
function waferRegions(device: StreamedSimDevice): RegionsPlan {
  const { setup, floor, shape } = device;
  const { columns, rows, coreBytes } = setup.chip;
  const { sram, kvBlocks } = floor;
  return {
    kind: 'regions',
    ...factsOf(device),
    ...{ columns, rows, coreBytes, kvBlocks },
    regions: Array.from({ length: setup.waferCount }, (_, chip) => ({
      ...{ chip, x: 0, y: 0, columns, rows, firstLayer: 0, layerCount: shape.layerCount },
      programBytes: sram.reservedBytes,
      weightBytes: sram.headBytes + sram.residentBytes + sram.bufferBytes,
      activationBytes: sram.activationsBytes,
      blockBytes: sram.blockBytes,
    })),
  };
}

function pagesOf(device: GpuSimDevice): PagesPlan {
  const { setup, limits } = device;
  return {
    kind: 'pages',
    ...factsOf(device),
    memoryBytes: setup.gpuCount * setup.chip.memoryBytes,
    weightBytes: gpuWeightBytes(setup),
    kvBytes: limits.blockCount * limits.blockSize * gpuKvBytesPerToken(setup),
  };
}
