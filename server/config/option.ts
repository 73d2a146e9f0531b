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

/** `says`: its help. */
export function option<T>(flag: string, domain: Domain<T>, fallback: NoInfer<T>, env?: string) {
  const { type, bound, repeatable = false } = domain;
  return {
    says: (help: string): Option<T> => ({
      ...{ flag, type, bound, repeatable, default: fallback, help },
      env: env ?? `SPARKLANE_${flag.toUpperCase().replaceAll('-', '_')}`,
    }),
  };
}
