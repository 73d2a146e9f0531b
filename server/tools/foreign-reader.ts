// An answer in a foreign syntax → text and tool calls. Text is told as it comes, a call once it is whole; markup is shown
// to nobody. Owns what arguments become by their tool's schema. Before it: chat/answer-reader.ts; after it: the routes.
import { partialTag } from './call-parser.ts';
import { customInputKey, type Tool } from './definition.ts';
import type { ForeignCall, ForeignSyntax } from './foreign-syntax.ts';

export interface ForeignParts {
  text(text: string): void;
  call(tool: Tool, argumentsText: string): void;
  broken(tool: Tool): void; // cut off behind its name
}

export class ForeignReader {
  readonly #syntax: ForeignSyntax;
  readonly #tools: ReadonlyMap<string, Tool>;
  readonly #parts: ForeignParts;
  #pending = ''; // not yet told
  #called = false;

  constructor(syntax: ForeignSyntax, tools: readonly Tool[], parts: ForeignParts) {
    this.#syntax = syntax;
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.#parts = parts;
  }

  get inCall(): boolean {
    return this.#opening() === 0;
  }

  push(piece: string): void {
    this.#pending += piece;
    for (let at = this.#opening(); at >= 0; at = this.#opening()) {
      this.#tell(this.#pending.slice(0, at).trimEnd());
      this.#pending = this.#pending.slice(at);
      const read = this.#syntax.read(this.#pending);
      if (read === null) return;
      this.#pending = this.#pending.slice(read.length);
      for (const call of read.calls) this.#call(call);
    }
    // White space waits: it is dropped if a call follows.
    const sure = this.#pending.slice(0, this.#pending.length - this.#partial()).trimEnd();
    this.#tell(sure);
    this.#pending = this.#pending.slice(sure.length);
  }

  end(cut: boolean): void {
    if (this.#opening() === 0) {
      const tool = this.#tools.get(this.#syntax.nameOf(this.#pending) ?? '');
      if (tool !== undefined) this.#parts.broken(tool);
    } else {
      const left = this.#pending.slice(0, this.#pending.length - (cut ? this.#partial() : 0));
      if (left.trim() !== '' || !this.#called) this.#tell(left);
    }
    this.#pending = '';
  }

  /** Where markup begins in what waits; −1: nowhere. */
  #opening(): number {
    const found = this.#syntax.opens.map((open) => this.#pending.indexOf(open)).filter((at) => at >= 0);
    return found.length === 0 ? -1 : Math.min(...found);
  }

  #partial(): number {
    return Math.max(...this.#syntax.opens.map((open) => partialTag(this.#pending, open)));
  }

  #call({ name, arguments: given }: ForeignCall): void {
    const tool = this.#tools.get(name);
    // A tool that nobody offered is no call; its name is all there is to say of it.
    if (tool === undefined) this.#tell(`${name}(${JSON.stringify(given)})`);
    else {
      this.#called = true;
      if (tool.kind === 'function' && !isObject(given))
        this.#parts.broken(tool); // no JSON
      else this.#parts.call(tool, argumentsText(given, tool));
    }
  }

  #tell(text: string): void {
    if (text !== '') this.#parts.text(text);
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function argumentsText(given: unknown, tool: Tool): string {
  if (tool.kind === 'custom') {
    const input = (given as Readonly<Record<string, unknown>> | null)?.[customInputKey] ?? given;
    return typeof input === 'string' ? input : JSON.stringify(input);
  }
  const types = typesOf(tool.parameters);
  const typed = Object.entries(given as object).map(
    ([key, value]) => [key, typedValue(value, types[key])] as const,
  );
  return JSON.stringify(Object.fromEntries(typed));
}

function typesOf(parameters: unknown): Readonly<Record<string, unknown>> {
  const { properties } = (parameters ?? {}) as {
    readonly properties?: Readonly<Record<string, { readonly type?: unknown }>>;
  };
  return Object.fromEntries(Object.entries(properties ?? {}).map(([key, schema]) => [key, schema?.type]));
}

/** Syntaxes without quotes leave open whether `5` is a number: the schema says it. */
function typedValue(value: unknown, type: unknown): unknown {
  if (typeof value !== 'string' || type === undefined || type === 'string') return value;
  if (Array.isArray(type) && type.includes('string')) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
