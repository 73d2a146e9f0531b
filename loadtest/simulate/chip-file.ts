// ChipFile: a chip of one's own as a JSON file, for --device my-chip.json. Reads and checks that one file; every field
// is needed but the name and the rates of formats that the chip does not have. Fields: README, "Swap the hardware".

import { basename } from 'node:path';
import { z } from 'zod';
import type { GpuChip } from '../../kernels/sim/gpu/chips.ts';
import { jsonFile } from '../../server/base/json-text.ts';
import { FlagError } from '../base/flag-error.ts';

const amount = (max: number) => z.number().positive().max(max);
const schema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,30}$/)
    .optional(),
  bf16_tflops: amount(1e6), // dense
  fp8_tflops: amount(1e6).optional(), // dense; default: no fp8
  fp4_tflops: amount(1e6).optional(), // dense; default: no fp4
  vector_tflops: amount(1e6).optional(), // fp32, outside the matrix units; default: a sixteenth of bf16
  memory_gb_per_second: amount(1e6),
  memory_gb: amount(1e5),
  link_gb_per_second: amount(1e5), // one direction, all links of a chip
  power_w: amount(1e5),
});

/** Whether a device is named by a file. */
export function isChipFile(device: string): boolean {
  return device.endsWith('.json');
}

/** The chip that the file describes. Throws FlagError naming the field. */
export function readChipFile(path: string): GpuChip {
  const found = schema.safeParse(parsed(path));
  if (!found.success) {
    const { path: field, message } = found.error.issues[0]!;
    throw new FlagError('device', path, `a chip's fields: ${[...field, message].join(': ')}`);
  }
  const chip = found.data;
  return {
    name: chip.name ?? basename(path, '.json'),
    bf16FlopsPerSecond: chip.bf16_tflops * 1e12,
    fp8FlopsPerSecond: (chip.fp8_tflops ?? chip.bf16_tflops) * 1e12,
    fp4FlopsPerSecond: (chip.fp4_tflops ?? chip.bf16_tflops) * 1e12,
    vectorFlopsPerSecond: (chip.vector_tflops ?? chip.bf16_tflops / 16) * 1e12,
    memoryBytesPerSecond: chip.memory_gb_per_second * 1e9,
    memoryBytes: chip.memory_gb * 1e9,
    linkBytesPerSecond: chip.link_gb_per_second * 1e9,
    powerW: chip.power_w,
  };
}

function parsed(path: string): unknown {
  return jsonFile(path, (reason) => new FlagError('device', path, `a readable JSON file: ${reason}`));
}
