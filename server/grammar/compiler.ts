// Compiles what a request asks of its answer's form into grammars, shares equal ones between requests, and hands out a
// constraint per sequence. Works in portions between which other work goes on; results do not depend on them.
// Before it: the API routes, through chat/form.ts; after it: constraint.ts, used by the engine.
import { createHash } from 'node:crypto';
import type { Clock } from '../../kernels/clock.ts';
import type { TokenConstraint } from '../engine/request.ts';
import { Automaton } from './automaton.ts';
import { BannedTexts } from './banned-texts.ts';
import { type GrammarBounds, grammarBounds } from './bounds.ts';
import { type Regex, RegexTable } from './byte-regex.ts';
import { GrammarConstraint } from './constraint.ts';
import { GrammarError } from './grammar-error.ts';
import { anyJson, compileSchema } from './json-schema.ts';
import { type JsonTerminals, jsonTerminals, oneOfTexts } from './json-terminals.ts';
import { QuotedTokens } from './key-memory.ts';
import { compileGbnf, compileLark } from './lark.ts';
import { Pace, type Portioned } from './pace.ts';
import { compilePattern, prepareClasses } from './pattern.ts';
import { Pushdown, type StatePool } from './pushdown.ts';
import { type Expression, lowerGrammar, terminal } from './rules.ts';
import type { SchemaContext } from './schema-context.ts';
import type { IgnoredKeyword } from './schema-reader.ts';
import { TokenMasks } from './token-masks.ts';
import type { TokenBytes } from './token-trie.ts';

/** The form of a whole answer. Plain data: equal content is compiled once. */
export type GrammarSource =
  | { readonly kind: 'json-schema'; readonly schema: unknown; readonly strict: boolean }
  | { readonly kind: 'json-object' }
  | { readonly kind: 'lark' | 'gbnf'; readonly definition: string }
  | { readonly kind: 'regex'; readonly pattern: string } // matches the whole answer
  | { readonly kind: 'choice'; readonly texts: readonly string[] };

/** A form that someone else writes as rules, e.g. tool calls. `key` stands for its content. */
export interface CustomGrammar {
  readonly kind: 'custom';
  readonly key: string;
  write(parts: SchemaContext): Portioned<WrittenForm>;
}

/** What a source says; the rules it needs are in the context's. */
export interface WrittenForm {
  readonly start: Expression;
  readonly ignored: readonly IgnoredKeyword[];
}

export interface CompiledGrammar {
  readonly ignored: readonly IgnoredKeyword[]; // schema keywords that are not enforced; never any if strict
  newConstraint(): TokenConstraint;
}

export interface CompilerParts {
  readonly tokenizer: TokenBytes;
  readonly vocabSize: number; // of the model: its logits
  readonly stopTokenIds: readonly number[]; // allowed exactly where the text may end
  readonly clock: Clock;
}

const largeMin = 50_000; // expressions of a grammar that is large: some 100 bytes each
const largeMax = 4; // such that are made at the same time: hostile ones grow to 200 MB
const primedMax = 1_024; // automata per grammar whose first mask is made at once: as many as one state may begin with
const primingVisits = 30; // trie nodes that count for a step

interface KeptGrammar extends CompiledGrammar {
  readonly pushdown: Pushdown;
}

export class GrammarCompiler {
  readonly #parts: CompilerParts;
  readonly #bounds: GrammarBounds;
  readonly #waiting: (() => void)[] = []; // grammars that are being made, the next one first; bounded by open requests
  readonly #largeWaiting: (() => void)[] = []; // large ones before which others have to be through
  #largeCount = 0;
  readonly #table = new RegexTable(); // of JSON's own words
  readonly #terminals: JsonTerminals;
  readonly #shared = new Map<Regex, Automaton>(); // JSON's own words, for all grammars
  readonly #grammars = new Map<string, Promise<KeptGrammar>>(); // least recently used first
  readonly #pool: StatePool;
  #masks: TokenMasks | null = null;
  #quoted: QuotedTokens | null = null;
  #nextAutomatonId = 0;

