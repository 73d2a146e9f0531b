// What the load tester may do to the outside: print, write files, hear Ctrl-C, know the machine. Types only; main.ts
// makes one of the process, tests make one of memory.
import type { Clock } from '../../kernels/clock.ts';
import type { LiveScreen } from './report/live-view.ts';

export interface ReportFile {
  append(text: string): void;
  close(): void;
}

export interface LoadtestIo {
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly commandLine: string; // as it was typed
  readonly machine: string; // processor, cores, memory, load
  readonly nodeVersion: string;
  readonly apiKey: string | null; // from the environment
  /** Results. */
  write(text: string): void;
  /** Progress and complaints. */
  note(text: string): void;
  /** Creates the folder. Throws what the system says. */
  openFile(directory: string, name: string): ReportFile;
  /** Ctrl-C, or the system's request to end; call the result to stop listening. */
  onInterrupt(fn: () => void): () => void;
  /** Redrawn where somebody watches, lines where nobody does; null where there is no time to watch. */
  openLive(): LiveScreen | null;
  /** Lets everything that is waiting in this process run; virtual time is pumped between. */
  settle(): Promise<void>;
  setExitCode(code: number): void;
  /** Where the page lists reports, too; `path`: where it was written, if it was. */
  readonly keepReport?: (kind: string, html: string, path: string | null) => void;
}
