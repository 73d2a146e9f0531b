// llama.cpp's own benchmark program as one side, where it is on the PATH. Each leg is a run of it, so it reports its
// own time: the start of the process is not counted.
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { env } from 'node:process';
import { promisify } from 'node:util';
import type { Leg, Opening, Task } from './side.ts';

/** Absolute path of a program, or null. */
export function findProgram(name: string, path: string = env['PATH'] ?? ''): string | null {
  for (const folder of path.split(delimiter)) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // not here
    }
  }
  return null;
}

export class LlamaBenchSide {
  readonly about: string;
  readonly #program: string;
  readonly #opening: Opening;

  constructor(program: string, opening: Opening) {
    this.#program = program;
    this.#opening = opening;
    this.about = `llama-bench at ${program}, ${opening.threads} threads`;
  }

  async play(task: Task): Promise<Leg> {
    const { modelPath, threads } = this.#opening;
    const asked = benchArguments(task);
    const given = ['-m', modelPath, '-t', String(threads), '-ngl', '0', '-r', '1', '-o', 'json', ...asked];
    const { stdout } = await promisify(execFile)(this.#program, given);
    return readBench(task, stdout);
  }

  close(): void {}
}

function benchArguments(task: Task): string[] {
  if (task.kind === 'decode') return ['-p', '0', '-n', String(task.count - 1), '-d', String(task.context)];
  if (task.kind === 'prefill') return ['-p', String(task.count), '-n', '0'];
  throw new Error(`${task.kind} is not measured here`);
}

/** Its JSON is a list with one entry; `avg_ns` is the time of all tokens of a repetition. */
export function readBench(task: Task, json: string): Leg {
  const [entry] = JSON.parse(json) as { avg_ns?: number }[];
  if (typeof entry?.avg_ns !== 'number') throw new Error(`llama-bench answered ${json.slice(0, 200)}`);
  const ms = entry.avg_ns / 1e6;
  const isPrefill = task.kind === 'prefill';
  return {
    firstMs: isPrefill ? ms : 0,
    restMs: isPrefill ? 0 : ms,
    restTokens: task.kind === 'decode' ? task.count - 1 : 0,
    tokens: [],
    accepted: 0,
    rejected: 0,
  };
}