  constructor(parts: CompilerParts, bounds: GrammarBounds = grammarBounds) {
    this.#parts = parts;
    this.#bounds = bounds;
    this.#pool = { count: 0, max: bounds.grammarStatesKeptMax };
    this.#terminals = jsonTerminals(this.#table);
    for (const regex of Object.values(this.#terminals))
      this.#shared.set(regex, new Automaton(this.#nextAutomatonId++, regex, this.#table));
  }

  /** Rejects with GrammarError. Equal sources share one compiled grammar, also while it is being made. */
  async compile(source: GrammarSource | CustomGrammar): Promise<CompiledGrammar> {
    const key = source.kind === 'custom' ? source.key : keyOf(source);
    const known = this.#grammars.get(key);
    if (known !== undefined) {
      this.#grammars.delete(key);
      this.#grammars.set(key, known);
      return known;
    }
    const made = this.#make(source);
    this.#grammars.set(key, made);
    // A refused source is looked at again when it comes again: it costs little and keeps no place.
    made.catch(() => this.#grammars.delete(key));
    for (const [oldest, grammar] of this.#grammars) {
      if (this.#grammars.size <= this.#bounds.grammarsMax) break;
      this.#grammars.delete(oldest);
      grammar.then(
        ({ pushdown }) => pushdown.detach(),
        () => undefined,
      );
    }
    return made;
  }

  /** Texts that an answer may not hold, whatever its form. */
  banned(texts: readonly string[]): BannedTexts {
    const { tokenizer, vocabSize } = this.#parts;
    return new BannedTexts(texts, { trie: this.#tokenMasks().trie, tokenizer, vocabSize });
  }

  /** Builds the token trie (0.3 s for 152k tokens) and the masks of JSON strings, so that no request has to. */
  warmUp(): void {
    const masks = this.#tokenMasks();
    this.#quotedTokens();
    const automaton = this.#shared.get(this.#terminals.string)!;
    const inside = automaton.step(automaton.start, 0x22)!;
    masks.prepare(automaton, automaton.start);
    masks.prepare(automaton, inside);
    masks.prepare(automaton, automaton.step(inside, 0x5c)!);
  }

  async #make(source: GrammarSource | CustomGrammar): Promise<KeptGrammar> {
    const table = new RegexTable(this.#table);
    const work = this.#work(source, table);
    const { grammarPortionsMax: most } = this.#bounds;
    let isLarge = false;
    try {
      for (let portions = 1; ; portions++) {
        const turn = nextPortion(work);
        if (turn.done) return turn.value;
        if (portions >= most) {
          const message = `takes more than ${most} portions of work (--grammar-portions)`;
          throw new GrammarError('too-large', message, { path: '#' });
        }
        if (!isLarge && table.made > largeMin) {
          isLarge = true;
          if (++this.#largeCount > largeMax)
            await new Promise<void>((resolve) => this.#largeWaiting.push(resolve));
        }
        await this.#giveWay();
      }
    } finally {
      if (isLarge) {
        this.#largeCount--;
        this.#largeWaiting.shift()?.();
      }
    }
  }

  *#work(source: GrammarSource | CustomGrammar, table: RegexTable): Portioned<KeptGrammar> {
    const bounds = this.#bounds;
    const rules = new Map<string, Expression>();
    const pace = new Pace(table);
    const parts: SchemaContext = { table, pace, bounds, terminals: this.#terminals, rules };
    const written = source.kind === 'custom' ? source.write(parts) : writeSource(source, parts);
    const { start, ignored } = yield* written;
    rules.set('start', start);
    const own: Automaton[] = [];
    const openAutomaton = (regex: Regex) => this.#openAutomaton(regex, { table, pace, own });
    const graph = yield* lowerGrammar({ rules, start: 'start' }, { pace, bounds, openAutomaton });
    const pushdown = new Pushdown(graph, this.#pool);
    if (pushdown.tooWide) {
      const message = 'too many ways to begin: rules of rules that may all be empty';
      throw new GrammarError('too-large', message, { path: 'start' });
    }
    yield;
    const { tokenizer } = this.#parts;
    const masks = this.#tokenMasks();
    // The first masks cost the most; better now, in portions, than between two tokens.
    for (const automaton of own.slice(0, primedMax)) {
      const visits = masks.prepare(automaton, automaton.start);
      if (pace.due(Math.ceil(visits / primingVisits))) yield;
    }
    const { objectKeysMax } = bounds;
    const constrained = { pushdown, masks, tokenizer, quoted: this.#quotedTokens(), objectKeysMax };
    return { ignored, pushdown, newConstraint: () => new GrammarConstraint(constrained) };
  }

  *#openAutomaton(
    regex: Regex,
    { table, pace, own }: { table: RegexTable; pace: Pace; own: Automaton[] },
  ): Portioned<Automaton> {
    const shared = this.#shared.get(regex);
    if (shared !== undefined) return shared;
    const automaton = yield* Automaton.open(this.#nextAutomatonId++, regex, { table, pace });
    own.push(automaton);
    return automaton;
  }

  /** One portion between two other things, however many grammars are being made: they take turns. */
  #giveWay(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#nextTurn();
    });
  }

  #nextTurn(): void {
    this.#parts.clock.defer(() => {
      this.#waiting.shift()!();
      if (this.#waiting.length > 0) this.#nextTurn();
    });
  }

  #quotedTokens(): QuotedTokens {
    const { tokenizer, vocabSize } = this.#parts;
    this.#quoted ??= new QuotedTokens(tokenizer, vocabSize);
    return this.#quoted;
  }

  #tokenMasks(): TokenMasks {
    this.#masks ??= new TokenMasks(this.#parts.tokenizer, this.#parts, {
      stepsMax: this.#bounds.maskStepsMax,
      innerBytesMax: this.#bounds.maskCacheSizeMax,
      stateBytesMax: this.#bounds.maskCacheSizeMax,
    });
    return this.#masks;
  }
}

/** What no bound on depth has caught is refused like what one has. */
function nextPortion<T>(work: Portioned<T>): IteratorResult<void, T> {
  try {
    return work.next();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new GrammarError('too-large', 'nested too deep', { path: '#' });
  }
}

/** Adds what a source needs to the rules. For grammars that hold others. Throws GrammarError. */
export function* writeSource(source: GrammarSource, parts: SchemaContext): Portioned<WrittenForm> {
  const { table, rules, pace, bounds } = parts;
  switch (source.kind) {
    case 'json-schema': {
      const { value, ignored } = yield* compileSchema(source.schema, parts, {
        strict: source.strict,
        name: 'schema ',
      });
      return { start: value, ignored };
    }
    case 'json-object':
      return { start: anyJson(parts, 'object'), ignored: [] };
    case 'lark': {
      const lark = { table, pace, bounds, form: 'utf8', rules, name: 'lark ' } as const;
      const start = yield* compileLark(source.definition, lark);
      return { start, ignored: [] };
    }
    case 'gbnf': {
      const gbnf = { table, pace, bounds, form: 'utf8', rules, name: 'gbnf ' } as const;
      const start = yield* compileGbnf(source.definition, gbnf);
      return { start, ignored: [] };
    }
    case 'regex': {
      const options = { table, bounds, form: 'utf8', path: 'regex', search: false } as const;
      yield* prepareClasses(source.pattern, parts);
      const regex = compilePattern(source.pattern, options);
      return { start: terminal(regex), ignored: [] };
    }
    case 'choice': {
      checkChoice(source.texts, bounds);
      return { start: terminal(yield* oneOfTexts(source.texts, parts)), ignored: [] };
    }
  }
}

function checkChoice(texts: readonly string[], { grammarTextsMax, schemaSizeMax }: GrammarBounds): void {
  const place = { path: 'choice' };
  if (texts.length === 0 || texts.length > grammarTextsMax) {
    throw new GrammarError('invalid', `expected 1 to ${grammarTextsMax} texts (--grammar-texts)`, place);
  }
  if (texts.reduce((sum, { length }) => sum + length, 0) > schemaSizeMax) {
    throw new GrammarError('too-large', `more than ${schemaSizeMax} characters (--schema-size)`, place);
  }
}

function keyOf(source: GrammarSource): string {
  let text: string;
  try {
    text = JSON.stringify(source);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new GrammarError('too-large', 'nested too deep', { path: '#' });
  }
  return createHash('sha256').update(text).digest('base64');
}
