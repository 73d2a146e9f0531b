// Opens the file of tasks: SQLite (libsql), write-ahead log, migrations by number. Owns the schema and what becomes of a
// file that is no database: it is put aside and a new one begun, because a broken record must not keep a server from
// serving. Before it: store-worker.ts or a report; after it: task-store.ts.
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import Libsql from 'libsql';
import { OutcomesError } from './outcomes-error.ts';

export type Database = InstanceType<typeof Libsql>;

export interface OpenedDatabase {
  readonly database: Database;
  readonly putAside: string | null; // where a broken file is now
}

/** Appended to, never changed: a file tells by `user_version` how many it has had. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE tasks (
     id TEXT NOT NULL, owner TEXT NOT NULL, source TEXT NOT NULL, task_class TEXT, lane TEXT, title TEXT,
     created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
     row_count INTEGER NOT NULL, -- itself, its events, its requests
     PRIMARY KEY (owner, id)) STRICT;
   CREATE INDEX tasks_by_age ON tasks (updated_ms);
   CREATE INDEX tasks_by_owner ON tasks (owner, created_ms, id);
   CREATE TABLE events (
     owner TEXT NOT NULL, task TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, at_ms INTEGER NOT NULL,
     duration_ms REAL, phase TEXT, source TEXT NOT NULL, lane TEXT, tool TEXT, exit_code INTEGER, ok INTEGER, cost REAL,
     note TEXT,
     PRIMARY KEY (owner, task, id),
     FOREIGN KEY (owner, task) REFERENCES tasks (owner, id) ON DELETE CASCADE) STRICT;
   CREATE TABLE requests (
     owner TEXT NOT NULL, task TEXT NOT NULL, id TEXT NOT NULL, session TEXT, at_ms INTEGER NOT NULL,
     asked TEXT NOT NULL, lane TEXT NOT NULL, decided TEXT NOT NULL, task_class TEXT NOT NULL, rule TEXT NOT NULL,
     policy TEXT NOT NULL, phase TEXT NOT NULL, background INTEGER NOT NULL, waited_ms REAL NOT NULL,
     signals TEXT NOT NULL, -- JSON of numbers and flags
     duration_ms REAL, prompt_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER, cost REAL, failed INTEGER,
     PRIMARY KEY (owner, task, id),
     FOREIGN KEY (owner, task) REFERENCES tasks (owner, id) ON DELETE CASCADE) STRICT;`,
];

const BUSY_TIMEOUT_MS = 2000; // a report reads while the server writes
const BROKEN = new Set(['SQLITE_NOTADB', 'SQLITE_CORRUPT']);

/** Creates folder and file where they are missing. Throws OutcomesError: not writable, or of a newer version. */
export function openDatabase(path: string, epochMs: number): OpenedDatabase {
  try {
    mkdirSync(dirname(path), { recursive: true });
    return { database: opened(path), putAside: null };
  } catch (error) {
    if (!isBroken(error)) throw asOutcomesError(path, error);
  }
  const putAside = `${path}.broken-${epochMs}`;
  try {
    for (const suffix of ['', '-wal', '-shm']) {
      if (existsSync(path + suffix)) renameSync(path + suffix, putAside + suffix);
    }
    return { database: opened(path), putAside };
  } catch (error) {
    throw asOutcomesError(path, error);
  }
}

/** For reports: an existing file, nothing of which is changed. Throws OutcomesError. */
export function readDatabase(path: string): Database {
  if (!existsSync(path)) throw new OutcomesError(`${path}: there is no record of tasks`);
  let database: Database | null = null;
  try {
    database = new Libsql(path);
    database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA query_only = ON`);
    const version = versionOf(database);
    if (version === MIGRATIONS.length) return database;
    const whose = version < MIGRATIONS.length ? 'an older' : 'a newer';
    throw new OutcomesError(
      `of ${whose} version (${version} instead of ${MIGRATIONS.length}); a server brings older ones up to date`,
    );
  } catch (error) {
    database?.close();
    throw asOutcomesError(path, error);
  }
}

/** All of it in one file again; libsql itself waits for its statements to be forgotten. */
export function closeDatabase(database: Database): void {
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  database.close();
}

function opened(path: string): Database {
  const database = new Libsql(path);
  try {
    // NORMAL: a power cut may lose the latest batch, never the file.
    database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    database.pragma('journal_mode = WAL');
    database.exec(
      'PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 4194304',
    );
    migrate(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function migrate(database: Database): void {
  const version = versionOf(database);
  if (version > MIGRATIONS.length) {
    throw new OutcomesError(`of a newer version (${version}; this program knows ${MIGRATIONS.length})`);
  }
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec('BEGIN IMMEDIATE');
    try {
      database.exec(`${sql}; PRAGMA user_version = ${index + 1}`);
      database.exec('COMMIT');
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  }
}

function versionOf(database: Database): number {
  const [row] = database.prepare('PRAGMA user_version').all() as { user_version: number }[];
  return row!.user_version;
}

function isBroken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && BROKEN.has(String(error.code));
}

function asOutcomesError(path: string, error: unknown): OutcomesError {
  const reason = error instanceof Error ? error.message : String(error);
  return new OutcomesError(`${path}: ${reason}`, { cause: error });
}
