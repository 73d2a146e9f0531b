// One option of the server: its names, its type with bounds, its default and its help. Used by options.ts.
import type { z } from 'zod';
import type { Domain } from './option-domains.ts';

/** One option. Its key in OPTIONS is its name in the JSON file and in Config. */
export interface Option<T> {
  readonly flag: string; // without '--'
  readonly env: string;
  readonly type: z.ZodType<T>; // takes text (flags, environment) and JSON values (file)
  readonly bound: string; // what the type accepts, for people
  readonly default: T; // null may stand for "decided at start", see help
  readonly repeatable: boolean; // a list: flag several times, environment separated by commas
  readonly help: string;
}

export function option<T>(
  flag: string,
  domain: Domain<T>,
  fallback: NoInfer<T>,
  help: string,
  env?: string,
): Option<T> {
  return {
    flag,
    env: env ?? `SPARKLANE_${flag.toUpperCase().replaceAll('-', '_')}`,
    type: domain.type,
    bound: domain.bound,
    default: fallback,
    repeatable: domain.repeatable ?? false,
    help,
  };
}
