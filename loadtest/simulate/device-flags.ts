// DeviceFlags: the flags that describe a simulated device, and the device they make. A flag that the device does not
// have is refused, not ignored. For commands.ts.
import type { Command } from 'commander';
import {
  OPEN_ENDED,
  parseDeviceName,
  planDefaults,
  planSimDevice,
  type SimDevice,
  type SimDeviceOptions,
  type WeightsPlace,
} from '../../kernels/sim/device.ts';
import { draftTokensDefault } from '../../kernels/sim/drafts.ts';
import type { WindowedKv } from '../../kernels/sim/gpu/roofline.ts';
import {
  KV_PRECISIONS,
  PRECISIONS,
  type SimKvPrecision,
  type SimPrecision,
} from '../../kernels/sim/precision.ts';
import { shapeNamed } from '../../kernels/sim/shape-file.ts';
import { WAFER_CHIPS } from '../../kernels/sim/wafer/chips.ts';
import { FlagError } from '../base/flag-error.ts';
import { isChipFile, readChipFile } from './chip-file.ts';
import {
  chance,
  draftTokens,
  kvPrecision,
  people,
  placement,
  positive,
  precision,
  weightsPlace,
  whole,
  windowedKv,
} from './flag-values.ts';

export interface DeviceFlags {
  readonly model: string;
  readonly precision?: SimPrecision;
  readonly kvPrecision?: SimKvPrecision;
  readonly tp?: number;
  readonly dep?: number;
  readonly pp?: number;
  readonly windowedKv?: WindowedKv;
  readonly wafers?: number;
  readonly weights?: WeightsPlace;
  readonly seats?: number;
  readonly contextTokens?: number;
  readonly chunkTokens?: number;
  readonly kvStoreGb?: number;
  readonly draftAcceptance?: number;
  readonly draftTokens?: number;
  readonly linkUs?: number;
  readonly placement?: 'optimised' | 'equal';
  readonly usersPlanned?: number;
  readonly contextPlanned?: number;
  readonly answerPlanned?: number;
}

/** The flags that make a device. */
export function withDeviceFlags(command: Command): Command {
  return command
    .requiredOption('--model <name>', 'a known name (see `devices`), or a directory with a config.json')
    .option('--precision <format>', `${PRECISIONS.join(', ')}; default: as the model is published`, precision)
    .option(
      '--tp <gpus>',
      'GPUs under tensor parallelism: 1, 2, 4, 8; groqlpu, sn40l: chips that share a layer',
      people,
    )
    .option('--dep <gpus>', 'GPUs with data-parallel attention and experts spread: 1, 2, 4, 8', people)
    .option('--pp <stages>', 'pipeline stages of as many GPUs each; default: 1', people)
    .option(
      '--windowed-kv <kind>',
      'GPU: windowed layers keep the whole context (default) or their window',
      windowedKv,
    )
    .option(
      '--kv-precision <format>',
      `${KV_PRECISIONS.join(', ')}; default: what goes with --precision`,
      kvPrecision,
    )
    .option('--wafers <count>', 'wafers; default: the fewest that fit', people)
    .option(
      '--weights <place>',
      'wafer: resident (default), or streamed from external memory: all that does not fit comes in at every step',
      weightsPlace,
    )
    .option(
      '--draft-acceptance <share>',
      'speculation with a drafter of one layer: chance of each guess; default: none',
      chance,
    )
    .option(
      '--draft-tokens <count>',
      `guesses before each verification, at most; default: ${draftTokensDefault}`,
      draftTokens,
    )
    .option('--seats <sequences>', 'sequences at once', people)
    .option('--context-tokens <tokens>', 'longest sequence', whole)
    .option('--chunk-tokens <tokens>', 'prompt tokens per step (GPU), or entering together (wafer)', whole)
    .option('--kv-store-gb <GB>', 'wafer: external KV store', positive)
    .option('--link-us <µs>', 'wafer to wafer; unpublished, sweep 1 to 10', positive)
    .option('--placement <kind>', 'wafer: optimised (default) or equal', placement)
    .option(
      '--users-planned <users>',
      'wafer: whom the placement is to serve; default: as many as fit',
      people,
    )
    .option(
      '--context-planned <tokens>',
      `wafer: their context; default: ${planDefaults.contextTokens}`,
      whole,
    )
    .option(
      '--answer-planned <tokens>',
      `wafer: answers in it; the rest is prompt; default: ${planDefaults.answerTokens}`,
      whole,
    );
}

/** One device for each name, separated by commas. A flag that none of them has is refused. */
export function devicesOf(names: string, flags: DeviceFlags): SimDevice[] {
  const list = names.split(',').map((name) => name.trim());
  refuseForeign(list, flags);
  return list.map((name) => planned(name, flags));
}

/** Throws FlagError, UnknownShapeError or DoesNotFitError. `more`: what no flag says. */
export function deviceOf(
  name: string,
  flags: DeviceFlags,
  more: Pick<SimDeviceOptions, 'blockSize' | 'chunkTokens'> = {},
): SimDevice {
  refuseForeign([name], flags);
  return planned(name, flags, more);
}

