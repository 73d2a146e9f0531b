// How large forms of answers may be, each an option of the server. The refusal names the option. Numbers only.
// Before it: config/grammar-options.ts, whose defaults these are; after it: compiler.ts and all that it asks.

export interface GrammarBounds {
  readonly schemaPropertiesMax: number; // in one schema
  readonly schemaValuesMax: number; // objects, arrays and scalars in one schema
  readonly schemaSizeMax: number; // characters of all keys and texts of one schema, or of a choice
  readonly grammarSizeMax: number; // characters of one Lark or GBNF grammar
  readonly patternSizeMax: number; // UTF-16 units of one regular expression
  readonly grammarTextsMax: number; // in one enum or choice
  readonly grammarNodesMax: number; // of one grammar
  readonly grammarStatesMax: number; // of one expression whose states are all looked at beforehand
  readonly grammarPortionsMax: number; // of the work on one grammar
  readonly objectKeysMax: number; // remembered of the objects of one answer, so that none is written twice
  readonly grammarsMax: number; // kept, least recently used goes first
  readonly maskStepsMax: number; // over the vocabulary for one mask, beside its first walk
  readonly maskCacheSizeMax: number; // bytes of masks kept for automata, and as many again for states
  readonly grammarStatesKeptMax: number; // of all grammars, about 1 KB each
}

export const grammarBounds: GrammarBounds = {
  schemaPropertiesMax: 5_000,
  schemaValuesMax: 50_000,
  schemaSizeMax: 500_000,
  grammarSizeMax: 100_000,
  patternSizeMax: 2_048,
  grammarTextsMax: 10_000,
  grammarNodesMax: 100_000,
  grammarStatesMax: 20_000,
  grammarPortionsMax: 6_000,
  objectKeysMax: 4_096,
  grammarsMax: 64,
  maskStepsMax: 400_000,
  maskCacheSizeMax: 64 * 2 ** 20,
  grammarStatesKeptMax: 100_000,
};
