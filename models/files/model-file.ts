// Reads the JSON files of a model directory: bounded size, checked shape, one error that names file and field.
// Owns no meaning; checkpoint/checkpoint-config.ts, weights/weight-files.ts, tokenizer/tokenizer.ts, template/chat-template.ts and model.ts give it.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import type { z } from 'zod';
import { isLfsPointer, lfsProblem } from './lfs-pointer.ts';

const jsonSizeMax = 100_000_000; // bytes; the largest published tokenizer.json files have about 35 MB
const depthMax = 32; // lists and objects in one another; published files have 8. Whoever reads them calls itself

/** A model directory that cannot be used. The message names the file, and the field or tensor where there is one. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly file: string;
  readonly field: string | null; // dotted path within config files, or the tensor's name

  constructor(problem: string, where: { file: string; field?: string | null; cause?: unknown }) {
    const field = where.field ?? null;
    super(`${where.file}: ${field === null ? '' : `${field}: `}${problem}`, { cause: where.cause });
    this.file = where.file;
    this.field = field;
  }
}

/** The text of a file of at most 100 MB, or null when there is none. Throws CheckpointError. */
export function readTextFile(file: string): string | null {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a FIFO would be waited for
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new CheckpointError(`cannot be opened: ${messageOf(error)}`, { file, cause: error });
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new CheckpointError('is not a regular file', { file });
    const { size } = stats;
    if (size > jsonSizeMax) {
      throw new CheckpointError(`${size} bytes are more than ${jsonSizeMax}`, { file });
    }
    return readFileSync(fd, 'utf8');
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(`cannot be read: ${messageOf(error)}`, { file, cause: error });
  } finally {
    closeSync(fd);
  }
}

/** A JSON file that passes `schema`, or null when there is none. Throws CheckpointError with the first bad field. */
export function readOptionalJson<T extends z.ZodType>(file: string, schema: T): z.output<T> | null {
  const text = readTextFile(file);
  if (text === null) return null;
  if (isLfsPointer(Buffer.from(text.slice(0, 64)))) throw new CheckpointError(lfsProblem, { file });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(`is not valid JSON: ${messageOf(error)}`, { file, cause: error });
  }
  if (isDeeper(json, depthMax)) {
    throw new CheckpointError(`its lists and objects lie deeper than ${depthMax}`, { file });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CheckpointError(issue!.message, {
    file,
    field: issue!.path.join('.') || null,
    cause: parsed.error,
  });
}

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1));
}

/** As readOptionalJson; a missing file is an error too. */
export function readJson<T extends z.ZodType>(file: string, schema: T): z.output<T> {
  const value = readOptionalJson(file, schema);
  if (value === null) throw new CheckpointError('is missing', { file });
  return value;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
