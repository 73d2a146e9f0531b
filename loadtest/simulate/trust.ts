// Trust: how far a prediction has been held against published figures like it. Like: same family (dense or mixture), chip,
// weight format, parallelism and regime. Reads the table that `validate`'s golden test keeps; runs nothing.
import type { GpuSimDevice, SimDevice, StreamedSimDevice } from '../../kernels/sim/device.ts';
import { gpuKvPrecision } from '../../kernels/sim/gpu/chips.ts';
import { nimHostMs, vllmHostMs } from '../../kernels/sim/gpu/host.ts';
import type { MeasuredSteps } from '../../kernels/sim/gpu/measured-steps.ts';
import type { Sharding } from '../../kernels/sim/gpu/roofline.ts';
import { kvPrecisionOf, type SimPrecision } from '../../kernels/sim/precision.ts';
import { layerBytes, type ModelShape, totalWeights } from '../../kernels/sim/shapes.ts';
import { LEFT_OUT_MEDIAN, TRUST_TABLE } from './trust-table.ts';

/** load: as many users as fit. users: latency and throughput of some users. one user: the rate for one, of wafers, LPUs and RDUs. region: one region of a wafer's cores. */
export type Regime = 'load' | 'users' | 'one user' | 'region';

/** How a model lies on its chips; `-pp`: in pipeline stages. */
export type ErrorSpread = Sharding | `${Sharding}-pp` | 'wafer';

export function spreadOf(sharding: Sharding, stageCount: number): ErrorSpread {
  return stageCount === 1 ? sharding : `${sharding}-pp`;
}

/** What published rows have in common with a prediction. */
export interface Likeness {
  readonly family: 'dense' | 'mixture';
  readonly chip: string;
  readonly precision: string;
  readonly sharding: ErrorSpread;
  readonly regime: Regime;
}

interface Entry extends Likeness {
  readonly rowCount: number;
  readonly chipsMax: number;
  readonly promptMax: number; // tokens
  readonly median: string; // %
  readonly worst: string; // %
  readonly fittedWorst: number; // %; of fitted rows; 0: there are none
  readonly answerMax: number; // tokens; 0: not stated
  readonly models: readonly ModelRows[]; // of fitted rows, too; the smallest first
}

interface ModelRows {
  readonly billions: number; // weights
  readonly usersMax: number; // 0: one, or as many as fit
}

/** What is asked of the device. */
export interface Asked {
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly userCount: number; // at once, of the regime `users`; others: not read
  readonly hostMs: number;
  readonly unlike: readonly string[]; // what else sets it apart from published rows
}

function entries(): Entry[] {
  return TRUST_TABLE.map((line) => {
    const [family, chip, precision, sharding, regimeName, ...found] = line.split(' ');
    const [rowCount, chips, tokens, median, worst, fittedWorst, answerMax, sizes] = found;
    const regime = regimeName!.replace('-', ' ');
    const models = sizes!.split(',').map((size): ModelRows => {
      const [billions, usersMax] = size.split(':').map(Number);
      return { billions: billions!, usersMax: usersMax! };
    });
    return {
      ...({ family, chip, precision, sharding, regime } as Likeness),
      ...{ rowCount: Number(rowCount), chipsMax: Number(chips), promptMax: Number(tokens) },
      ...{
        median: median!,
        worst: worst!,
        fittedWorst: Number(fittedWorst),
        answerMax: Number(answerMax),
        models,
      },
    };
  });
}

/** The sentence that stands beside every prediction. */
export function trustOf(device: SimDevice, regime: Regime, asked: Asked): string {
  if (device.kind === 'streamed')
    return 'not validated: extrapolated because no published row streams weights to a wafer';
  if (device.kind === 'gpu' && device.setup.chip.measured !== undefined)
    return measuredTrust(device.setup.chip.measured);
  const { setup, precision } = device;
  const like: Likeness = {
    family: familyOf(device.shape),
    chip: setup.chip.name,
    precision,
    sharding:
      device.kind === 'wafer' ? 'wafer' : spreadOf(device.setup.sharding, device.setup.stageCount ?? 1),
    regime,
  };
  const reasons = [...extrapolations(device, asked.promptTokens), ...asked.unlike];
  const found = entries().find((entry) => keys.every((key) => entry[key] === like[key]));
  if (found === undefined) reasons.unshift(missing(like));
  else {
    if (device.count > found.chipsMax)
      reasons.push(`${device.count} chips, published rows have at most ${found.chipsMax}`);
    reasons.push(...beyond(found, device.shape, asked));
    const { demand } = device.kind === 'wafer' ? device : { demand: null };
    if (demand !== null && Number.isFinite(demand.userCount))
      reasons.push('published rows without speculation are placed for as many users as fit');
    if (reasons.length === 0) return validated(found) + hostText(device, regime, asked.hostMs);
  }
  return `not validated: extrapolated because ${reasons.join('; ')}`;
}

