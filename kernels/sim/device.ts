// SimDevice: a simulated device by name ("h100", "h100x2", "wse3", "wse3x4") with a model on it: what fits, what the
// engine may do on it, and how its time runs. Builds backends from it. Knows both families; its caller need not.
// Before it: registry.ts or a simulation; after it: gpu/ and wafer/.
import type { BackendLimits } from '../backend.ts';
import type { Clock } from '../clock.ts';
import type { DevicePlan } from '../device-plan.ts';
import { SimBackend } from './backend.ts';
import type { CostModel, StepPace } from './cost-model.ts';
import type { Drafts } from './drafts.ts';
import { DoesNotFitError, WeightsPlaceError } from './fit-error.ts';
import { GPU_CHIPS, gpuKvPrecision, tensorParallelMax } from './gpu/chips.ts';
import { gpuCostModel, gpuLimits } from './gpu/gpu-device.ts';
import type { MeasuredSteps } from './gpu/measured-steps.ts';
import type { GpuSetup, Sharding, WindowedKv } from './gpu/roofline.ts';
import { chooseSplit } from './gpu/stage-choice.ts';
import { batchesOf } from './gpu/stage-steps.ts';
import { kvPrecisionOf, type SimKvPrecision, type SimPrecision } from './precision.ts';
import { UnknownShapeError } from './shape-config.ts';
import type { ModelShape } from './shapes.ts';
import type { TokenSource } from './token-source.ts';
import { kvStoreBytesMax, linkLatencyUsDefault, WAFER_CHIPS } from './wafer/chips.ts';
import type { WaferSetup } from './wafer/floorplan.ts';
import {
  type Demand,
  equalPlacement,
  fewestWafers,
  optimisePlacement,
  type Placement,
  wafersMax,
} from './wafer/placement.ts';
import { stageTimes } from './wafer/stage-times.ts';
import { streamedCostModel, streamedLimits } from './wafer/streamed-device.ts';
import { chooseStreamed, type StreamedFloor } from './wafer/streamed-floor.ts';
import type { StreamedSetup } from './wafer/streamed-steps.ts';
import { type WaferBounds, WaferPace, waferLimits } from './wafer/wafer-device.ts';
import type { StageTimes } from './wafer/walk.ts';

export interface SimDeviceOptions {
  readonly device: string; // chip name, optionally "xN"
  readonly ownChip?: GpuSetup['chip']; // a chip that is not known by name; `device` is not read then
  readonly count?: number; // GPUs under tensor parallelism, or wafers; overrides "xN"
  readonly shape: ModelShape;
  readonly precision?: SimPrecision; // default: as the model is published
  readonly kvPrecision?: SimKvPrecision; // default: what goes with `precision`
  readonly sharding?: Sharding; // GPUs; default: tensor
  readonly stageCount?: number; // GPUs: pipeline stages, each on an equal part of them; default: 1, or what the model takes
  readonly groupSize?: number; // chips of a stage, where `count` is not given and the chip leaves it open
  readonly windowedKv?: WindowedKv; // GPUs; default: whole
  readonly sequencesMax?: number; // sequences at once
  readonly contextTokensMax?: number;
  readonly blockSize?: number; // tokens per KV block
  readonly vocabSize?: number; // of the tokens it gives, if not the model's
  readonly chunkTokens?: number; // GPU: prompt tokens per step; wafer: prompt tokens that enter together
  readonly kvStoreBytes?: number; // wafer: external KV store, at most 6 TB
  readonly linkLatencyUs?: number; // wafer to wafer
  readonly placement?: 'optimised' | 'equal';
  readonly demand?: Demand; // wafer: whom the placement is to serve
  readonly weights?: WeightsPlace; // wafer; default: resident
  readonly drafts?: Drafts; // speculation; default: none
}

/** Where a wafer's weights lie: all on it, or some in external memory, from where they come in every step. */
export type WeightsPlace = 'resident' | 'streamed';

interface DeviceFacts {
  readonly name: string; // "h100x2"
  readonly count: number;
  readonly shape: ModelShape;
  readonly precision: SimPrecision;
  readonly limits: BackendLimits;
  readonly powerW: number; // all chips
  // What the engine should ask of one step.
  readonly prefillChunkTokens: number;
  readonly prefillTokensPerStep: number;
}

export interface GpuSimDevice extends DeviceFacts {
  readonly kind: 'gpu';
  readonly setup: GpuSetup;
  /** `limits`: of the backend that is to take this time, if not the device's own. */
  timing(clock: Clock, limits?: BackendLimits): CostModel;
}

