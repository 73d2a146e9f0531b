// Measures one answer as the person sees it: from sending the question to each frame. Owns the formulas of the line
// printed after an answer. Used by chat.ts and complete.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { GenerationEnded, TokensFrame } from '../client/messages.ts';

export class TerminalMeter {
  readonly #clock: Clock;
  readonly #sentMs: number;
  #firstMs = 0;
  #lastMs = 0;
  #firstCount = 0; // tokens of the first frame: no gap lies before them
  #tokenCount = 0;

  /** Starts counting now: the question is being sent. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sentMs = clock.nowMs();
  }

  onTokens({ tokens }: TokensFrame): void {
    this.#lastMs = this.#clock.nowMs();
    if (this.#tokenCount === 0) {
      this.#firstMs = this.#lastMs;
      this.#firstCount = tokens.length;
    }
    this.#tokenCount += tokens.length;
  }

  /** `TTFT 21 ms · 840 tok/s · 96 tokens · 1,024 of 1,030 prompt tokens cached` */
  line({ reason, usage }: GenerationEnded): string {
    const parts: string[] = [];
    if (this.#tokenCount > 0) parts.push(`TTFT ${rounded(this.#firstMs - this.#sentMs)} ms`);
    const spanMs = this.#lastMs - this.#firstMs;
    const gaps = this.#tokenCount - this.#firstCount;
    if (gaps > 0 && spanMs > 0) parts.push(`${rounded((gaps / spanMs) * 1000)} tok/s`);
    parts.push(`${this.#tokenCount} tokens`);
    parts.push(`${usage.cachedTokens} of ${usage.promptTokens} prompt tokens cached`);
    if (reason === 'cancelled') parts.push('interrupted');
    if (reason === 'length') parts.push('cut off at the length limit');
    return parts.join(' · ');
  }
}

/** Two digits of a small number, none after the point of a large one. */
function rounded(value: number): string {
  return value < 10 ? value.toFixed(1) : Math.round(value).toString();
}
