// Compare: the same trace and the same sweep of users on several devices, side by side. Collects everything the
// table, the JSON and the page (page.ts) show; draws nothing itself.
import type { SimDevice } from '../../kernels/sim/device.ts';
import type { KvUse } from '../../kernels/sim/wafer/kv-floor.ts';
import { table } from '../show/text-table.ts';
import { median } from '../statistics/median.ts';
import { decodeParts, type TimePart } from './bounds.ts';
import { type FixedLengths, promptCount, type SimLoad } from './load.ts';
import { type SimulationOptions, simulate } from './simulation.ts';
import { type Prices, type Summary, summarise } from './summary.ts';
import { type Sweep, sweepUsers } from './sweep.ts';
import type { Sample } from './tally.ts';
import { planOf, trustOf } from './trust.ts';

export interface CompareOptions
  extends Pick<SimulationOptions, 'load' | 'slo' | 'hostMs' | 'scheduler' | 'queueLengthMax'> {
  readonly prices: Prices;
  readonly usersMax: number;
  readonly seed: number;
  readonly unlike: readonly string[]; // what sets it apart from published rows, beside device, lengths and load
  readonly onProgress: (text: string) => void;
}

/** What was found of one device. Plain data: it may come from a thread. */
export interface DeviceFigures {
  readonly summary: Summary; // of the trace
  readonly samples: readonly Sample[];
  readonly kvUse: KvUse | null; // of a wafer
  readonly sweep: Sweep;
  readonly plan: string;
  readonly trust: string;
  readonly contextTokens: number; // of the sweep, about
  readonly tokenParts: readonly TimePart[]; // one user's token at the sweep's context
}

export interface DeviceComparison extends DeviceFigures {
  readonly device: SimDevice;
}

export type Comparison = Readonly<ReturnType<typeof comparisonOf>>;

/** `figures`: of each device, in the same order. */
export function comparisonOf(
  { load, slo }: Pick<CompareOptions, 'load' | 'slo'>,
  devices: readonly SimDevice[],
  figures: readonly DeviceFigures[],
) {
  return {
    load: load.label,
    notes: load.notes,
    lengths: medianLengths(load), // of the sweep
    slo,
    devices: devices.map((device, index): DeviceComparison => ({ device, ...figures[index]! })),
  };
}

/** Plays the load on the device, then more and more users. */
export function figuresOf(device: SimDevice, options: CompareOptions): DeviceFigures {
  const lengths = medianLengths(options.load);
  const contextTokens = lengths.isl + lengths.osl / 2;
  options.onProgress(`${device.name}: ${options.load.label}`);
  const result = simulate({
    ...{ device, load: options.load, slo: options.slo, hostMs: options.hostMs },
    scheduler: options.scheduler,
    ...{
      warmupRequests: 0,
      countedRequests: Number.POSITIVE_INFINITY,
      queueLengthMax: options.queueLengthMax,
    },
  });
  options.onProgress(`${device.name}: 1 to ${options.usersMax} users`);
  const summary = summarise(result, { device, load: options.load.label, prices: options.prices });
  return {
    summary,
    samples: result.tally.samples,
    kvUse: result.pace?.floor.use ?? null,
    sweep: sweepUsers({ ...options, device, lengths }),
    plan: planOf(device),
    trust: trustOf(device, 'users', {
      ...{ promptTokens: lengths.isl, answerTokens: lengths.osl, hostMs: options.hostMs },
      ...{ userCount: summary.runningMax, unlike: options.unlike },
    }),
    contextTokens,
    tokenParts: decodeParts(device, 1, contextTokens),
  };
}

const lengthsSampleMax = 20_000; // requests looked at for the median

function medianLengths(load: SimLoad): FixedLengths {
  const inputs: number[] = [];
  const outputs: number[] = [];
  const clients = load.clients();
  for (let next = clients.next(); !next.done && inputs.length < lengthsSampleMax; next = clients.next()) {
    const { turns } = next.value;
    for (let turn = turns.next(); !turn.done && inputs.length < lengthsSampleMax; turn = turns.next()) {
      inputs.push(promptCount(turn.value));
      outputs.push(turn.value.outputTokens);
    }
  }
  const middle = (values: readonly number[]): number => Math.max(1, Math.round(median(values) ?? 1));
  return { isl: middle(inputs), osl: Math.max(2, middle(outputs)) };
}

/** What the command prints. */
export function formatComparison(comparison: Comparison): string {
  const { devices, lengths } = comparison;
  const row = (name: string, cell: (entry: DeviceComparison) => string): string[] => [
    name,
    ...devices.map(cell),
  ];
  const of =
    (quantile: 'mean' | 'p50' | 'p99', key: 'ttftMs' | 'itlMs' | 'tpotMs') => (entry: DeviceComparison) =>
      digitsText(entry.summary[key]?.[quantile] ?? null);
  const rows = [
    row('TTFT p50, ms', of('p50', 'ttftMs')),
    row('TTFT p99, ms', of('p99', 'ttftMs')),
    row('ITL p50, ms', of('p50', 'itlMs')),
    row('ITL p99, ms', of('p99', 'itlMs')),
    row('TPOT mean, ms', of('mean', 'tpotMs')),
    row('tokens/s of one user', ({ summary }) => digitsText(summary.userTokensPerSecond)),
    row('tokens/s of all', ({ summary }) => digitsText(summary.tokensPerSecond)),
    row('good requests/s', ({ summary }) => digitsText(summary.goodputPerSecond)),
    row('good share', ({ summary }) => percentText(summary.goodShare)),
    row('refused', ({ summary }) => String(summary.refusedCount)),
    row('prompt tokens cached', ({ summary }) => percentText(summary.cachedShare)),
    row('KV in use, mean', ({ summary }) => percentText(summary.kvShareMean)),
    row('KV in use, largest', ({ summary }) => percentText(summary.kvShareMax)),
    row('KV room, tokens', ({ summary }) => String(summary.kvTokens)),
    row('preemptions', ({ summary }) => String(summary.preemptionCount)),
    row('J/token', ({ summary }) => digitsText(summary.joulesPerToken)),
    row('USD/1M tokens', ({ summary }) => digitsText(summary.usdPerMillionTokens)),
    row('stops scaling at users', ({ sweep }) => (sweep.kneeUsers === null ? '–' : String(sweep.kneeUsers))),
  ];
  const reasons = devices.map(({ device, sweep }) => `  ${device.name} stops scaling: ${sweep.kneeReason}`);
  return [
    `simulated: ${comparison.load}`,
    ...comparison.notes.map((note) => `  (${note})`),
    table(['', ...devices.map(({ device }) => device.name)], rows),
    `users are counted in a closed loop of ${lengths.isl}/${lengths.osl} tokens, the load's medians`,
    ...reasons,
    ...devices.map(({ device, plan, trust }) => `  ${device.name}: ${plan}; ${trust}`),
    '',
  ].join('\n');
}

/** Three digits that matter; "–" where there is no such number. */
export function digitsText(value: number | null): string {
  if (value === null) return '–';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

export function percentText(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
