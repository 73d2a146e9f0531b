// Reads trace files: plain or gzip, JSON lines or CSV, with the line number of whatever is wrong. Owns the checks of
// single values; what the fields mean is trace-*.ts. Bounded by TRACE_SIZE_MAX: a trace is read once, whole.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parsedJson } from '../../server/base/json-text.ts';
import { FlagError, TraceError } from '../base/flag-error.ts';
import type { Workload } from './turn.ts';

const TRACE_SIZE_MAX = 512 * 1024 * 1024; // bytes, unpacked

export interface TraceFile {
  readonly name: string; // without folders
  readonly sha256: string; // of the bytes on disk
  readonly lines: readonly string[]; // without line ends; trailing empty lines are gone
}

/** Throws FlagError if the file cannot be read, TraceError if it is not text. */
export function readTrace(path: string): TraceFile {
  const name = basename(path);
  const bytes = readBytes(path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  let text: string;
  try {
    const raw = isGzip ? gunzipSync(bytes, { maxOutputLength: TRACE_SIZE_MAX }) : bytes;
    text = new TextDecoder('utf-8', { fatal: true }).decode(raw);
  } catch (error) {
    throw new TraceError(name, 1, `not UTF-8 text, plain or gzip (${(error as Error).message})`);
  }
  const lines = text.split(/\r?\n/);
  while (lines.length > 0 && lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw new TraceError(name, 1, 'the file is empty');
  return { name, sha256, lines };
}

/** Where a workload's numbers come from. */
export function sourceOf({ name, sha256 }: TraceFile): Workload['source'] {
  return { kind: 'trace', name, sha256 };
}

/** A Parquet file's bytes; null: it is none. Throws FlagError if it cannot be read. */
export function parquetBytes(path: string): { buffer: ArrayBuffer; source: Workload['source'] } | null {
  const bytes = readBytes(path);
  if (bytes.subarray(0, 4).toString('latin1') !== 'PAR1') return null;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const buffer = new Uint8Array(bytes).buffer;
  return { buffer, source: { kind: 'trace', name: basename(path), sha256 } };
}

function readBytes(path: string): Buffer {
  try {
    if (statSync(path).size > TRACE_SIZE_MAX) throw new Error(`larger than ${TRACE_SIZE_MAX} bytes`);
    return readFileSync(path);
  } catch (error) {
    throw new FlagError('trace', path, `a readable file (${(error as Error).message})`);
  }
}

/** The cells of one CSV line, RFC 4180, without line ends inside. */
export function csvCells(line: string): string[] {
  if (!line.includes('"')) return line.split(',');
  return Array.from(line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g), ([, quoted, plain]) =>
    quoted === undefined ? plain! : quoted.replaceAll('""', '"'),
  );
}

/** One object per line. */
export function* jsonLines(file: TraceFile): Generator<{ readonly row: Row; readonly line: number }> {
  for (const [at, text] of file.lines.entries()) {
    const line = at + 1;
    const value = parsedJson(text, (reason) => new TraceError(file.name, line, `not JSON (${reason})`));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new TraceError(file.name, line, 'expected a JSON object');
    }
    yield { row: new Row(file.name, line, value as Record<string, unknown>, ''), line };
  }
}

/** Named fields of one line, checked as they are taken. */
export class Row {
  readonly #file: string;
  readonly #line: number;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #where: string; // "requests[3]." or ''

  constructor(file: string, line: number, fields: Readonly<Record<string, unknown>>, where: string) {
    this.#file = file;
    this.#line = line;
    this.#fields = fields;
    this.#where = where;
  }

  fail(field: string, reason: string): never {
    throw new TraceError(this.#file, this.#line, `${this.#where}${field}: ${reason}`);
  }

  has(field: string): boolean {
    return this.#fields[field] !== undefined && this.#fields[field] !== null;
  }

  number(field: string, min: number, max: number): number {
    const value = this.#fields[field];
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      this.fail(field, `expected a number from ${min} to ${max}, found ${show(value)}`);
    }
    return value;
  }

  integer(field: string, min: number, max: number): number {
    const value = this.number(field, min, max);
    if (!Number.isInteger(value)) this.fail(field, `expected a whole number, found ${show(value)}`);
    return value;
  }

  text(field: string): string {
    const value = this.#fields[field];
    if (typeof value !== 'string') this.fail(field, `expected text, found ${show(value)}`);
    return value;
  }

  integers(field: string, min: number, max: number): readonly number[] {
    const value = this.#fields[field];
    if (!Array.isArray(value)) this.fail(field, `expected a list, found ${show(value)}`);
    for (const [at, entry] of value.entries()) {
      if (!Number.isInteger(entry) || entry < min || entry > max) {
        this.fail(`${field}[${at}]`, `expected a whole number from ${min} to ${max}, found ${show(entry)}`);
      }
    }
    return value as number[];
  }

  /** Numbers and texts, as texts. */
  names(field: string): readonly string[] {
    const value = this.#fields[field];
    if (!Array.isArray(value)) this.fail(field, `expected a list, found ${show(value)}`);
    for (const [at, entry] of value.entries()) {
      if (typeof entry === 'string' || (typeof entry === 'number' && Number.isInteger(entry) && entry >= 0))
        continue;
      this.fail(`${field}[${at}]`, `expected a whole number or a name, found ${show(entry)}`);
    }
    return value.map(String);
  }

  texts(field: string): readonly string[] {
    const value = this.#fields[field];
    if (!Array.isArray(value) || value.some((entry) => typeof entry !== 'string')) {
      this.fail(field, `expected a list of texts, found ${show(value)}`);
    }
    return value as string[];
  }

  rows(field: string): readonly Row[] {
    const value = this.#fields[field];
    if (!Array.isArray(value)) this.fail(field, `expected a list, found ${show(value)}`);
    return value.map((entry: unknown, at) => {
      if (typeof entry !== 'object' || entry === null) this.fail(`${field}[${at}]`, 'expected an object');
      const fields = entry as Record<string, unknown>;
      return new Row(this.#file, this.#line, fields, `${this.#where}${field}[${at}].`);
    });
  }
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 40);
}
