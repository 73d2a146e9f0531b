// An answer of POST /infill in the words of the line below it. Pure. Used by fim-pane.tsx.
import type { AnswerStats } from './answer-meter.ts';

export interface InfillAnswer {
  readonly content: string;
  readonly tokens_predicted: number;
  readonly timings: {
    readonly cache_n: number;
    readonly prompt_n: number;
    readonly prompt_ms: number;
    readonly predicted_per_second: number;
  };
}

/** The answer comes whole: its first token is the server's own time for the prompt. */
export function infillStats({ tokens_predicted, timings }: InfillAnswer, elapsedMs: number): AnswerStats {
  return {
    ttftMs: Math.min(elapsedMs, timings.prompt_ms),
    tokensPerSecond: timings.predicted_per_second > 0 ? timings.predicted_per_second : null,
    outputTokens: tokens_predicted,
    counted: true,
    promptTokens: timings.cache_n + timings.prompt_n,
    cachedTokens: timings.cache_n,
    acceptedDrafts: 0,
    rejectedDrafts: 0,
  };
}