// A 7B is like an 8B; a 1B is not.
const sizeFactor = 1.5;

// What lies outside of what the rows of an entry span.
function beyond(entry: Entry, shape: ModelShape, asked: Omit<Asked, 'hostMs' | 'unlike'>): string[] {
  const { promptMax, answerMax } = entry;
  const reasons = sizeReasons(entry, shape);
  if (asked.promptTokens > promptMax) reasons.push(`prompts beyond ${promptMax} tokens`);
  if (answerMax > 0 && asked.answerTokens > answerMax) reasons.push(`answers beyond ${answerMax} tokens`);
  const usersMax = usersMaxOf(entry, shape);
  if (usersMax > 0 && asked.userCount > usersMax)
    reasons.push(`${asked.userCount} users at once, rows of such models have at most ${usersMax}`);
  return reasons;
}

// Of models of that size; between two sizes, the fewer.
function usersMaxOf({ models }: Entry, shape: ModelShape): number {
  const size = billionsOf(shape);
  const near = models.filter(({ billions }) => Math.max(size / billions, billions / size) <= sizeFactor);
  return near.length > 0
    ? Math.max(...near.map(({ usersMax }) => usersMax))
    : Math.min(...models.map(({ usersMax }) => usersMax));
}

function sizeReasons({ models }: Entry, shape: ModelShape): string[] {
  const size = billionsOf(shape);
  const [least, most] = [models[0]!.billions, models.at(-1)!.billions];
  if (size * sizeFactor >= least && size <= most * sizeFactor) return [];
  const range = least === most ? `${least}` : `${least} to ${most}`;
  return [`${size.toFixed(1)} billion weights, published rows have ${range}`];
}

function billionsOf(shape: ModelShape): number {
  return totalWeights(shape) / 1e9;
}

function measuredTrust({ format, threads }: MeasuredSteps): string {
  return `not validated: no published row is of this machine; its own kernels were timed (${format}, ${threads} threads), models of other sizes than the probes' are extrapolated`;
}

// The rows with latencies of GPUs were simulated with the time that their stacks take outside the engine: NIM's in 8 bits, vLLM's in 16.
function hostText({ kind, precision }: SimDevice, regime: Regime, hostMs: number): string {
  const published = precision === 'fp8' ? nimHostMs : vllmHostMs;
  return kind === 'gpu' && regime === 'users' && hostMs !== published
    ? `; TTFT with --host-ms ${published}`
    : '';
}

/** The same for one region of cores, layers only. */
export function regionTrust(chip: string, shape: ModelShape): string {
  const found = entries().find((entry) => entry.chip === chip && entry.regime === 'region');
  const family = familyOf(shape);
  if (found !== undefined && family === found.family && shape.latent === null) {
    const [size] = sizeReasons(found, shape);
    return size === undefined ? validated(found) : `not validated: extrapolated because ${size}`;
  }
  return `not validated: extrapolated because published regions are of dense models on wse2, this is ${family} on ${chip}`;
}

export function familyOf(shape: ModelShape): 'dense' | 'mixture' {
  return shape.mixtureLayerCount > 0 ? 'mixture' : 'dense';
}

function validated({ family, worst, median, rowCount, fittedWorst }: Entry): string {
  const fitted = fittedWorst > Number(worst) ? `; fitted rows like this: worst ${fittedWorst} %` : '';
  const rows = `${rowCount} row${rowCount === 1 ? '' : 's'}`;
  const leftOut =
    family === 'mixture' ? `; models on machines that the fit has not seen: median ${LEFT_OUT_MEDIAN} %` : '';
  return `validated within ${worst} % on ${rows} like this that ${rowCount === 1 ? 'was' : 'were'} not fitted (median ${median} %)${fitted}${leftOut}`;
}

const keys = ['family', 'chip', 'precision', 'sharding', 'regime'] as const;

// The closest rows there are, by what differs least.
function missing(like: Likeness): string {
  const differing = (entry: Entry): string[] =>
    keys
      .filter((key) => entry[key] !== like[key])
      .map((key) => `${words(like[key])}, not ${words(entry[key])}`);
  const closest = entries().reduce<string[] | null>((best, entry) => {
    const different = differing(entry);
    return best === null || different.length < best.length ? different : best;
  }, null);
  return `no published row is like this (the closest: ${closest?.join('; ') ?? 'none'})`;
}

