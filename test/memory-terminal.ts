// A terminal of memory: lines that are typed, text that was written, signals that a test sends.
import type { Terminal } from '../server/cli/terminal.ts';

export class MemoryTerminal implements Terminal {
  readonly screen: NodeJS.WritableStream | null;
  /** Standard output and standard error so far. */
  written = '';
  notes = '';
  readonly prompts: string[] = [];
  readonly #lines: string[] = [];
  #ended = false;
  #wake: (() => void) | null = null;
  readonly #interrupts = new Set<() => void>();
  readonly #terminations = new Set<() => void>();
  /** Called after every write to standard output. */
  onWrite: ((text: string) => void) | null = null;

  constructor({ screen = null }: { readonly screen?: NodeJS.WritableStream | null } = {}) {
    this.screen = screen;
  }

  readonly write = (text: string): void => {
    this.written += text;
    this.onWrite?.(text);
  };

  readonly note = (text: string): void => {
    this.notes += text;
  };

  type(...lines: string[]): void {
    this.#lines.push(...lines);
    this.#wake?.();
  }

  endInput(): void {
    this.#ended = true;
    this.#wake?.();
  }

  interrupt(): void {
    for (const fn of [...this.#interrupts]) fn();
  }

  terminate(): void {
    for (const fn of [...this.#terminations]) fn();
  }

  get listenerCount(): number {
    return this.#interrupts.size + this.#terminations.size;
  }

  async readLine(prompt: string): Promise<string | null> {
    this.prompts.push(prompt);
    while (this.#lines.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift() ?? null;
  }

  async readAll(): Promise<string> {
    return this.#lines.splice(0).join('\n');
  }

  onInterrupt(fn: () => void): () => void {
    this.#interrupts.add(fn);
    return () => this.#interrupts.delete(fn);
  }

  onTerminate(fn: () => void): () => void {
    this.#terminations.add(fn);
    return () => this.#terminations.delete(fn);
  }
}
