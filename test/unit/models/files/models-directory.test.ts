import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { modelsIn } from '../../../../models/files/models-directory.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();

function put(path: string): void {
  mkdirSync(join(directory, path, '..'), { recursive: true });
  writeFileSync(join(directory, path), '');
}

test('models are found by what lies there, under the names that the hub gives them', () => {
  for (const path of [
    ...['plain/config.json', 'acme/coder/config.json', 'acme/one-q8_0.gguf', 'acme/two-q4_0.gguf'],
    ...[
      'split-00001-of-00002.gguf',
      'split-00002-of-00002.gguf',
      'mmproj-x.gguf',
      'notes.txt',
      '.hidden/config.json',
    ],
    ...['single/model.gguf', 'single/mmproj-a.gguf', 'empty/readme.md'],
  ])
    put(path);
  expect(modelsIn(directory).map(({ name }) => name)).toEqual([
    ...['acme/coder', 'acme/one-q8_0', 'acme/two-q4_0', 'plain', 'single', 'split'],
  ]);
});

test('a directory that is not there is refused', () => {
  expect(() => modelsIn(join(directory, 'none'))).toThrow(/none: cannot be read/);
});