export interface WaferSimDevice extends DeviceFacts {
  readonly kind: 'wafer';
  readonly setup: WaferSetup;
  readonly placement: Placement;
  readonly demand: Demand; // whom the placement serves
  readonly bounds: WaferBounds;
  stageTimes(): StageTimes;
  timing(clock: Clock, limits?: BackendLimits): WaferPace;
}

/** Wafers whose weights come from external memory: steps of a whole batch, as on GPUs. */
export interface StreamedSimDevice extends DeviceFacts {
  readonly kind: 'streamed';
  readonly setup: StreamedSetup;
  readonly floor: StreamedFloor;
  readonly demand: Demand; // whom the floor serves
  timing(clock: Clock, limits?: BackendLimits): CostModel;
}

export type SimDevice = GpuSimDevice | WaferSimDevice | StreamedSimDevice;

const defaults = {
  gpuSequencesMax: 256, // vLLM's max_num_seqs on large GPUs
  waferPlacesMax: 512,
  blockSize: 16, // vLLM's default
  gpuChunkTokens: 8192, // vLLM's max_num_batched_tokens on large GPUs
  cpuChunkTokens: 128, // this server's own (--prefill-chunk-tokens)
  waferChunkTokens: 16, // streams token by token: a longer chunk would hold up the decode tokens behind it
  tokensPerChunk: 16, // decode tokens that may pass between two prompt chunks on a wafer
};

/** Whom a wafer's placement is to serve, where it is not stated: a coding turn. */
export const planDefaults = { contextTokens: 8192, answerTokens: 512 };

/** Every chip that can be named. */
export const DEVICE_NAMES: readonly string[] = [...GPU_CHIPS, ...WAFER_CHIPS].map(({ name }) => name);

/** Chips that come by the hundred, or by the rack: a model gets as many as hold it unless a number is given. */
export const OPEN_ENDED: readonly string[] = GPU_CHIPS.filter(({ own }) => (own?.groups.length ?? 0) > 0).map(
  ({ name }) => name,
);

/** Reads "h100x2" as (h100, 2). Throws UnknownShapeError. */
export function parseDeviceName(text: string): { readonly chip: string; readonly count: number | null } {
  const lower = text.toLowerCase();
  if (DEVICE_NAMES.includes(lower)) return { chip: lower, count: null };
  const match = /^([a-z][a-z0-9]*?)(?:x([1-9][0-9]{0,2}))?$/.exec(lower);
  const chip = match?.[1];
  if (chip === undefined || !DEVICE_NAMES.includes(chip)) {
    throw new UnknownShapeError(
      `device ${JSON.stringify(text)} is not known; known are ${DEVICE_NAMES.join(', ')}, each with xN for several`,
    );
  }
  return { chip, count: match?.[2] === undefined ? null : Number(match[2]) };
}

/** Puts the model on the device. Throws UnknownShapeError, or DoesNotFitError with the numbers. */
export function planSimDevice(options: SimDeviceOptions): SimDevice {
  const device = planChips({ ...options, precision: options.precision ?? options.shape.publishedPrecision });
  if (options.vocabSize === undefined) return device;
  const { vocabSize } = options;
  const logprobsMax = Math.min(device.limits.logprobsMax, vocabSize);
  return { ...device, limits: { ...device.limits, vocabSize, logprobsMax } };
}

// With everything decided that has a default of its own.
type Decided = SimDeviceOptions & { readonly precision: SimPrecision };

function planChips(options: Decided): SimDevice {
  if (options.ownChip !== undefined) {
    return planGpu(options, { chip: options.ownChip, gpuCount: options.count ?? null });
  }
  const { chip: chipName, count } = parseDeviceName(options.device);
  const gpu = GPU_CHIPS.find(({ name }) => name === chipName);
  const wanted = options.count ?? count;
  if (gpu !== undefined) return planGpu(options, { chip: gpu, gpuCount: wanted });
  const wafer = WAFER_CHIPS.find(({ name }) => name === chipName)!;
  return options.weights === 'streamed'
    ? planStreamed(options, wafer, wanted)
    : planWafer(options, wafer, wanted);
}

/** A backend that takes the time of the simulated device, `costModel`; `tokens` decides what it says. */
export function simBackend(
  device: SimDevice,
  costModel: CostModel | StepPace,
  {
    clock,
    tokens,
    plan,
  }: { readonly clock: Clock; readonly tokens?: TokenSource; readonly plan?: DevicePlan },
): SimBackend {
  const prefill = { chunkTokens: device.prefillChunkTokens, tokensPerStep: device.prefillTokensPerStep };
  const parts = {
    limits: device.limits,
    clock,
    costModel,
    prefill,
    faults: null,
    ...(plan !== undefined && { plan }),
  };
  return new SimBackend(device.name, tokens === undefined ? parts : { ...parts, tokens });
}

