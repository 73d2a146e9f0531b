// Files of keys: one a line, blank lines and comments between them. Owns the reading; says what is wrong by line, never
// by content. Before it: config.ts; after it: http/guard.ts.
import type { Domain } from './option-domains.ts';

export type KeyLines =
  | { readonly ok: true; readonly keys: readonly string[] }
  | { readonly ok: false; readonly bound: string };

/** Keys of a file's text, at least one and at most `countMax`. */
export function keysOf(text: string, key: Domain<string>, countMax: number): KeyLines {
  const keys: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const value = line.replace(/(^|\s)#.*$/, '').trim(); // a key may have a # in it
    if (value === '') continue;
    if (!key.type.safeParse(value).success) {
      return { ok: false, bound: `a file with a key on each line; line ${index + 1} is not ${key.bound}` };
    }
    keys.push(value);
  }
  if (keys.length > 0 && keys.length <= countMax) return { ok: true, keys };
  return { ok: false, bound: `a file with 1 to ${countMax} keys; it has ${keys.length}` };
}
