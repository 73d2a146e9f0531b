// Two folders that one run of the tests shares, made known before its first test and removed after its last (vitest.config.ts):
// what servers convert, and the compiled program. Workers and their children find them in the environment (by names that no
// option of the server has).
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { env, pid } from 'node:process';

const root = resolve(import.meta.dirname, '..');
const variables = { graphs: 'TESTS_GRAPHS', program: 'TESTS_PROGRAM' } as const;
// The program lies beside `dist`, which it is laid out like.
const folders = {
  graphs: join(tmpdir(), `sparklane-graphs-${pid}`),
  program: join(root, `.test-program-${pid}`),
};

/** The runner's; once, also where it has several projects. */
export default function setup(): () => void {
  if (env[variables.graphs] !== undefined) return () => {};
  for (const name of ['graphs', 'program'] as const) env[variables[name]] = folders[name];
  return () => {
    for (const name of ['graphs', 'program'] as const) {
      delete env[variables[name]];
      rmSync(folders[name], { recursive: true, force: true });
    }
  };
}

export function runFolder(name: keyof typeof variables): string {
  const folder = env[variables[name]];
  if (folder === undefined) throw new Error(`${variables[name]} is not set: run this by vitest`);
  return folder;
}

/**
 * A cache directory for servers whose test is not about conversion: whoever is first converts a model, the others find it.
 * Entries are named after their content, so nobody gets what another model or precision has left.
 */
export function builtGraphs(): string {
  return runFolder('graphs');
}
