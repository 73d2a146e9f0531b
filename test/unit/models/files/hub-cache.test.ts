import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hubFolder, hubIdOfPath, insideHubFolder, snapshotOf } from '../../../../models/files/hub-cache.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
const COMMIT = '0fc07cee799a0428c35aec1f3864560113e26c8c';
const OTHER = '0fd17cee799a0428c35aec1f3864560113e26c8c';

function folderWith(id: string, commits: readonly string[], refs: Readonly<Record<string, string>>): string {
  const folder = hubFolder(directory, id);
  for (const commit of commits) mkdirSync(join(folder, 'snapshots', commit), { recursive: true });
  for (const [name, commit] of Object.entries(refs)) {
    mkdirSync(join(folder, 'refs', name, '..'), { recursive: true });
    writeFileSync(join(folder, 'refs', name), commit);
  }
  return folder;
}

test('a folder means the snapshot of main, or the only one there is', () => {
  const both = folderWith('acme/both', [COMMIT, OTHER], { main: OTHER });
  expect(insideHubFolder(both)).toBe(join(both, 'snapshots', OTHER));
  const single = folderWith('acme/single', [COMMIT], {});
  expect(insideHubFolder(single)).toBe(join(single, 'snapshots', COMMIT));
  const unclear = folderWith('acme/unclear', [COMMIT, OTHER], {});
  expect(insideHubFolder(unclear)).toBe(unclear);
  expect(insideHubFolder('/some/where')).toBe('/some/where');
});

test('a revision is a branch, a tag, or a commit that may be short while it means one', () => {
  const folder = folderWith('acme/m', [COMMIT, OTHER], {
    main: COMMIT,
    'refs/pr/3': OTHER,
    gone: 'f'.repeat(40),
  });
  const found = (revision: string) => snapshotOf(folder, revision)?.slice(-COMMIT.length) ?? null;
  expect(found('main')).toBe(COMMIT);
  expect(found('refs/pr/3')).toBe(OTHER);
  expect(found(OTHER)).toBe(OTHER);
  expect(found(OTHER.slice(0, 8))).toBe(OTHER);
  expect(['0f', 'gone', 'none', '..', ''].map(found)).toEqual([null, null, null, null, null]);
});

test('a model is named by its folder, wherever in it the path leads', () => {
  const folder = hubFolder(directory, 'acme/m.1');
  expect(hubIdOfPath(folder)).toBe('acme/m.1');
  expect(hubIdOfPath(join(folder, 'snapshots', COMMIT))).toBe('acme/m.1');
  expect(hubIdOfPath(join(folder, 'snapshots', COMMIT, 'sub', 'm.gguf'))).toBe('acme/m.1');
  expect(hubIdOfPath(join(folder, 'blobs', 'x'))).toBeNull();
  expect(hubIdOfPath(join(directory, 'm'))).toBeNull();
});