function planGpu(
  options: Decided,
  { chip, gpuCount: wanted }: { readonly chip: GpuSetup['chip']; readonly gpuCount: number | null },
): GpuSimDevice {
  if (options.weights === 'streamed')
    throw new WeightsPlaceError(
      `${chip.name} keeps its weights in its own memory: only wafers have them streamed`,
    );
  if (options.precision === 'fp8' && chip.fp8FlopsPerSecond === chip.bf16FlopsPerSecond) {
    throw new DoesNotFitError(`${chip.name} does not compute in fp8: take fp16, bf16 or int4`);
  }
  if (chip.measured !== undefined) refuseBeyondMeasured(options, chip.measured, wanted);
  const { shape, precision, sharding = 'tensor' } = options;
  if (sharding === 'expert' && shape.mixtureLayerCount === 0) {
    throw new DoesNotFitError(`${shape.name} has no experts to spread over GPUs: use tensor parallelism`);
  }
  const kvPrecision = options.kvPrecision ?? gpuKvPrecision(chip, precision);
  const { windowedKv = 'whole' } = options;
  const base = { chip, sharding, shape, precision, kvPrecision, windowedKv, ...draftsOf(options) };
  const setup = { ...base, ...splitOf(base, options, wanted) };
  const { gpuCount } = setup;
  const chunkTokens =
    (options.chunkTokens ??
      (chip.measured === undefined ? defaults.gpuChunkTokens : defaults.cpuChunkTokens)) * batchesOf(setup);
  const limits = gpuLimits(setup, {
    sequenceCountMax: options.sequencesMax ?? defaults.gpuSequencesMax,
    stepTokensMax: chunkTokens,
    contextTokensMax: options.contextTokensMax ?? Number.POSITIVE_INFINITY,
    blockSize: options.blockSize ?? defaults.blockSize,
  });
  return {
    kind: 'gpu',
    ...factsOf(options, chip, gpuCount),
    limits,
    prefillChunkTokens: chunkTokens,
    prefillTokensPerStep: chunkTokens,
    setup,
    timing: () => gpuCostModel(setup),
  };
}

// Tables of one machine say nothing of several, of another format, or of layers that no probe had.
function refuseBeyondMeasured(
  { precision, shape, sharding, stageCount = 1 }: Decided,
  { format }: MeasuredSteps,
  count: number | null,
): void {
  if ((count ?? 1) !== 1 || stageCount !== 1 || sharding === 'expert')
    throw new DoesNotFitError('a measured machine is one: several of them are not modelled');
  if (precision !== format)
    throw new DoesNotFitError(`the machine was measured with ${format} weights: --precision ${format}`);
  if (shape.mixtureLayerCount > 0 || shape.latent !== null || shape.linear !== null)
    throw new DoesNotFitError(
      `${shape.name}: a machine is measured with dense layers and plain attention only`,
    );
}

// Some chips have no size of their own: a model gets as many as hold it, or what was asked for.
function splitOf(
  base: Omit<GpuSetup, 'gpuCount' | 'stageCount'>,
  { stageCount, groupSize }: SimDeviceOptions,
  gpuCount: number | null,
): { readonly gpuCount: number; readonly stageCount: number } {
  const { own, name } = base.chip;
  if (own !== undefined && own.groups.length > 0) {
    if (base.sharding === 'expert')
      throw new DoesNotFitError(`${name}: data-parallel attention is modelled for GPUs only`);
    const contextTokens = Math.min(planDefaults.contextTokens, base.shape.contextLength);
    return chooseSplit(base, { gpuCount, stageCount, groupSize }, contextTokens);
  }
  const split = { gpuCount: gpuCount ?? 1, stageCount: stageCount ?? 1 };
  refuseSplit(split.gpuCount, split.stageCount, base.shape);
  return split;
}

function draftsOf({ drafts }: SimDeviceOptions): { readonly drafts?: Drafts } {
  return drafts === undefined ? {} : { drafts };
}

// Guesses are for the users that are planned for; of as many as fit, for a lone one: what speculation is for.
function waferDrafts({ drafts }: SimDeviceOptions, { userCount }: Demand): { readonly drafts?: Drafts } {
  if (drafts === undefined) return {};
  return { drafts: Number.isFinite(userCount) ? { ...drafts, userCount } : drafts };
}

