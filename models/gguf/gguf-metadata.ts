// Typed access to a GGUF file's metadata: absent, present or wrong, and then with the key's name. Owns no meaning.
// Before it: gguf-file.ts; after it: gguf-spec.ts, gguf-tokenizer.ts and model.ts.
import { CheckpointError } from '../files/model-file.ts';
import type { GgufFile } from './gguf-file.ts';
import type { GgufValue } from './gguf-header.ts';

export class GgufMetadata {
  readonly #file: Pick<GgufFile, 'path' | 'metadata'>;

  constructor(file: Pick<GgufFile, 'path' | 'metadata'>) {
    this.#file = file;
  }

  refuse(key: string, problem: string): CheckpointError {
    return new CheckpointError(problem, { file: this.#file.path, field: key });
  }

  get path(): string {
    return this.#file.path;
  }

  /** An integer from 0 on. */
  count(key: string): number | null {
    return this.#read(key, 'an integer from 0 on', (value) =>
      Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null,
    );
  }

  number(key: string): number | null {
    return this.#read(key, 'a finite number', (value) => (Number.isFinite(value) ? (value as number) : null));
  }

  text(key: string): string | null {
    return this.#read(key, 'a string', (value) => (typeof value === 'string' ? value : null));
  }

  flag(key: string): boolean | null {
    return this.#read(key, 'true or false', (value) => (typeof value === 'boolean' ? value : null));
  }

  strings(key: string): readonly string[] | null {
    return this.#read(key, 'an array of strings', (value) =>
      typeof value === 'object' ? value.strings() : null,
    );
  }

  numbers(key: string): readonly number[] | null {
    return this.#read(key, 'an array of numbers', (value) =>
      typeof value === 'object' ? value.numbers() : null,
    );
  }

  /** A number, or a flag for each of a list. */
  pattern(key: string): number | readonly boolean[] | null {
    return this.#read<number | readonly boolean[]>(key, 'an integer or an array of flags', (value) => {
      if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
      return typeof value === 'object' ? (value.numbers()?.map((flag) => flag !== 0) ?? null) : null;
    });
  }

  /** What `get` answers, as it must be there. */
  need<T>(key: string, value: T | null): T {
    if (value === null) throw this.refuse(key, 'is missing');
    return value;
  }

  #read<T>(key: string, wanted: string, parse: (value: GgufValue) => T | null): T | null {
    const value = this.#file.metadata.get(key);
    if (value === undefined) return null;
    const parsed = parse(value);
    if (parsed !== null) return parsed;
    const found = typeof value === 'object' ? 'an array' : JSON.stringify(String(value)).slice(0, 80);
    throw this.refuse(key, `expected ${wanted}, found ${found}`);
  }
}
