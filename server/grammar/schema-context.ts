// What the writers of a JSON schema's grammar share. Types only. Used by json-schema.ts, schema-scalars.ts and
// schema-containers.ts.
import type { GrammarBounds } from './bounds.ts';
import type { RegexTable } from './byte-regex.ts';
import type { JsonTerminals } from './json-terminals.ts';
import type { Pace } from './pace.ts';
import type { Expression } from './rules.ts';

export interface SchemaContext {
  readonly table: RegexTable;
  readonly pace: Pace;
  readonly bounds: GrammarBounds;
  readonly terminals: JsonTerminals;
  readonly rules: Map<string, Expression>; // rules for `$ref`s and for free values are added here
}