function words(value: string): string {
  const known: Readonly<Record<string, string>> = {
    ...{ load: 'maximum load', users: 'stated users', region: 'one region', mixture: 'mixture of experts' },
    ...{ tensor: 'tensor parallel', expert: 'expert parallel', wafer: 'wafers' },
    ...{ 'tensor-pp': 'tensor parallel in stages', 'expert-pp': 'expert parallel in stages' },
  };
  return known[value] ?? value;
}

function extrapolations(device: SimDevice, promptTokens: number): string[] {
  const { shape, precision, setup } = device;
  const kvUsual =
    device.kind === 'gpu' ? gpuKvPrecision(device.setup.chip, precision) : kvPrecisionOf(precision);
  const reasons: string[] = [];
  if (setup.drafts !== undefined) reasons.push('how many guesses are right is assumed');
  if (shape.linear !== null) reasons.push('linear attention is in no published row');
  if (setup.kvPrecision !== kvUsual) reasons.push(`KV in ${setup.kvPrecision} with weights in ${precision}`);
  const dropsKv = device.kind === 'gpu' && device.setup.windowedKv === 'window';
  if (dropsKv && shape.windowedLayerCount > 0) reasons.push('published rows keep all KV of windowed layers');
  if (promptTokens < 1) reasons.push('no prompt');
  return reasons;
}

function stagesText({ shape, setup }: GpuSimDevice): string {
  const { stageCount = 1 } = setup;
  if (stageCount === 1) return '';
  const uneven =
    shape.layerCount % stageCount === 0
      ? ''
      : ` (${shape.layerCount} layers, uneven: everybody waits for the stages of ${Math.ceil(shape.layerCount / stageCount)})`;
  return ` in ${stageCount} pipeline stages${uneven}`;
}

// What comes in from external memory, and what stays.
function streamText({ shape, precision, setup, floor, count }: StreamedSimDevice): string {
  const { residentLayerCount, streamedLayerCount } = floor;
  if (streamedLayerCount === 0) return 'nothing streamed: all layers fit';
  const { common, routed } = layerBytes(shape, precision);
  const gb = (bytes: number): string => (bytes / 1e9).toFixed(1);
  const bytes = ((common + routed) * streamedLayerCount) / shape.layerCount;
  const met = routed === 0 ? '' : ' if all experts are met';
  const rate = gb(count * setup.chip.ioBytesPerSecond);
  return `${streamedLayerCount} of ${shape.layerCount} layers streamed, ${gb(bytes)} GB a step${met} at ${rate} GB/s; ${residentLayerCount} layer${residentLayerCount === 1 ? '' : 's'} and the output projection stay`;
}

function draftsText({ kind, setup: { drafts } }: SimDevice): string {
  if (drafts === undefined) return 'no speculation';
  const { acceptance, tokensMax, userCount = 1 } = drafts;
  const users = userCount === 1 ? 'a lone user' : `${userCount} users`;
  const chosen = kind === 'gpu' ? '' : `, as many as pay for ${users}`;
  return `speculation with a drafter of one layer, ${(acceptance * 100).toFixed(0)} % of guesses right (assumed), at most ${tokensMax} at a time${chosen}`;
}

// Whether that is how the model is published, unless both are 16 bits or it was narrowed from them.
function publishedText(precision: SimPrecision, { publishedPrecision }: ModelShape): string {
  if (precision === publishedPrecision) return precision === 'fp16' ? '' : ' as published';
  return publishedPrecision === 'fp16' ? '' : ` (published: ${publishedPrecision})`;
}

/** What a wafer's figure rests on; a GPU's needs no plan. */
export function planOf(device: SimDevice): string {
  const { precision, setup, shape } = device;
  const formats = `weights ${precision}${publishedText(precision, shape)}, KV ${setup.kvPrecision}, ${draftsText(device)}`;
  if (device.kind === 'gpu') {
    const { name, own } = device.setup.chip;
    const place = own === undefined ? '' : `; weights and KV in the ${own.place}`;
    return `${device.count} × ${name}${stagesText(device)}, ${formats}${place}`;
  }
  const { userCount, contextTokens, answerTokens } = device.demand;
  const users = Number.isFinite(userCount)
    ? `${userCount} user${userCount === 1 ? '' : 's'}`
    : 'as many users as fit';
  if (device.kind === 'streamed') {
    return `${device.count} × ${setup.chip.name}, ${formats}; ${streamText(device)}, for ${users} of ${contextTokens} tokens`;
  }
  const plan = `placement for ${users} of ${contextTokens} tokens (${answerTokens} of them answer)`;
  return `${device.count} × ${setup.chip.name}, ${formats}; ${plan}, ${device.placement.stages.length} stages`;
}
