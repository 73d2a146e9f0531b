// llama-server's two ways of ending a completion in an editor: `t_max_predict_ms`, at the first new line after so much
// time, and `n_indent`, where a line is indented less than the cursor's. Owns the text's lines; time comes from its clock.
// Before it: infill.ts; after it: generation/generation.ts feeds it the text of every token of one choice.
import type { Clock } from '../../kernels/clock.ts';
import type { TextCutoff } from '../generation/generation.ts';

export interface LineBounds {
  readonly predictMsMax: number; // from the first token; 0: no bound
  readonly indentMin: number; // characters; 0: no bound
}

export class LineLimits implements TextCutoff {
  readonly #bounds: LineBounds;
  readonly #clock: Clock;
  #firstMs: number | null = null; // when the first text came
  #indent: number | null = null; // characters so far of the line's white space; null: past it, or the first line

  constructor(bounds: LineBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  push(piece: string): { readonly shown: string; readonly ends: boolean } {
    const nowMs = this.#clock.nowMs();
    this.#firstMs ??= nowMs;
    const shown = this.#withinIndent(piece);
    if (shown.length < piece.length) return { shown, ends: true };
    const late = this.#bounds.predictMsMax > 0 && nowMs - this.#firstMs > this.#bounds.predictMsMax;
    return { shown, ends: late && piece.includes('\n') };
  }

  /** Up to the first character of a line that stands too far left; an empty line does, as with llama-server. */
  #withinIndent(piece: string): string {
    const { indentMin } = this.#bounds;
    if (indentMin === 0) return piece;
    for (let at = 0; at < piece.length; at++) {
      const character = piece[at];
      if (this.#indent !== null && (character === ' ' || character === '\t')) this.#indent++;
      else if (this.#indent !== null && this.#indent < indentMin) return piece.slice(0, at);
      else this.#indent = character === '\n' ? 0 : null;
    }
    return piece;
  }
}
