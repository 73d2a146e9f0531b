// Where the library of our own operators comes from: what was cut short or changed is never loaded.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { libraryIn, nativeLibraryPath } from '../../../../kernels/onnx/own-library.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const built = join(import.meta.dirname, '../../../../kernels/native', `${platform()}-${arch()}`);
const file = 'sparklane-kernels.so';
const isHere = nativeLibraryPath() !== null;

function copied(change: (path: string) => void): string {
  const directory = temporaryDirectory();
  const own = join(directory, `${platform()}-${arch()}`);
  mkdirSync(own);
  for (const name of readdirSync(built)) copyFileSync(join(built, name), join(own, name));
  change(join(own, file));
  return directory;
}

test.skipIf(!isHere)('a whole library is used wherever it lies', () => {
  const directory = copied(() => {});
  expect(libraryIn(directory)).toEqual({
    path: join(directory, `${platform()}-${arch()}`, file),
    problem: null,
    isBroken: false,
  });
});

// Loading the first would end this process by SIGBUS.
test.skipIf(!isHere).each([
  ['cut short', (path: string) => truncateSync(path, 60_000)],
  ['empty', (path: string) => truncateSync(path, 0)],
  ['something else', (path: string) => writeFileSync(path, 'not a library')],
])('one that is %s is not loaded, and said to be damaged', (_, change) => {
  const library = libraryIn(copied(change));
  expect(library).toMatchObject({ path: null, isBroken: true });
  expect(library.problem).toContain(`${file} is not the library that was built: install it anew`);
});

test.skipIf(!isHere)('one that the system does not load is said with its reason', () => {
  const directory = copied((path) => {
    writeFileSync(path, 'no library, although it was built so');
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
    writeFileSync(join(path, '../library.sha256'), digest);
  });
  const { path, problem, isBroken } = libraryIn(directory);
  expect([path, isBroken]).toEqual([null, true]);
  expect(problem).toMatch(/sparklane-kernels\.so cannot be loaded: ./);
});

test('where there is none, none is missing', () => {
  expect(libraryIn(temporaryDirectory())).toMatchObject({ path: null, isBroken: false });
});
