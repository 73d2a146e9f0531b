// Where recorded tasks come from: a server's file, also while it serves, or an exported one. Owns what is said when
// neither can be read.
import { existsSync } from 'node:fs';
import { jsonFile } from '../../server/base/json-text.ts';
import { readDatabase } from '../../server/outcomes/database.ts';
import { OutcomesError } from '../../server/outcomes/outcomes-error.ts';
import type { TaskRecord } from '../../server/outcomes/task-record.ts';
import { TaskStore } from '../../server/outcomes/task-store.ts';
import { exportSchema, recordsOf } from '../../server/outcomes/wire.ts';

export interface SourceOptions {
  readonly importPath: string | null; // goes before the record
  readonly databasePath: string;
  readonly sinceMs: number; // tasks with something at or after it
}

export interface TaskSource {
  readonly name: string; // file that was read
  readonly records: readonly TaskRecord[];
}

const UNBOUNDED = { ageMsMax: Number.POSITIVE_INFINITY, rowsMax: Number.POSITIVE_INFINITY }; // nothing is written

/** Throws OutcomesError: which file, what is wrong with it. */
export function readSource({ importPath, databasePath, sinceMs }: SourceOptions): TaskSource {
  if (importPath !== null) {
    const records = imported(importPath).filter(({ task }) => task.updatedMs >= sinceMs);
    return { name: importPath, records };
  }
  if (!existsSync(databasePath)) {
    const how = 'serve with --outcomes-db cache to begin one, or read an exported file with --import';
    throw new OutcomesError(`${databasePath}: no task is recorded there; ${how}`);
  }
  const database = readDatabase(databasePath);
  try {
    return { name: databasePath, records: [...new TaskStore(database, UNBOUNDED).readAll(sinceMs)] };
  } finally {
    database.close();
  }
}

function imported(path: string): TaskRecord[] {
  const value = jsonFile(path, (reason) => new OutcomesError(`${path}: ${reason}`));
  const parsed = exportSchema.safeParse(value);
  if (parsed.success) return recordsOf(parsed.data);
  const issue = parsed.error.issues[0]!;
  throw new OutcomesError(`${path}: ${issue.path.join('.') || 'the file'}: ${issue.message}`);
}
