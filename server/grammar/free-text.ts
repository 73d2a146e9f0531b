// Free text as byte expressions: anything at all, or anything without a trigger, behind which a grammar takes over
// (structural tags). Before it: tools/call-grammar.ts; after it: byte-regex.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import { allCodePoints, oneOf } from './code-points.ts';

/** Any text. */
export function anyText(table: RegexTable): Regex {
  return table.repeat(oneOf(allCodePoints, { table, form: 'utf8' }), 0);
}

/** Any text that holds none of the triggers. */
export function textWithout(triggers: readonly string[], table: RegexTable): Regex {
  if (triggers.length === 0) return anyText(table);
  const found = table.or(triggers.map((trigger) => table.text(trigger)));
  return table.and([anyText(table), table.not(table.sequence(table.anything, found, table.anything))]);
}
