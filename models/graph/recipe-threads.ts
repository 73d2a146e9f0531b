// Recipes made by several threads and told in order: reading, widening and rounding weights is what a conversion takes its time
// for, and no tensor's bytes depend on another's. Owns the order, the threads and how much is under way at a time.
// Before it: build.ts; after it: recipe-thread.ts, and graph-files.ts writes what comes.
import type { Worker } from 'node:worker_threads';
import type { AdapterChoice } from '../checkpoint/lora.ts';
import type { ModelSpec } from '../spec.ts';
import { startThread } from '../thread-entry.ts';
import type { DecoderFormat } from './decoder.ts';
import { recipeSize, type TensorRecipe } from './graph-writer.ts';
import type { ActivationRanges } from './smoothing.ts';

const MIB = 2 ** 20;

/** What a thread needs to have the builder's recipes, in the builder's order. Plain data. */
export interface RecipeTask {
  readonly path: string; // of the checkpoint
  readonly adapters: readonly AdapterChoice[];
  readonly spec: ModelSpec; // as it was given to the builder, its heads not padded
  readonly format: DecoderFormat;
  readonly ranges: ActivationRanges | null; // null: nothing is smoothed
}

export interface MadeRecipe {
  readonly index: number;
  readonly contents: readonly Uint8Array[];
}

// Whoever makes a tensor holds it in float beside its result, at 4 bits eight times as large.
const floatShare = 8;
const heldSizeMax = 2048 * MIB; // bytes of tensors that are made or wait for their turn; one may be larger

/** The bytes of each recipe, in order, made here. */
export async function* madeHere(recipes: readonly TensorRecipe[]): AsyncGenerator<readonly Uint8Array[]> {
  for (const { produce } of recipes) yield produce();
}

/**
 * The same bytes from `threadCount` threads. What a thread cannot make is made here, where it throws as it would have
 * without threads.
 */
export async function* madeByThreads(
  recipes: readonly TensorRecipe[],
  task: RecipeTask,
  threadCount: number,
): AsyncGenerator<readonly Uint8Array[]> {
  const sizes = recipes.map(recipeSize);
  const threads = Array.from({ length: threadCount }, () => new RecipeThread(task));
  const made = new Map<number, Promise<readonly Uint8Array[] | null>>(); // and not told yet
  let next = 0; // recipe that no thread has
  let held = 0; // bytes
  const fill = () => {
    for (const thread of threads) {
      if (!thread.isFree || next >= recipes.length) continue;
      const size = sizes[next]! * floatShare;
      if (made.size > 0 && held + size > heldSizeMax) return;
      const making = thread.make(next);
      made.set(next, making);
      void making.then(fill);
      held += size;
      next += 1;
    }
  };
  try {
    for (const [index, { produce }] of recipes.entries()) {
      fill();
      const contents = (await made.get(index)) ?? produce();
      if (made.delete(index)) held -= sizes[index]! * floatShare;
      next = Math.max(next, index + 1);
      yield contents;
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
  }
}

/** One thread, which makes one recipe at a time. */
class RecipeThread {
  readonly #worker: Worker;
  #settle: ((contents: readonly Uint8Array[] | null) => void) | null = null;
  #isDead = false;

  constructor(task: RecipeTask) {
    this.#worker = startThread('./recipe-thread', {
      from: import.meta.url,
      name: 'recipes',
      workerData: task,
    });
    this.#worker.on('message', ({ contents }: MadeRecipe) => this.#end(contents));
    this.#worker.on('error', () => this.#die());
    this.#worker.on('exit', () => this.#die());
  }

  get isFree(): boolean {
    return this.#settle === null && !this.#isDead;
  }

  /** Null: it could not. */
  make(index: number): Promise<readonly Uint8Array[] | null> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#worker.postMessage(index);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #end(contents: readonly Uint8Array[] | null): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(contents);
  }

  #die(): void {
    this.#isDead = true;
    this.#end(null);
  }
}
