// The thread of one device of a comparison: takes a job, answers its figures. Started by compare-study.ts; the flags have been
// checked there.
import { parentPort, workerData } from 'node:worker_threads';
import { type CompareJob, runCompareJob } from './compare-study.ts';

parentPort!.postMessage(runCompareJob(workerData as CompareJob));
