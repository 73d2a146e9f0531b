// TextThread: a thread that tokenises and lays out conversations, so that a long one holds up nobody but its sender. Starts with
// the first of them (a second copy of the vocabulary costs tens of MB and up to a second) and again after it has died. They are
// taken in their order. Before it: long-texts.ts; after it: text-worker.ts.
import type { Worker } from 'node:worker_threads';
import type { ChatMessage, RenderOptions } from '../../models/template/chat-template.ts';
import { startThread } from '../../models/thread-entry.ts';
import type { EncodeMode } from '../../models/tokenizer/tokenizer.ts';
import type { Encoded, EncodeElsewhere, RenderedElsewhere } from './long-texts.ts';

export interface TextSetup {
  readonly model: string; // as loadModel takes it
}

export interface RenderTask {
  readonly kind: 'render';
  readonly messages: readonly ChatMessage[];
  readonly options: RenderOptions;
  readonly atMs: number; // epoch
}

type Task = RenderTask | { readonly kind: 'encode'; readonly text: string; readonly mode: EncodeMode };

export interface ToText {
  readonly number: number;
  readonly task: Task;
}

export type Rendered = Exclude<RenderedElsewhere, { readonly error: Error }>;

export type FromText =
  | { readonly number: number; readonly tokens: Int32Array }
  | { readonly number: number; readonly rendered: Rendered };

type Outcome = FromText | Error;

export class TextThread implements EncodeElsewhere {
  readonly #setup: TextSetup;
  readonly #epochMs: () => number;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>(); // bounded by open requests and sockets
  #worker: Worker | null = null;
  #number = 0;

  constructor(setup: TextSetup, epochMs: () => number) {
    this.#setup = setup;
    this.#epochMs = epochMs;
  }

  encode(text: string, mode: EncodeMode, done: (encoded: Encoded) => void): void {
    this.#send({ kind: 'encode', text, mode }, (outcome) => {
      if (outcome instanceof Error) done({ ok: false, error: outcome });
      else if ('tokens' in outcome) done({ ok: true, tokens: outcome.tokens });
    });
  }

  render(
    messages: readonly ChatMessage[],
    options: RenderOptions,
    done: (rendered: RenderedElsewhere) => void,
  ): void {
    this.#send({ kind: 'render', messages, options, atMs: this.#epochMs() }, (outcome) => {
      if (outcome instanceof Error) done({ ok: false, error: outcome });
      else if ('rendered' in outcome) done(outcome.rendered);
    });
  }

  /** Those who wait are told that it failed. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #send(task: Task, done: (outcome: Outcome) => void): void {
    this.#worker ??= this.#start();
    this.#worker.ref(); // somebody waits
    this.#waiting.set(++this.#number, done);
    this.#worker.postMessage({ number: this.#number, task } satisfies ToText);
  }

  #start(): Worker {
    const worker = startThread('./text-worker', {
      from: import.meta.url,
      name: 'text',
      workerData: this.#setup,
    });
    worker.on('message', (answer: FromText) => this.#settle(answer.number, answer));
    worker.on('error', (error: Error) => this.#lose(worker, error));
    worker.on('exit', () => this.#lose(worker, new Error('the thread that tokenises has ended')));
    worker.unref();
    return worker;
  }

  #settle(number: number, outcome: Outcome): void {
    const done = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (this.#waiting.size === 0) this.#worker?.unref();
    done?.(outcome);
  }

  #lose(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    for (const number of [...this.#waiting.keys()]) this.#settle(number, error);
  }
}