function isWafer(name: string): boolean {
  if (isChipFile(name)) return false;
  return WAFER_CHIPS.some((chip) => chip.name === parseDeviceName(name).chip);
}

const waferFlags = {
  wafers: 'wafers',
  weights: 'weights',
  kvStoreGb: 'kv-store-gb',
  linkUs: 'link-us',
  usersPlanned: 'users-planned',
  contextPlanned: 'context-planned',
  answerPlanned: 'answer-planned',
  placement: 'placement',
} as const;
const gpuFlags = { tp: 'tp', dep: 'dep', pp: 'pp', windowedKv: 'windowed-kv' } as const;

// Nothing that was asked for is ignored: a flag must concern one of the devices.
function refuseForeign(names: readonly string[], flags: DeviceFlags): void {
  const refuse = (list: Readonly<Record<string, string>>, device: string): void => {
    for (const [key, flag] of Object.entries(list)) {
      const value = flags[key as keyof DeviceFlags];
      if (value !== undefined) throw new FlagError(flag, String(value), `${device} among the devices`);
    }
  };
  if (!names.some(isWafer)) refuse(waferFlags, 'a wafer');
  if (names.every(isWafer)) refuse(gpuFlags, 'a GPU');
  if (flags.tp !== undefined && flags.dep !== undefined)
    throw new FlagError('dep', String(flags.dep), 'only one of --tp and --dep');
}

// Chips that come by the hundred: as many as hold the model, unless both sizes are given.
function isOpenEnded(name: string): boolean {
  return !isChipFile(name) && OPEN_ENDED.includes(parseDeviceName(name).chip);
}

function countOf(name: string, flags: DeviceFlags): number | undefined {
  const count = isChipFile(name) ? null : parseDeviceName(name).count;
  if (isOpenEnded(name) && (flags.tp === undefined || flags.pp === undefined)) return undefined;
  const [flag, wanted] = isWafer(name)
    ? (['wafers', flags.wafers] as const)
    : flags.dep === undefined
      ? (['tp', flags.tp] as const)
      : (['dep', flags.dep] as const);
  const all = wanted === undefined ? undefined : wanted * (isWafer(name) ? 1 : (flags.pp ?? 1));
  if (all !== undefined && count !== null && count !== all)
    throw new FlagError(flag, String(wanted), `${count}, as ${name} says`);
  return all ?? (isWafer(name) || count !== null ? undefined : flags.pp);
}

function planned(
  name: string,
  flags: DeviceFlags,
  more: Pick<SimDeviceOptions, 'blockSize' | 'chunkTokens'> = {},
): SimDevice {
  const chips = countOf(name, flags);
  const optional = {
    ...(chips !== undefined && { count: chips }),
    ...(flags.kvPrecision !== undefined && { kvPrecision: flags.kvPrecision }),
    ...(flags.dep !== undefined && { sharding: 'expert' as const }),
    ...(flags.pp !== undefined && { stageCount: flags.pp }),
    ...(flags.tp !== undefined && isOpenEnded(name) && { groupSize: flags.tp }),
    ...(flags.windowedKv !== undefined && { windowedKv: flags.windowedKv }),
    ...(flags.seats !== undefined && { sequencesMax: flags.seats }),
    ...(flags.contextTokens !== undefined && { contextTokensMax: flags.contextTokens }),
    ...(flags.chunkTokens !== undefined && { chunkTokens: flags.chunkTokens }),
    ...(flags.kvStoreGb !== undefined && { kvStoreBytes: flags.kvStoreGb * 1e9 }),
    ...(flags.draftAcceptance !== undefined && {
      drafts: { acceptance: flags.draftAcceptance, tokensMax: flags.draftTokens ?? draftTokensDefault },
    }),
    ...(flags.linkUs !== undefined && { linkLatencyUs: flags.linkUs }),
    ...(flags.weights !== undefined && isWafer(name) && { weights: flags.weights }),
  };
  if (flags.draftTokens !== undefined && flags.draftAcceptance === undefined)
    throw new FlagError('draft-tokens', String(flags.draftTokens), '--draft-acceptance beside it');
  const demand = {
    userCount: flags.usersPlanned ?? Number.POSITIVE_INFINITY,
    contextTokens: flags.contextPlanned ?? planDefaults.contextTokens,
    answerTokens: flags.answerPlanned ?? planDefaults.answerTokens,
  };
  if (demand.answerTokens > demand.contextTokens)
    throw new FlagError('answer-planned', String(demand.answerTokens), 'no more than --context-planned');
  const { placement = 'optimised' } = flags;
  return planSimDevice({
    device: name,
    ...(isChipFile(name) && { ownChip: readChipFile(name) }),
    shape: shapeNamed(flags.model),
    ...(flags.precision !== undefined && { precision: flags.precision }),
    placement,
    demand,
    ...optional,
    ...more,
  });
}

/** Tokens of the longest request that it can hold. */
export function contextOf({ limits }: SimDevice): number {
  return Math.min(limits.slotTokensMax, limits.blockCount * limits.blockSize);
}
