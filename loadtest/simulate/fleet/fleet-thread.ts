// The thread of one fleet run: takes a job, answers its row. Started by fleet-study.ts; the flags have been checked there.
import { parentPort, workerData } from 'node:worker_threads';
import { type FleetJob, runFleetJob } from './fleet-job.ts';

parentPort!.postMessage(runFleetJob(workerData as FleetJob));
