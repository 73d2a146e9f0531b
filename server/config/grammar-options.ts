// How large the forms of answers may be (schemas, grammars, patterns, tools): the options that bound them. Data only.
// Before it: server/grammar/bounds.ts, their defaults; after it: options.ts.
import { grammarBounds } from '../grammar/bounds.ts';
import { option } from './option.ts';
import { GIB, integer, KIB, MIB, size } from './option-domains.ts';

export const GRAMMAR_OPTIONS = {
  schemaPropertiesMax: option(
    'schema-properties',
    integer(1, 100_000),
    grammarBounds.schemaPropertiesMax,
  ).says('properties in one JSON schema, of a format or a tool'),
  schemaValuesMax: option('schema-values', integer(16, 10_000_000), grammarBounds.schemaValuesMax).says(
    'objects, lists and scalars in one JSON schema',
  ),
  schemaSizeMax: option('schema-size', integer(64, 64 * MIB), grammarBounds.schemaSizeMax).says(
    'characters of the keys and texts of one JSON schema, or of the texts of one choice',
  ),
  grammarSizeMax: option('grammar-size', integer(64, 64 * MIB), grammarBounds.grammarSizeMax).says(
    'characters of one Lark or GBNF grammar',
  ),
  patternSizeMax: option('pattern-size', integer(1, 1 * MIB), grammarBounds.patternSizeMax).says(
    'characters of one regular expression',
  ),
  grammarTextsMax: option('grammar-texts', integer(1, 1_000_000), grammarBounds.grammarTextsMax).says(
    'texts in one enum or choice',
  ),
  grammarNodesMax: option('grammar-nodes', integer(16, 10_000_000), grammarBounds.grammarNodesMax).says(
    'nodes of one compiled grammar',
  ),
  grammarStatesMax: option('grammar-states', integer(16, 1_000_000), grammarBounds.grammarStatesMax).says(
    'states of one expression of which all have to be visited',
  ),
  grammarPortionsMax: option(
    'grammar-portions',
    integer(16, 1_000_000),
    grammarBounds.grammarPortionsMax,
  ).says('portions of 1 to 2 ms that compiling one grammar may take'),
  objectKeysMax: option('object-keys', integer(1, 1_000_000), grammarBounds.objectKeysMax).says(
    'keys in the open objects of one answer that are remembered, so that none is written twice',
  ),
  grammarsMax: option('grammars', integer(1, 65_536), grammarBounds.grammarsMax).says(
    'compiled grammars kept',
  ),
  maskStepsMax: option('mask-steps', integer(1_000, 100_000_000), grammarBounds.maskStepsMax).says(
    'steps over the vocabulary that one mask of allowed tokens may take, beside its first walk',
  ),
  maskCacheSizeMax: option('mask-cache-size', size(64 * KIB, 64 * GIB), grammarBounds.maskCacheSizeMax).says(
    'memory for masks of allowed tokens, of expressions and as much again of states',
  ),
  grammarStatesKeptMax: option(
    'grammar-states-kept',
    integer(64, 10_000_000),
    grammarBounds.grammarStatesKeptMax,
  ).says('states that all grammars together remember, about 1 KB each'),
} as const;
