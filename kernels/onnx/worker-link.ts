// WorkerLink: one worker thread and the ways to and from it. Owns the thread (through a Piscina pool of one, which
// tells when it dies), its message port and the bell that wakes it. Decides nothing about faults. Before it:
// replica.ts; after it: worker.ts.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { ring } from './bell.ts';
import {
  faults,
  type RareMessage,
  type RareSampling,
  type WorkerAnswer,
  type WorkerFault,
  type WorkerSetup,
} from './messages.ts';
import { controlWords, phases, type StepFrame } from './step-frame.ts';
import { threadPool } from './thread-pool.ts';

export interface WorkerEvents {
  /** After opening; never in the caller's stack. */
  readonly onAnswer: (answer: WorkerAnswer) => void;
  /** The thread has ended by itself, after opening. Not called once it is closed or discarded. */
  readonly onDeath: (error: unknown) => void;
}

export class WorkerLink {
  readonly opened: Promise<string>; // ONNX Runtime's version; rejects if the device cannot be opened
  readonly #pool: Piscina;
  readonly #port: MessagePort;
  readonly #frame: StepFrame;
  readonly #served: Promise<void>; // settles when the thread stops serving
  #events: WorkerEvents | null; // null: nobody listens any more

  /** Starts the thread. */
  constructor(setup: WorkerSetup, events: WorkerEvents) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#frame = setup.frame;
    this.#events = events;
    this.#frame.control[controlWords.isClosing] = 0;
    this.#pool = threadPool('worker', { workerData: null, queueMax: 1 });
    // A thread that dies before or after its one task has nobody else to tell; `served` tells of the rest.
    this.#pool.on('error', (error) => this.#events?.onDeath(error));
    this.#served = this.#pool.run({ setup, port: port2 }, { transferList: [port2] });
    this.opened = new Promise((resolve, reject) => {
      this.#served.catch(reject);
      port1.once('message', (answer: WorkerAnswer) => {
        if (answer.kind !== 'opened') return reject(new Error(`opening was answered with ${answer.kind}`));
        port1.on('message', (next: WorkerAnswer) => this.#events?.onAnswer(next));
        this.#served.catch((error) => this.#events?.onDeath(error));
        resolve(answer.version);
      });
    });
  }

  /** The frame holds a step: the worker is to carry it out. */
  send(rare: readonly RareSampling[] | null, fault: WorkerFault): void {
    const { control } = this.#frame;
    control[controlWords.hasRare] = rare === null ? 0 : 1;
    control[controlWords.fault] = faults.indexOf(fault);
    if (rare !== null)
      this.#port.postMessage({ step: control[controlWords.step]!, rows: rare } satisfies RareMessage);
    Atomics.store(control, controlWords.phase, phases.computing);
    ring(control, controlWords.stepCount);
  }

  /** Lets the worker release what it holds, then ends the thread. Not while a step is in flight. */
  async close(): Promise<void> {
    this.#events = null;
    this.#frame.control[controlWords.isClosing] = 1;
    ring(this.#frame.control, controlWords.stepCount);
    await this.#served.catch(nothing); // died just now: as good
    await this.discard();
  }

  /** Ends the thread as it is. May never resolve: in native code a thread ends when that returns. */
  async discard(): Promise<void> {
    this.#events = null;
    this.#port.close();
    await this.#pool.destroy();
  }

  /** For tests: ends the thread behind our back. */
  async terminate(): Promise<void> {
    await Promise.all(this.#pool.threads.map((thread) => thread.terminate()));
  }
}

function nothing(): void {}
