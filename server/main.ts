// The server as a program: the only file of it that touches the process, its streams, signals, time of day and console.
// Owns the terminal it makes of them; everything else is in cli/program.ts, which runs the command. What starts it
// (sparklane.ts, beside this folder) brings the commands of those that use the server.
import { execFile } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { createInterface, type Interface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { descriptorCountMax } from './cli/descriptors.ts';
import type { Mount } from './cli/program.ts';
import type { Terminal } from './cli/terminal.ts';

const LOADING_COUNT = 256; // open files with which it certainly loads

/** Runs the command of this process. `loadMounts` is only asked where the command is none of the server's own. */
export async function runProcess(loadMounts: () => Promise<readonly Mount[]>): Promise<void> {
  const allowed = descriptorCountMax() ?? Number.POSITIVE_INFINITY; // asked while there is still one to ask with
  const terminal = processTerminal();
  try {
    // Loaded here so that a shell that allows too few open files is told so: loading is what needs most of them.
    const { WallClock } = await import('../kernels/clock.ts');
    const { runProgram } = await import('./cli/program.ts');
    const self = { pid: process.pid, isAlive };
    const memorySize = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
    const host = {
      terminal,
      env: process.env,
      clock: new WallClock(),
      epochMs: Date.now,
      self,
      memorySize,
      processorName: `${process.arch} ${cpus()[0]?.model ?? ''}`,
      runSelf,
    };
    process.exitCode = await runProgram(process.argv.slice(2), host, loadMounts);
  } catch (error) {
    // Node says EMFILE, or that it cannot find what it cannot open.
    if ((error as NodeJS.ErrnoException).code !== 'EMFILE' && allowed > LOADING_COUNT) throw error;
    terminal.note(
      `sparklane: ${allowed} open files are too few to load the program; allow more (ulimit -n 1024)\n`,
    );
    process.exitCode = 1;
  } finally {
    terminal.close();
  }
}

function processTerminal(): Terminal & { close(): void } {
  const { stdin, stdout, stderr } = process;
  for (const stream of [stdout, stderr]) stream.on('error', unlessReaderLeft);
  let lines: LineReader | null = null;
  return {
    screen: stderr.isTTY ? stderr : null,
    write: (piece) => void stdout.write(piece),
    note: (piece) => void stderr.write(piece),
    readLine: (prompt) => {
      lines ??= new LineReader();
      return lines.next(prompt);
    },
    readAll: () => text(stdin),
    onInterrupt: (fn) => on('SIGINT', fn),
    onTerminate: (fn) => on('SIGTERM', fn),
    close: () => lines?.close(),
  };
}

/** Whoever read may have seen enough (`| head`), and a server goes on without who keeps its log. */
function unlessReaderLeft(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

function on(signal: 'SIGINT' | 'SIGTERM', fn: () => void): () => void {
  process.on(signal, fn);
  return () => {
    process.off(signal, fn);
  };
}

/** Lines that are typed while nobody reads wait here. */
class LineReader {
  readonly #interface: Interface;
  readonly #lines: string[] = [];
  #ended = false;
  #wake: (() => void) | null = null;

  constructor() {
    const { stdin, stderr } = process;
    const watched = stdin.isTTY && stderr.isTTY; // else nobody needs a prompt
    this.#interface = createInterface({
      input: stdin,
      terminal: watched,
      ...(watched && { output: stderr }),
    });
    this.#interface.on('line', (line) => {
      this.#lines.push(line);
      this.#wake?.();
    });
    this.#interface.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
    // A terminal in raw mode gives Ctrl-C to readline instead of to the process.
    this.#interface.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  }

  async next(prompt: string): Promise<string | null> {
    if (this.#lines.length === 0 && !this.#ended) {
      this.#interface.setPrompt(prompt);
      this.#interface.prompt();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    return this.#lines.shift() ?? null;
  }

  close(): void {
    this.#interface.close();
  }
}

/** Signal 0 only asks. One of another user is alive too. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}

const RUN_MS = 180_000; // for what a page asks for: one comparison

/** In a process of its own, so that what it takes is nobody else's time. */
function runSelf(args: readonly string[]): Promise<void> {
  const command = [...process.execArgv, process.argv[1]!, ...args];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, command, { timeout: RUN_MS }, (error, _, complaint) => {
      if (error === null) resolve();
      else reject(new Error(complaint.trim().split('\n').at(-1) || error.message));
    });
  });
}

// Started itself, as before sparklane.ts was there: scripts that do so get the server's commands.
if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runProcess(async () => []);
}
