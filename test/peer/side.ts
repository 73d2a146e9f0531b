// One engine of the contest in a process of its own, so that neither owns the other's threads or memory. This is the
// referee's end and the messages; the players are sparklane-side.ts, llama-side.ts and native-side.ts, each a small
// program that calls play(). After it: contest.ts.
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';

export interface Opening {
  readonly modelPath: string; // a model directory, or a GGUF file
  readonly precision: string; // sparklane's own
  readonly threads: number;
  readonly contextTokens: number; // longest sequence that will be asked for
  readonly cacheDirectory: string;
  readonly flags?: Readonly<Record<string, string>>; // more options of sparklane's
}

export interface EditTask {
  readonly prompt: readonly number[];
  readonly answer: readonly number[]; // the reference
  readonly forced: boolean; // whatever is drawn, the answer's token is taken
  readonly drafts: boolean; // prompt lookup
  readonly prediction: readonly number[] | null; // what the answer will resemble; for sides that take one
}

export type Task =
  | { readonly kind: 'encode'; readonly text: string }
  | { readonly kind: 'greedy'; readonly prompt: readonly number[]; readonly count: number }
  /** `count` tokens one by one after a prompt of `context` tokens that stays computed between calls. */
  | { readonly kind: 'decode'; readonly context: number; readonly count: number }
  /** A prompt that was never seen, to its first token. */
  | { readonly kind: 'prefill'; readonly count: number; readonly seed: number }
  /** So many answers at once, each of `count` tokens after `context` of its own. */
  | {
      readonly kind: 'streams';
      readonly streams: number;
      readonly context: number;
      readonly count: number;
    }
  | ({ readonly kind: 'edit' } & EditTask);

export interface Leg {
  readonly firstMs: number; // asked → first token
  readonly restMs: number; // first token → last token
  readonly restTokens: number; // drawn in that time; tokens may be told several at once
  readonly tokens: readonly number[]; // drawn, or of the text
  readonly accepted: number; // drafts that were right, where the side says so
  readonly rejected: number;
  readonly processorMs?: number; // that the side's own process took for it
}

export interface Player {
  readonly about: string; // version and what it computes with
  play(task: Task): Promise<Leg>;
}

export type SideName = 'sparklane' | 'llama' | 'native';

export class Side {
  readonly name: SideName;
  readonly about: string;
  readonly #child: ChildProcess;

  private constructor(name: SideName, child: ChildProcess, about: string) {
    this.name = name;
    this.#child = child;
    this.about = about;
  }

  /** Rejects with what the player says when it cannot open. */
  static async open(name: SideName, opening: Opening): Promise<Side> {
    const child = fork(join(import.meta.dirname, `${name}-side.ts`), {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const about = (await exchange(child, opening)) as string;
    return new Side(name, child, about);
  }

  async play(task: Task): Promise<Leg> {
    return (await exchange(this.#child, task)) as Leg;
  }

  close(): void {
    this.#child.kill();
  }
}

function exchange(child: ChildProcess, message: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`the player left with ${code}`));
    child.once('exit', onExit);
    child.once('message', (answer: { value?: unknown; error?: string }) => {
      child.off('exit', onExit);
      if (answer.error === undefined) resolve(answer.value);
      else reject(new Error(answer.error));
    });
    child.send(message);
  });
}

/** The player's end: opens once, then answers one task at a time until it is killed. */
export function answerTasks(open: (opening: Opening) => Promise<Player>): void {
  let player: Player | null = null;
  process.on('disconnect', () => process.exit());
  process.on('message', (message: Opening | Task) => {
    const work = async () => {
      if (player !== null) return player.play(message as Task);
      player = await open(message as Opening);
      return player.about;
    };
    work().then(
      (value) => process.send!({ value }),
      (error: Error) => process.send!({ error: error.stack ?? error.message }),
    );
  });
}

const plainIds = 8000; // ids below are ordinary tokens in every vocabulary used here

/** Tokens that mean nothing, the same for every side. */
export function noiseTokens(seed: number, count: number): number[] {
  let state = seed >>> 0;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; // Numerical Recipes' generator
    return Math.floor((state / 2 ** 32) * plainIds);
  });
}
