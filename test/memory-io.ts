// The load tester's outside, in memory: what it printed and wrote, and a Ctrl-C on demand.
import { WallClock } from '../kernels/clock.ts';
import type { LoadtestIo } from '../loadtest/measure/io.ts';

export class MemoryIo implements LoadtestIo {
  readonly clock = new WallClock();
  readonly commandLine = 'sparklane loadtest (test)';
  readonly machine = 'a test';
  readonly nodeVersion = process.versions.node;
  readonly apiKey = null;
  readonly files = new Map<string, string>();
  readonly #interrupts = new Set<() => void>();
  written = '';
  notes = '';
  exitCode = 0;

  epochMs(): number {
    return Date.now();
  }

  write(text: string): void {
    this.written += text;
  }

  note(text: string): void {
    this.notes += text;
  }

  openFile(directory: string, name: string) {
    const path = `${directory}/${name}`;
    this.files.set(path, '');
    return {
      append: (text: string) => void this.files.set(path, this.files.get(path)! + text),
      close: () => {},
    };
  }

  onInterrupt(fn: () => void): () => void {
    this.#interrupts.add(fn);
    return () => void this.#interrupts.delete(fn);
  }

  /** Ctrl-C. */
  interrupt(): void {
    for (const fn of [...this.#interrupts]) fn();
  }

  openLive(): null {
    return null;
  }

  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  setExitCode(code: number): void {
    this.exitCode = code;
  }
}
