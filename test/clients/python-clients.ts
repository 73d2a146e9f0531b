// A Python with the real clients of PyPI in it: one process that runs the cases of python/ as it is asked. Owns where it is
// looked for: PYTHON_CLIENTS names one, else what `make clients` has made. Judges nothing.
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const made = join(import.meta.dirname, 'node_modules', '.python', 'bin', 'python');
const python = process.env['PYTHON_CLIENTS'] ?? made;

/** Why they cannot run here; null: they can. */
export const pythonMissing = whyMissing('anthropic, ollama, openai');
export const frameworksMissing =
  pythonMissing ?? whyMissing('langchain_anthropic, langchain_ollama, langchain_openai, litellm, llm');

function whyMissing(modules: string): string | null {
  if (process.env['PYTHON_CLIENTS'] === undefined && !existsSync(made))
    return 'no Python with the packages of requirements.txt: make clients makes one, or PYTHON_CLIENTS names one';
  const { status, stderr, error } = spawnSync(python, ['-c', `import ${modules}`], {
    encoding: 'utf8',
  });
  if (status === 0) return null;
  return `${python}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class PythonClients {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: Waiting[] = []; // in the order in which they asked
  #errors = '';
  /** Once the packages are read, which takes seconds of processor time. */
  readonly ready: Promise<unknown>;

  /** `modules`: of python/, read at the start. */
  constructor(modules: readonly string[] = ['openai_cases', 'anthropic_cases', 'ollama_cases']) {
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], NO_PROXY: '127.0.0.1' };
    const driver = join(import.meta.dirname, 'python', 'driver.py');
    this.#child = spawn(python, [driver, ...modules], { env });
    this.ready = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const { value, fault } = JSON.parse(line) as { readonly value: unknown; readonly fault?: string };
      const waiting = this.#waiting.shift()!;
      if (fault === undefined) waiting.resolve(value);
      else waiting.reject(new Error(fault));
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    this.#child.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`Python ended: ${this.#errors}`));
    });
  }

  /** What `module.function` of python/ returned; rejects with its traceback. */
  // biome-ignore lint/suspicious/noExplicitAny: what a case returns is said where it is, in Python
  run(name: string, keywords: Readonly<Record<string, unknown>>): Promise<any> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ case: name, ...keywords })}\n`);
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#child.on('close', () => resolve());
      this.#child.stdin.end();
    });
  }
}
