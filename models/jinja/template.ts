// A chat template, compiled once and rendered often, with the results of transformers' apply_chat_template: Jinja as
// Python's library has it, with its sandbox, trim_blocks, lstrip_blocks, loop controls and `generation`. Owns the bounds
// of one rendering. After it: template/chat-template.ts.
import { Effort, Scope } from './expressions.ts';
import { globals } from './globals.ts';
import { JinjaError } from './jinja-error.ts';
import { parse } from './parser.ts';
import { Rendering } from './statements.ts';
import type { Body } from './syntax-tree.ts';
import { fromJson } from './values.ts';

const outputLengthMax = 1 << 27; // characters; far above any context

export class Template {
  readonly #body: Body;

  /** Throws JinjaError when the text is no template. */
  constructor(text: string) {
    this.#body = parse(text);
  }

  /**
   * The text for these variables, which are JSON. `now` is the time that strftime_now prints; null hides the function.
   * Throws JinjaError when the template refuses them, or asks for what is not there.
   */
  render(variables: Readonly<Record<string, unknown>>, now: (() => Date) | null = null): string {
    const outermost = new Scope(null);
    for (const [name, value] of globals(now)) outermost.names.set(name, value);
    const scope = new Scope(outermost);
    for (const [name, value] of Object.entries(variables)) {
      if (value !== undefined) scope.names.set(name, fromJson(value));
    }
    const rendering = new Rendering(new Effort(), outputLengthMax);
    try {
      rendering.run(this.#body, scope);
    } catch (error) {
      if (error instanceof RangeError) throw new JinjaError('is nested too deeply', { cause: error });
      throw error;
    }
    return rendering.text;
  }
}