function refuseSplit(gpuCount: number, stageCount: number, { layerCount, name }: ModelShape): void {
  if (![1, 2, 4, 8].includes(gpuCount / stageCount)) {
    const stages = stageCount === 1 ? '' : ` in ${stageCount} pipeline stages`;
    throw new DoesNotFitError(
      `${gpuCount} GPUs${stages}: tensor parallelism takes 1, 2, 4 or ${tensorParallelMax}${stages === '' ? '' : ' in each'}`,
    );
  }
  if (stageCount > layerCount)
    throw new DoesNotFitError(`${stageCount} pipeline stages: ${name} has ${layerCount} layers`);
}

// What is said of any device.
function factsOf({ shape, precision }: Decided, chip: { name: string; powerW: number }, count: number) {
  const name = count === 1 ? chip.name : `${chip.name}x${count}`;
  return { name, count, shape, precision, powerW: count * chip.powerW };
}

// What the plans of wafers have in common.
function waferBase(options: Decided, chip: WaferSetup['chip'], wanted: number | null) {
  if (wanted !== null && wanted > wafersMax) {
    throw new DoesNotFitError(`${wanted} wafers: at most ${wafersMax} are modelled`);
  }
  return {
    chip,
    shape: options.shape,
    precision: options.precision,
    kvPrecision: options.kvPrecision ?? kvPrecisionOf(options.precision),
    blockSize: options.blockSize ?? defaults.blockSize,
    demand: options.demand ?? { userCount: Number.POSITIVE_INFINITY, ...planDefaults },
    linkLatencyUs: options.linkLatencyUs ?? linkLatencyUsDefault,
  };
}

function planStreamed(options: Decided, chip: WaferSetup['chip'], wanted: number | null): StreamedSimDevice {
  const { demand, ...base } = waferBase(options, chip, wanted);
  if (options.drafts !== undefined || (options.kvStoreBytes ?? 0) > 0 || options.placement === 'equal') {
    throw new DoesNotFitError(
      'streamed weights: speculation, an external KV store and equal regions are modelled for resident weights only',
    );
  }
  const { setup, floor } = chooseStreamed(
    {
      ...base,
      chunkTokens: options.chunkTokens ?? defaults.gpuChunkTokens,
      sequenceCountMax: options.sequencesMax ?? defaults.gpuSequencesMax,
    },
    demand,
    wanted,
  );
  const { waferCount, chunkTokens } = setup;
  return {
    kind: 'streamed',
    ...factsOf(options, chip, waferCount),
    limits: streamedLimits(setup, floor, options.contextTokensMax ?? Number.POSITIVE_INFINITY),
    prefillChunkTokens: chunkTokens,
    prefillTokensPerStep: chunkTokens,
    setup,
    floor,
    demand,
    timing: () => streamedCostModel(setup, floor),
  };
}

function planWafer(options: Decided, chip: WaferSetup['chip'], wanted: number | null): WaferSimDevice {
  const { demand, linkLatencyUs, ...common } = waferBase(options, chip, wanted);
  const base = {
    ...common,
    chunkTokens: options.chunkTokens ?? defaults.waferChunkTokens,
    ...waferDrafts(options, demand),
  };
  const waferCount =
    wanted ?? fewestWafers(base, Math.min(demand.contextTokens, options.shape.contextLength));
  const setup: WaferSetup = { ...base, waferCount };
  const bounds: WaferBounds = {
    placesMax: options.sequencesMax ?? defaults.waferPlacesMax,
    contextTokensMax: options.contextTokensMax ?? Number.POSITIVE_INFINITY,
    storeBytes: Math.min(kvStoreBytesMax, options.kvStoreBytes ?? 0),
    linkLatencyUs,
    tokensPerChunk: defaults.tokensPerChunk,
  };
  const choose = options.placement === 'equal' ? equalPlacement : optimisePlacement;
  const placement = choose(setup, demand, bounds.linkLatencyUs);
  const limits = waferLimits(setup, placement, bounds);
  return {
    kind: 'wafer',
    ...factsOf(options, chip, waferCount),
    limits,
    // A prompt is one row: the wafer cuts it into chunks itself, because they follow each other through the pipe.
    prefillChunkTokens: limits.rowTokensMax,
    prefillTokensPerStep: limits.rowTokensMax,
    setup,
    placement,
    demand,
    bounds,
    stageTimes: () => stageTimes(setup, placement.stages, bounds.linkLatencyUs),
    timing: (clock, served = limits) => new WaferPace(setup, placement, { limits: served, bounds, clock }),
  };
}
