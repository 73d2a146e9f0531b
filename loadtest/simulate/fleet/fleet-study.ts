// FleetStudy: every policy at every fleet size, in as many threads as are asked for. Rows come out in the same order and are the
// same, however many threads there are. Before it: fleet-commands.ts.
import { answersOf, inThread } from '../threaded-jobs.ts';
import { type FleetJob, type FleetRow, runFleetJob } from './fleet-job.ts';

/** `onProgress` hears of each run that has ended. Rejects with the first error of a thread. */
export async function runFleetJobs(
  jobs: readonly FleetJob[],
  threadCount: number,
  onProgress: (row: FleetRow) => void,
): Promise<FleetRow[]> {
  return answersOf(jobs, threadCount, async (job) => {
    const thread = { from: import.meta.url, name: 'fleet', workerData: job };
    const row = threadCount === 1 ? runFleetJob(job) : await inThread<FleetRow>('fleet-thread', thread);
    onProgress(row);
    return row;
  });
}
