// A directory for the tests of one file, removed when they have run.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** Call at the top of a test file; the directory exists from then on. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-test-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
