// TextThread: a thread that tokenises, so that a long text holds up nobody but its sender. Starts with the first text
// (a second copy of the vocabulary costs tens of MB and up to a second) and again after it has died. Texts are taken in
// their order. Before it: long-texts.ts; after it: text-worker.ts.
import type { Worker } from 'node:worker_threads';
import type { EncodeMode } from '../../models/tokenizer.ts';
import { startThread } from '../base/thread-entry.ts';
import type { Encoded, EncodeElsewhere } from './long-texts.ts';

export interface TextSetup {
  readonly model: string; // as loadModel takes it
}

export interface ToText {
  readonly number: number;
  readonly text: string;
  readonly mode: EncodeMode;
}

export interface FromText {
  readonly number: number;
  readonly tokens: Int32Array;
}

export class TextThread implements EncodeElsewhere {
  readonly #setup: TextSetup;
  readonly #waiting = new Map<number, (encoded: Encoded) => void>(); // bounded by open requests and sockets
  #worker: Worker | null = null;
  #number = 0;

  constructor(setup: TextSetup) {
    this.#setup = setup;
  }

  encode(text: string, mode: EncodeMode, done: (encoded: Encoded) => void): void {
    this.#worker ??= this.#start();
    this.#worker.ref(); // somebody waits
    this.#waiting.set(++this.#number, done);
    this.#worker.postMessage({ number: this.#number, text, mode } satisfies ToText);
  }

  /** Those who wait are told that it failed. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = startThread('./text-worker', {
      from: import.meta.url,
      name: 'text',
      workerData: this.#setup,
    });
    worker.on('message', ({ number, tokens }: FromText) => this.#settle(number, { ok: true, tokens }));
    worker.on('error', (error: Error) => this.#lose(worker, error));
    worker.on('exit', () => this.#lose(worker, new Error('the thread that tokenises has ended')));
    worker.unref();
    return worker;
  }

  #settle(number: number, encoded: Encoded): void {
    const done = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (this.#waiting.size === 0) this.#worker?.unref();
    done?.(encoded);
  }

  #lose(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    for (const number of [...this.#waiting.keys()]) this.#settle(number, { ok: false, error });
  }
}
