// CompareStudy: the devices of a comparison one after the other, or each in a thread of its own, as many at a time as are asked for.
// Figures are the same, however many threads there are. Before it: commands.ts; after it: compare.ts.
import {
  type CompareOptions,
  type Comparison,
  comparisonOf,
  type DeviceFigures,
  figuresOf,
} from './compare.ts';
import { contextOf, type DeviceFlags, devicesOf } from './device-flags.ts';
import { type LoadFlags, loadOf, pricesOf, queueLengthMax, type RunFlags, sloOf } from './run-flags.ts';
import { answersOf, inThread } from './threaded-jobs.ts';
import { unlikePublished, unlikeTrace } from './unlike-published.ts';

export interface CompareFlags extends DeviceFlags, RunFlags, LoadFlags {
  readonly devices: string; // names, separated by commas
  readonly usersMax: number;
}

/** One device of a comparison, for a thread. */
export interface CompareJob {
  readonly flags: CompareFlags;
  readonly index: number; // of the device
}

/** Refuses before anything runs. Rejects with the first error of a thread. */
export async function compareDevices(
  flags: CompareFlags,
  threadCount: number,
  onProgress: (text: string) => void,
): Promise<Comparison> {
  const { devices, options } = planned(flags, onProgress);
  if (threadCount === 1) {
    return comparisonOf(
      options,
      devices,
      devices.map((device) => figuresOf(device, options)),
    );
  }
  const jobs = devices.map((_, index): CompareJob => ({ flags, index }));
  const figures = await answersOf(jobs, threadCount, (job) => {
    onProgress(devices[job.index]!.name);
    const thread = { from: import.meta.url, name: 'compare', workerData: job };
    return inThread<DeviceFigures>('compare-thread', thread);
  });
  return comparisonOf(options, devices, figures);
}

/** In its thread. */
export function runCompareJob({ flags, index }: CompareJob): DeviceFigures {
  const { devices, options } = planned(flags, () => {});
  return figuresOf(devices[index]!, options);
}

function planned(flags: CompareFlags, onProgress: (text: string) => void) {
  const devices = devicesOf(flags.devices, flags);
  // The shortest context decides what is played, so that all devices see the same requests.
  const options: CompareOptions = {
    load: loadOf(flags, Math.min(...devices.map(contextOf))),
    slo: sloOf(flags),
    hostMs: flags.hostMs,
    scheduler: flags.scheduler,
    prices: pricesOf(flags),
    ...{ queueLengthMax, usersMax: flags.usersMax, seed: flags.seed, onProgress },
    unlike: [...unlikePublished(flags), ...(flags.trace === undefined ? [] : [unlikeTrace])],
  };
  return { devices, options };
}
