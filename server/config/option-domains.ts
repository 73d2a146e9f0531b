// What an option may be: types with bounds that take text (flags, environment) and JSON values (file), each with its
// bound in words for whoever is refused. Pure. Used by options.ts.
import { isIP } from 'node:net';
import { z } from 'zod';

export interface Domain<T> {
  readonly type: z.ZodType<T>;
  readonly bound: string;
  readonly repeatable?: boolean;
}

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

export function text(lengthMax: number): Domain<string> {
  return { type: z.string().min(1).max(lengthMax), bound: `text of 1 to ${lengthMax} characters` };
}

export function identifier(): Domain<string> {
  return { type: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/), bound: 'a name of a-z, 0-9 and -' };
}

/** As of a host or a pod, so that the name of either will do. */
export function nodeName(): Domain<string> {
  return {
    type: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    bound: 'a name of a-z, 0-9 and -, as of a host',
  };
}

/** An address or a network of either family. */
export function network(): Domain<string> {
  const isNetwork = (text: string) => {
    const [address, prefix, ...more] = text.split('/');
    const bits = isIP(address!) === 4 ? 32 : isIP(address!) === 6 ? 128 : -1;
    const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
    return bits > 0 && isPrefix && more.length === 0;
  };
  return { type: z.string().max(64).refine(isNetwork), bound: 'an address, or a network such as 10.0.0.0/8' };
}

export function redisUrl(): Domain<string> {
  return {
    type: z
      .string()
      .max(1024)
      .regex(/^rediss?:\/\/[^\s]+$/),
    bound: 'an address such as redis://127.0.0.1:6379, or rediss:// for TLS',
  };
}

/** Long enough not to be guessed, printable so that it survives a header, no comma because of the environment's list. */
export function key(): Domain<string> {
  return {
    type: z.string().regex(/^[!-+\--~]{8,256}$/),
    bound: 'a key of 8 to 256 printable characters, no comma',
  };
}

export function integer(min: number, max: number): Domain<number> {
  const fromText = (value: unknown) =>
    typeof value === 'string' && /^[+-]?\d{1,15}$/.test(value.trim()) ? Number(value) : value;
  return {
    type: z.preprocess(fromText, z.int().min(min).max(max)),
    bound: `an integer from ${min} to ${max}`,
  };
}

export function real(min: number, max: number): Domain<number> {
  const fromText = (value: unknown) =>
    typeof value === 'string' && /^\d{1,15}(\.\d{1,15})?$/.test(value.trim()) ? Number(value) : value;
  return {
    type: z.preprocess(fromText, z.number().min(min).max(max)),
    bound: `a number from ${min} to ${max}`,
  };
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds: a number, or text such as `90s`, `5m`. */
export function duration(min: number, max: number): Domain<number> {
  const fromText = (value: unknown) => {
    const match = typeof value === 'string' ? /^(\d{1,12})\s*(ms|s|m|h)$/.exec(value.trim()) : null;
    return match === null ? value : Number(match[1]) * UNITS_MS[match[2]!]!;
  };
  return {
    type: z.preprocess(fromText, z.int().min(min).max(max)),
    bound: `a time from ${min / 1000} s to ${max / 3_600_000} h (ms, s, m or h)`,
  };
}

/** Bytes: a number, or text such as `512MiB`. */
export function size(min: number, max: number): Domain<number> {
  const factors: Readonly<Record<string, number>> = { b: 1, kib: KIB, mib: MIB, gib: GIB };
  const fromText = (value: unknown) => {
    const match = typeof value === 'string' ? /^(\d{1,15})\s*(b|kib|mib|gib)?$/i.exec(value.trim()) : null;
    return match === null ? value : Number(match[1]) * factors[(match[2] ?? 'b').toLowerCase()]!;
  };
  return {
    type: z.preprocess(fromText, z.int().min(min).max(max)),
    bound: `a size from ${sizeText(min)} to ${sizeText(max)} (bytes, KiB, MiB or GiB)`,
  };
}

function sizeText(bytes: number): string {
  if (bytes % GIB === 0) return `${bytes / GIB}GiB`;
  if (bytes % MIB === 0) return `${bytes / MIB}MiB`;
  return bytes % KIB === 0 ? `${bytes / KIB}KiB` : `${bytes}B`;
}

export function among<const T extends readonly string[]>(values: T): Domain<T[number]> {
  return { type: z.enum(values), bound: `one of ${values.join(', ')}` };
}

/** `word` (or null in a file) leaves the decision to the start-up. */
export function orNull<T>(word: string, domain: Domain<T>): Domain<T | null> {
  return {
    type: z.preprocess((value) => (value === word ? null : value), domain.type.nullable()),
    bound: `${domain.bound}, or "${word}"`,
  };
}

export function list<T>(item: Domain<T>, countMax: number): Domain<readonly T[]> {
  const fromText = (value: unknown) =>
    typeof value === 'string'
      ? value
          .split(',')
          .map((part) => part.trim())
          .filter((part) => part !== '')
      : value;
  return {
    type: z.preprocess(fromText, z.array(item.type).max(countMax)),
    bound: `at most ${countMax} of: ${item.bound}`,
    repeatable: true,
  };
}
