// The program for tests that start it as a process: compiled once in a run of the tests, by whoever asks first, because a process
// that runs from source spends two seconds of its core on reading it. Transformed file by file into a folder beside `dist`, which
// it is laid out like (run-folders.ts).
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import { runFolder } from './run-folders.ts';

const root = resolve(import.meta.dirname, '..');
const rooms = ['models', 'kernels', 'server', 'loadtest'];
const others = ['sparklane.ts', 'test/e2e/pull-child.ts'];

/** What Node is to run instead of `source`, named as from the root, such as `sparklane.ts`: an absolute path. */
export function programFile(source: string): string {
  const folder = runFolder('program');
  if (!existsSync(folder)) compile(folder);
  return join(folder, source.replace(/\.ts$/, '.js'));
}

// Two files of tests may do so at once: the first to finish wins.
function compile(folder: string): void {
  const scratch = mkdtempSync(`${folder}-part-`);
  const sources = rooms.flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
      .map((name) => join(root, room, name))
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts')),
  );
  const { outputFiles } = buildSync({
    ...{
      entryPoints: [...sources, ...others.map((name) => join(root, name))],
      outbase: root,
      outdir: scratch,
    },
    ...{ format: 'esm', target: 'node20', platform: 'node', write: false, logLevel: 'error' },
  });
  for (const { path, text } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text.replaceAll(/(\bfrom |\bimport\(?)"(\.{1,2}\/[^"]+)\.ts"/g, '$1"$2.js"'));
  }
  try {
    renameSync(scratch, folder);
  } catch {
    rmSync(scratch, { recursive: true });
  }
}
