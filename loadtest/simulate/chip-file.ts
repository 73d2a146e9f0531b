// ChipFile: a chip of one's own, or a machine that `measure-device` timed, as a JSON file, for --device my-chip.json. Reads and checks that one file; every field
// is needed but the name and the rates of formats that the chip does not have. Fields: README, "Swap the hardware".
import { basename } from 'node:path';
import { z } from 'zod';
import { DEVICE_NAMES } from '../../kernels/sim/device.ts';
import type { GpuChip } from '../../kernels/sim/gpu/chips.ts';
import { jsonFile } from '../../server/base/json-text.ts';
import { FlagError } from '../base/flag-error.ts';

const amountMin = 1e-3; // of what a file is about: below it is a slip of the pen
const amount = (max: number) => z.number().min(amountMin).max(max);
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

const times = z.array(z.number().nonnegative().max(1e12)); // one for each point of its axis
const ascending = z
  .array(z.number().int().positive().max(1e6))
  .min(1)
  .refine((list) => list[0] === 1 && list.every((at, index) => index === 0 || at > list[index - 1]!), {
    message: 'expected whole numbers that ascend from 1',
  });

/** What `measure-device` writes; unknown fields are refused, as a chip's are. */
const measuredSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,30}$/)
      .optional(),
    kind: z.literal('measured'),
    machine: z.string().max(200), // for people
    measured_seconds: amount(1e5),
    memory_gb: amount(1e5),
    power_w: amount(1e5).optional(), // not measured: yours to add
    by_thread: z.array(
      z.strictObject({
        threads: z.number().int().positive(),
        weights_gb_per_second: amount(1e6),
        gflops: amount(1e9),
      }),
    ),
    format: z.enum(['int8', 'int4']),
    threads: z.number().int().positive(),
    tokens: ascending,
    weight_ps: times,
    layer_us: times,
    step_us: times,
    row_us: z.number().nonnegative(),
    context_tokens: z.number().int().nonnegative(),
    rows: ascending,
    decode_ps: times,
    prompt_ps: z.number().nonnegative(),
  })
  .superRefine(({ tokens, rows, ...lists }, context) => {
    for (const field of ['weight_ps', 'layer_us', 'step_us', 'decode_ps'] as const) {
      const { length } = field === 'decode_ps' ? rows : tokens;
      if (lists[field].length === length) continue;
      context.addIssue({ code: 'custom', path: [field], message: `expected ${length} times, one for each` });
    }
  });

export type MeasuredFile = z.infer<typeof measuredSchema>;

/** Whether a device is named by a file. */
export function isChipFile(device: string): boolean {
  return device.endsWith('.json');
}

/** The chip that the file describes. Throws FlagError naming the field. */
export function readChipFile(path: string): GpuChip {
  const given = parsed(path);
  if ((given as { kind?: unknown } | null)?.kind !== undefined) return measuredChip(path, given);
  const found = schema.safeParse(given);
  if (!found.success) {
    const { path: field, message } = found.error.issues[0]!;
    throw new FlagError('device', path, `a chip's fields: ${[...field, message].join(': ')}`);
  }
  const chip = found.data;
  return {
    name: ownName(path, chip.name),
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

// A file that is called as a known chip would be taken for it: its figures, and what was published of it.
function ownName(path: string, given: string | undefined): string {
  const name = given ?? basename(path, '.json');
  if (!DEVICE_NAMES.includes(name.toLowerCase())) return name;
  throw new FlagError('device', path, `a name of its own in "name": ${name} is a chip of the list`);
}

function measuredChip(path: string, given: unknown): GpuChip {
  const found = measuredSchema.safeParse(given);
  if (!found.success) {
    const { path: field, message } = found.error.issues[0]!;
    throw new FlagError('device', path, `a measured machine's fields: ${[...field, message].join(': ')}`);
  }
  const file = found.data;
  const best = file.by_thread.at(-1);
  const flops = (best?.gflops ?? 1) * 1e9;
  return {
    name: ownName(path, file.name),
    ...{
      bf16FlopsPerSecond: flops,
      fp8FlopsPerSecond: flops,
      fp4FlopsPerSecond: flops,
      vectorFlopsPerSecond: flops,
    },
    memoryBytesPerSecond: (best?.weights_gb_per_second ?? 1) * 1e9,
    memoryBytes: file.memory_gb * 1e9,
    linkBytesPerSecond: 1, // one machine: nothing is sent
    powerW: file.power_w ?? 0,
    measured: {
      ...{ format: file.format, threads: file.threads, tokens: file.tokens, weightPs: file.weight_ps },
      ...{
        layerUs: file.layer_us,
        stepUs: file.step_us,
        rowUs: file.row_us,
        contextTokens: file.context_tokens,
      },
      ...{ rows: file.rows, decodePs: file.decode_ps, promptPs: file.prompt_ps },
    },
  };
}

function parsed(path: string): unknown {
  return jsonFile(path, (reason) => new FlagError('device', path, `a readable JSON file: ${reason}`));
}
