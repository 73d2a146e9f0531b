// What one answer cost: seen from here (time to first token, rate) and as the server counted (tokens, cached, drafts). Pure
// but for the clock that it is given. Before it: chat-stream.ts; after it: what stands below an answer.

export interface AnswerStats {
  readonly ttftMs: number | null; // null: nothing has come yet
  readonly tokensPerSecond: number | null; // after the first token; null below two
  readonly outputTokens: number;
  readonly counted: boolean; // by the server; else pieces that came, about one a token
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null; // of the prompt
  readonly acceptedDrafts: number;
  readonly rejectedDrafts: number;
}

/** Usage as OpenAI words it; everything may be missing. */
export interface MeteredUsage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  readonly completion_tokens_details?: {
    readonly accepted_prediction_tokens?: number;
    readonly rejected_prediction_tokens?: number;
  } | null;
}

export class AnswerMeter {
  readonly #nowMs: () => number;
  readonly #startedMs: number;
  #firstMs: number | null = null;
  #lastMs = 0;
  #pieceCount = 0;
  #usage: MeteredUsage | null = null;

  /** Counts from now. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#startedMs = nowMs();
  }

  onPiece(): void {
    this.#lastMs = this.#nowMs();
    this.#firstMs ??= this.#lastMs;
    this.#pieceCount++;
  }

  onUsage(usage: MeteredUsage): void {
    this.#usage = usage;
  }

  get stats(): AnswerStats {
    const usage = this.#usage;
    const outputTokens = usage?.completion_tokens ?? this.#pieceCount;
    const spanMs = this.#firstMs === null ? 0 : this.#lastMs - this.#firstMs;
    return {
      ttftMs: this.#firstMs === null ? null : this.#firstMs - this.#startedMs,
      tokensPerSecond: outputTokens > 1 && spanMs > 0 ? ((outputTokens - 1) * 1000) / spanMs : null,
      outputTokens,
      counted: usage !== null,
      promptTokens: usage?.prompt_tokens ?? null,
      cachedTokens: usage === null ? null : (usage.prompt_tokens_details?.cached_tokens ?? 0),
      acceptedDrafts: usage?.completion_tokens_details?.accepted_prediction_tokens ?? 0,
      rejectedDrafts: usage?.completion_tokens_details?.rejected_prediction_tokens ?? 0,
    };
  }
}
