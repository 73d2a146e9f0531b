// A machine where the C API cannot be loaded: the backend says so and serves through the official binding. The
// missing library is staged in a process of its own, whose module loader refuses koffi.
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const run = promisify(execFile);
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

test.each([
  ['auto', 'binding'],
  ['c-api', 'unavailable'],
])('without koffi, runtime %s answers %s', async (runtime, expected) => {
  const here = import.meta.dirname;
  const { stdout } = await run(process.execPath, [
    '--require',
    join(here, 'without-koffi.cjs'),
    '--import',
    tsx,
    join(here, 'open-backend.ts'),
    directory,
    runtime,
  ]);
  const answer = JSON.parse(stdout) as { runtime: string; token: number; warnings: string[] };
  expect(answer.runtime).toBe(expected);
  if (expected === 'unavailable') return;
  expect(answer.token).toBeGreaterThanOrEqual(0);
  expect(answer.warnings).toEqual([expect.stringContaining('official binding')]);
});
