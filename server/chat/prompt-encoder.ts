// Prompts of conversations → tokens, without tokenising again what a recent prompt had in common with this one. Special
// tokens cut a text into parts that are tokenised apart, so everything before the last one in common is known. Owns a few
// recent prompts; the tokens are exactly those of tokenising the whole. A turn of a coding session adds 1 KB to 30 KB.
// Before it: chat-prompt.ts; after it: text/prompt-text.ts and the tokenizer.
import type { Parsed } from '../base/json-body.ts';
import { encodePrompt } from '../text/prompt-text.ts';
import type { ServedModel } from '../text/served-model.ts';

export interface EncoderBounds {
  readonly promptCountMax: number;
  readonly textLengthMax: number; // characters of all kept prompts
}

const encoderBounds: EncoderBounds = { promptCountMax: 16, textLengthMax: 4 * 2 ** 20 };

type PromptTokenizer = Pick<ServedModel['tokenizer'], 'encode' | 'isSpecial' | 'tokenBytes'>;

/** A special token: where its text begins, and which token it is. */
interface Border {
  readonly offset: number; // characters
  readonly length: number; // of its text
  readonly index: number; // tokens before it
}

interface Known {
  readonly text: string;
  readonly tokens: Int32Array;
  readonly borders: readonly Border[];
}

export class PromptEncoder {
  readonly #tokenizer: PromptTokenizer;
  readonly #bounds: EncoderBounds;
  readonly #recent: Known[] = []; // latest last
  #textLength = 0;

  constructor(tokenizer: PromptTokenizer, bounds: EncoderBounds = encoderBounds) {
    this.#tokenizer = tokenizer;
    this.#bounds = bounds;
  }

  /** `text` as a template rendered it. Refuses early what cannot fit a context of so many tokens; what may fit is checked exactly later (fields.ts). */
  encode(text: string, contextTokensMax: number): Parsed<Int32Array> {
    const { known, borders } = this.#closest(text);
    const last = borders.at(-1);
    const start = last ?? { offset: 0, index: 0 };
    const encoded = encodePrompt(text.slice(start.offset), this.#tokenizer, {
      contextTokensMax,
      mode: 'guarded',
    });
    if (!encoded.ok) return encoded;
    const tokens = new Int32Array(start.index + encoded.value.length);
    if (known !== null) tokens.set(known.tokens.subarray(0, start.index));
    tokens.set(encoded.value, start.index);
    this.#keep({ text, tokens, borders: [...borders.slice(0, -1), ...this.#bordersOf(text, tokens, start)] });
    return { ok: true, value: tokens };
  }

  /** The recent prompt with the longest beginning in common, and its borders within that. */
  #closest(text: string): { readonly known: Known | null; readonly borders: readonly Border[] } {
    let best: Known | null = null;
    let length = 0;
    for (let i = this.#recent.length - 1; i >= 0 && length < text.length; i--) {
      const common = commonLength(text, this.#recent[i]!.text, length);
      if (common <= length) continue;
      best = this.#recent[i]!;
      length = common;
    }
    const borders = best?.borders.filter((border) => border.offset + border.length <= length) ?? [];
    return { known: best, borders };
  }

  /** Special tokens are found wherever their text stands, so the texts come in the order of the tokens. */
  #bordersOf(
    text: string,
    tokens: Int32Array,
    from: { readonly offset: number; readonly index: number },
  ): Border[] {
    const borders: Border[] = [];
    let { offset } = from;
    for (let index = from.index; index < tokens.length; index++) {
      const id = tokens[index]!;
      if (!this.#tokenizer.isSpecial(id)) continue;
      const written = decoder.decode(this.#tokenizer.tokenBytes(id));
      const at = text.indexOf(written, offset);
      if (at < 0) break; // a template's own beginning-of-text, say: what follows is tokenised again
      borders.push({ offset: at, length: written.length, index });
      offset = at + written.length;
    }
    return borders;
  }

  #keep(known: Known): void {
    const { promptCountMax, textLengthMax } = this.#bounds;
    this.#recent.push(known);
    this.#textLength += known.text.length;
    while (this.#recent.length > promptCountMax || this.#textLength > textLengthMax) {
      const oldest = this.#recent.shift();
      if (oldest === undefined) break;
      this.#textLength -= oldest.text.length;
    }
  }
}

const decoder = new TextDecoder();

/** Characters that two texts have in common at their beginning; `known` of them are not worth knowing exactly. */
function commonLength(a: string, b: string, known: number): number {
  let low = Math.min(known, a.length, b.length);
  let high = Math.min(a.length, b.length);
  if (a.slice(0, low) !== b.slice(0, low)) return 0;
  if (a.slice(0, high) === b.slice(0, high)) return high;
  // By halves: comparing long slices is one call into the engine.
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (a.slice(low, middle) === b.slice(low, middle)) low = middle;
    else high = middle;
  }
  return low;
}
