// What a command may do to the outside: write, read lines, hear signals, know the time. Types only; main.ts makes one
// of the process, tests make one of memory. Used by every file of this folder.
import type { Clock } from '../../kernels/clock.ts';
import type { Assets } from '../ui/assets.ts';

export interface Terminal {
  /** Standard error where a person watches it, for what is drawn and redrawn; else null. */
  readonly screen: NodeJS.WritableStream | null;
  /** Standard output: what was asked for. */
  write(text: string): void;
  /** Standard error: everything else. */
  note(text: string): void;
  /** The next line of standard input, without its end; null after the last. `prompt` is shown to people. */
  readLine(prompt: string): Promise<string | null>;
  /** All of standard input. */
  readAll(): Promise<string>;
  /** Ctrl-C. Call the result to stop listening; while nobody listens, Ctrl-C ends the program. */
  onInterrupt(fn: () => void): () => void;
  /** SIGTERM, likewise. */
  onTerminate(fn: () => void): () => void;
}

/** What commands get besides their flags. */
export interface Host {
  readonly terminal: Terminal;
  readonly env: Record<string, string | undefined>; // of this process; libraries read it too
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  /** Bytes that this process may use; without it no model is too large. */
  readonly memorySize?: number;
  /** Of this machine: others may round otherwise. */
  readonly processorName?: string;
  /** The page's files; without them as they were compiled beside this program. */
  readonly pageAssets?: Assets;
  /** Runs this program once more, with other arguments; rejects with what it said. Without it nobody can. */
  readonly runSelf?: (args: readonly string[]) => Promise<void>;
  /** This process among others, where it matters who is alive; without it only silence tells. */
  readonly self?: { readonly pid: number; readonly isAlive: (pid: number) => boolean };
}

/** A mistake of the person at the terminal: printed without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
