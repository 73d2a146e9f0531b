// Hostile model files: servers are started with each, in a process of little memory.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import type { Family, Fault } from './fault.ts';
import { brokenModel, MODEL_CASES } from './model-cases.ts';
import type { Attempt } from './start-attempts.ts';

const HEAP_MIB = 256; // of the process that starts them
const MEMORY_SIZE_MAX = 512 * 2 ** 20; // bytes, all of it: the program itself takes some 140 MiB

const DOES: Readonly<Record<string, string>> = {
  places: 'no files, empty ones, FIFOs, devices, directories, terabytes of zeros in their places',
  safetensors: 'heads and data that are cut, overlap, lie, promise terabytes; weights of NaN and infinity',
  config: 'config.json with layers, widths and heads that are absurd, negative, halves, words',
  tokenizer: 'tokenizers and templates with absurd ids, steps of nobody, nesting without end',
  gguf: 'GGUF heads that are cut, lie, promise 2^60 of everything; absurd metadata',
};

export const models: Family = {
  name: 'Hostile model files',
  faults: [
    ...Object.keys(MODEL_CASES).map(
      (family): Fault => ({
        id: `models/${family}`,
        does: `${Object.keys(MODEL_CASES[family]!).length} starts: ${DOES[family]}`,
        promise: `refused in one line that names the file; never more than ${MEMORY_SIZE_MAX / 2 ** 20} MiB`,
        pace: 'slow',
        inject: () => refusals(MODEL_CASES[family]!),
      }),
    ),
  ],
};

async function refusals(cases: (typeof MODEL_CASES)[string]): Promise<number> {
  const names = Object.keys(cases);
  const attempts = await inDirectory(async (directory) => {
    const paths = names.map((name, index) => brokenModel(join(directory, `${index}`), cases[name]!));
    const script = join(import.meta.dirname, 'start-attempts.ts');
    const args = [`--max-old-space-size=${HEAP_MIB}`, '--import', 'tsx', script, join(directory, 'cache')];
    const { stdout } = await promisify(execFile)(execPath, [...args, ...paths]);
    return stdout.trimEnd().split('\n');
  });
  expect(attempts.length).toBe(names.length);
  for (const [index, line] of attempts.entries()) {
    const attempt = JSON.parse(line) as Attempt;
    expect(attempt, names[index]).toMatchObject({ code: 1, served: false });
    expect(attempt.notes, names[index]).toMatch(/^sparklane: (?!\w*Error)[^\n]{10,500}\n$/);
    expect(attempt.memorySizeMax, names[index]).toBeLessThan(MEMORY_SIZE_MAX);
  }
  return names.length;
}

async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-test-'));
  try {
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
