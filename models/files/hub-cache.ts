// The layout in which Hugging Face's tools keep models on disk, read only: models--OWNER--NAME with blobs, refs and
// snapshots. Owns its names and which snapshot a revision means. Before it: a path or a name; after it: model.ts, and
// server/hub, which writes this layout.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve, sep } from 'node:path';

const PREFIX = 'models--';
export const MAIN = 'main'; // the revision that a name alone means

/** Folder of a model within a cache directory. */
export function hubFolder(cacheDirectory: string, id: string): string {
  return join(cacheDirectory, PREFIX + id.replaceAll('/', '--'));
}

/** OWNER/NAME of a folder's name, null if it is none of a model. */
export function hubIdOf(folderName: string): string | null {
  return folderName.startsWith(PREFIX) ? folderName.slice(PREFIX.length).replaceAll('--', '/') : null;
}

/** OWNER/NAME where `path` lies in the folder of a cached model or is one; else null. */
export function hubIdOfPath(path: string): string | null {
  const segments = resolve(path).split(sep);
  const at = segments.findLastIndex((segment) => hubIdOf(segment) !== null);
  const inside = at >= 0 && (at === segments.length - 1 || segments[at + 1] === 'snapshots');
  return inside ? hubIdOf(segments[at]!) : null;
}

/**
 * Directory of the snapshot that `revision` (a branch, tag or commit) means in a cached model's folder; null when
 * there is none. A commit may be shortened.
 */
export function snapshotOf(folder: string, revision: string): string | null {
  const commit = readRef(join(folder, 'refs', revision)) ?? revision;
  if (commit === '' || /[/\\]|^\.+$/.test(commit)) return null;
  const snapshots = join(folder, 'snapshots');
  const whole = join(snapshots, commit);
  if (isDirectory(whole)) return whole;
  if (!/^[0-9a-f]{7,}$/.test(commit)) return null;
  const longer = namesIn(snapshots).filter((name) => name.startsWith(commit));
  return longer.length === 1 ? join(snapshots, longer[0]!) : null;
}

/** Directories of all its snapshots, the one that changed last first. */
export function snapshotsOf(folder: string): readonly string[] {
  const all = namesIn(join(folder, 'snapshots')).map((name) => join(folder, 'snapshots', name));
  const changedMs = new Map(
    all.map((path) => [path, statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0]),
  );
  return all.sort((a, b) => changedMs.get(b)! - changedMs.get(a)!);
}

/** A cached model's folder → the snapshot of main in it, or the only one there is. Any other path stays as it is. */
export function insideHubFolder(path: string): string {
  if (hubIdOf(basename(resolve(path))) === null) return path;
  const found = snapshotOf(path, MAIN);
  if (found !== null) return found;
  const names = namesIn(join(path, 'snapshots'));
  return names.length === 1 ? join(path, 'snapshots', names[0]!) : path;
}

function readRef(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null; // no such branch or tag here: it may be a commit
  }
}

function namesIn(directory: string): readonly string[] {
  return isDirectory(directory) ? readdirSync(directory) : [];
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
