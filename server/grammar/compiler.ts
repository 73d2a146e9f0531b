// Compiles what a request asks of its answer's form into grammars, shares equal ones between requests, and hands out a
// constraint per sequence. Works in portions between which other work goes on; results do not depend on them.
// Before it: the API routes, through form.ts; after it: constraint.ts, used by the engine.
import { createHash } from 'node:crypto';
import type { Clock } from '../../kernels/clock.ts';
import type { TokenConstraint } from '../engine/request.ts';
import { Automaton } from './automaton.ts';
import { type Regex, RegexTable } from './byte-regex.ts';
import { GrammarConstraint } from './constraint.ts';
import { GrammarError } from './grammar-error.ts';
import { anyJson, compileSchema, type SchemaWorld } from './json-schema.ts';
import { type JsonTerminals, jsonTerminals, oneOfTexts } from './json-terminals.ts';
import { compileGbnf, compileLark } from './lark.ts';
import { compilePattern } from './pattern.ts';
import { Pushdown, type StatePool } from './pushdown.ts';
import { type Expression, lowerGrammar, terminal } from './rules.ts';
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
  write(world: SchemaWorld): { readonly start: Expression; readonly ignored: readonly IgnoredKeyword[] };
}

export interface CompiledGrammar {
  readonly ignored: readonly IgnoredKeyword[]; // schema keywords that are not enforced; never any if strict
  newConstraint(): TokenConstraint;
}

export interface CompilerWorld {
  readonly tokenizer: TokenBytes;
  readonly vocabSize: number; // of the model: its logits
  readonly stopTokenIds: readonly number[]; // allowed exactly where the text may end
  readonly clock: Clock;
}

export interface CompilerBounds {
  readonly grammarsMax: number; // kept, least recently used goes first
  readonly maskBytesMax: number; // masks kept for automata, and as many again for states
  readonly statesMax: number; // of all grammars, about 1 KB each
}

const compilerBounds: CompilerBounds = {
  grammarsMax: 64,
  maskBytesMax: 64 * 2 ** 20,
  statesMax: 100_000,
};
const choicesMax = 10_000;
const primedMax = 64; // automata per grammar whose first mask is made at once

interface KeptGrammar extends CompiledGrammar {
  readonly pushdown: Pushdown;
}

export class GrammarCompiler {
  readonly #world: CompilerWorld;
  readonly #bounds: CompilerBounds;
  readonly #table = new RegexTable(); // of JSON's own words
  readonly #terminals: JsonTerminals;
  readonly #shared = new Map<Regex, Automaton>(); // JSON's own words, for all grammars
  readonly #grammars = new Map<string, Promise<KeptGrammar>>(); // least recently used first
  readonly #pool: StatePool;
  #masks: TokenMasks | null = null;
  #nextAutomatonId = 0;

  constructor(world: CompilerWorld, bounds: CompilerBounds = compilerBounds) {
    this.#world = world;
    this.#bounds = bounds;
    this.#pool = { count: 0, max: bounds.statesMax };
    this.#terminals = jsonTerminals(this.#table);
    for (const regex of Object.values(this.#terminals))
      this.#shared.set(regex, this.#newAutomaton(regex, this.#table));
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

  /** Builds the token trie (0.3 s for 152k tokens) and the masks of JSON strings, so that no request has to. */
  warmUp(): void {
    const masks = this.#tokenMasks();
    const automaton = this.#shared.get(this.#terminals.string)!;
    const inside = automaton.step(automaton.start, 0x22)!;
    masks.prepare(automaton, automaton.start);
    masks.prepare(automaton, inside);
    masks.prepare(automaton, automaton.step(inside, 0x5c)!);
  }

  async #make(source: GrammarSource | CustomGrammar): Promise<KeptGrammar> {
    const rules = new Map<string, Expression>();
    const table = new RegexTable(this.#table);
    const world: SchemaWorld = { table, terminals: this.#terminals, rules };
    const { start, ignored } = source.kind === 'custom' ? source.write(world) : writeSource(source, world);
    rules.set('start', start);
    await this.#giveWay();
    const own = new Map<Regex, Automaton>();
    const automatonOf = (regex: Regex): Automaton => {
      const known = this.#shared.get(regex) ?? own.get(regex);
      if (known !== undefined) return known;
      const automaton = this.#newAutomaton(regex, table);
      own.set(regex, automaton);
      return automaton;
    };
    const work = lowerGrammar({ rules, start: 'start' }, automatonOf);
    let turn = work.next();
    for (; !turn.done; turn = work.next()) await this.#giveWay();
    const pushdown = new Pushdown(turn.value, this.#pool);
    if (pushdown.tooWide) {
      const message = 'too many ways to begin: rules of rules that may all be empty';
      throw new GrammarError('too-large', message, { path: 'start' });
    }
    const { tokenizer } = this.#world;
    const masks = this.#tokenMasks();
    await this.#prime(own.values());
    return { ignored, pushdown, newConstraint: () => new GrammarConstraint({ pushdown, masks, tokenizer }) };
  }

  /** The first masks cost the most; better now, in portions, than between two tokens. */
  async #prime(automata: Iterable<Automaton>): Promise<void> {
    let count = 0;
    for (const automaton of automata) {
      if (++count > primedMax) break;
      this.#tokenMasks().prepare(automaton, automaton.start);
      await this.#giveWay();
    }
  }

  #giveWay(): Promise<void> {
    return new Promise((resolve) => this.#world.clock.defer(resolve));
  }

  #newAutomaton(regex: Regex, table: RegexTable): Automaton {
    return new Automaton(this.#nextAutomatonId++, regex, table);
  }

  #tokenMasks(): TokenMasks {
    this.#masks ??= new TokenMasks(this.#world.tokenizer, this.#world, {
      innerBytesMax: this.#bounds.maskBytesMax,
      stateBytesMax: this.#bounds.maskBytesMax,
    });
    return this.#masks;
  }
}

/** Adds what a source needs to the rules. For grammars that hold others. Throws GrammarError. */
export function writeSource(
  source: GrammarSource,
  world: SchemaWorld,
): { readonly start: Expression; readonly ignored: readonly IgnoredKeyword[] } {
  const { table, rules } = world;
  switch (source.kind) {
    case 'json-schema': {
      const { value, ignored } = compileSchema(source.schema, world, {
        strict: source.strict,
        name: 'schema ',
      });
      return { start: value, ignored };
    }
    case 'json-object':
      return { start: anyJson(world, 'object'), ignored: [] };
    case 'lark': {
      const start = compileLark(source.definition, { table, form: 'utf8', rules, name: 'lark ' });
      return { start, ignored: [] };
    }
    case 'gbnf': {
      const start = compileGbnf(source.definition, { table, form: 'utf8', rules, name: 'gbnf ' });
      return { start, ignored: [] };
    }
    case 'regex': {
      const regex = compilePattern(source.pattern, { table, form: 'utf8', path: 'regex', search: false });
      return { start: terminal(regex), ignored: [] };
    }
    case 'choice': {
      if (source.texts.length === 0 || source.texts.length > choicesMax) {
        throw new GrammarError('invalid', `expected 1 to ${choicesMax} texts`, { path: 'choice' });
      }
      return { start: terminal(oneOfTexts(source.texts, table)), ignored: [] };
    }
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
