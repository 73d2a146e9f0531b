// FleetStudy: every policy at every fleet size, in as many threads as are asked for. Rows come out in the same order and are the
// same, however many threads there are. Before it: fleet-commands.ts.
import { once } from 'node:events';
import { startThread } from '../../../server/base/thread-entry.ts';
import { type FleetJob, type FleetRow, runFleetJob } from './fleet-job.ts';

/** `onProgress` hears of each run that has ended. Rejects with the first error of a thread. */
export async function runFleetJobs(
  jobs: readonly FleetJob[],
  threadCount: number,
  onProgress: (row: FleetRow) => void,
): Promise<FleetRow[]> {
  const rows: FleetRow[] = new Array(jobs.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < jobs.length) {
      const index = next++;
      rows[index] = threadCount === 1 ? runFleetJob(jobs[index]!) : await inThread(jobs[index]!);
      onProgress(rows[index]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(threadCount, jobs.length) }, work));
  return rows;
}

async function inThread(job: FleetJob): Promise<FleetRow> {
  const thread = startThread('fleet-thread', { from: import.meta.url, name: 'fleet', workerData: job });
  try {
    const [row] = (await once(thread, 'message')) as [FleetRow];
    return row;
  } finally {
    await thread.terminate();
  }
}
