// Grammars that are mostly free text: anything at all, or anything until a trigger, after which rules take over
// (structural tags). Before it: call-grammar.ts; after it: rules.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import { allCodePoints, oneOf } from './code-points.ts';
import { choice, type Expression, repeat, sequence, terminal } from './rules.ts';

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

export interface Tag {
  readonly trigger: string; // as soon as the text holds it, `rest` is binding
  readonly rest: Expression;
}

/** Free text with tags in it, at most `tagsMax`; once so many are closed only text without triggers may follow. */
export function taggedText(
  tags: readonly Tag[],
  { table, tagsMax }: { table: RegexTable; tagsMax: number },
): Expression {
  const free = terminal(
    textWithout(
      tags.map(({ trigger }) => trigger),
      table,
    ),
  );
  const tag = choice(...tags.map(({ trigger, rest }) => sequence(terminal(table.text(trigger)), rest)));
  return sequence(free, repeat(sequence(tag, free), 0, tagsMax));
}
