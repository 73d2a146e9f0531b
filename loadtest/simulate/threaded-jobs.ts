// Jobs of a study, several at a time, each in a thread of its own where that is asked for. Answers come out in the jobs' order. Before
// it: compare-study.ts and fleet/fleet-study.ts.
import { once } from 'node:events';
import { startThread } from '../../models/thread-entry.ts';

/** At most `atOnce` run at the same time. Rejects with the first error of a job. */
export async function answersOf<Job, Answer>(
  jobs: readonly Job[],
  atOnce: number,
  run: (job: Job) => Answer | Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = new Array(jobs.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < jobs.length) {
      const index = next++;
      answers[index] = await run(jobs[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, jobs.length) }, work));
  return answers;
}

/** What the thread `file` beside the module `from` answers to a job: its first message. */
export async function inThread<Answer>(
  file: string,
  thread: { readonly from: string; readonly name: string; readonly workerData: unknown },
): Promise<Answer> {
  const worker = startThread(file, thread);
  try {
    const [answer] = (await once(worker, 'message')) as [Answer];
    return answer;
  } finally {
    await worker.terminate();
  }
}
