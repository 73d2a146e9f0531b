// Whether a request's answer is drafted: the server's setting, the request's wish, and a prediction to draft from.
// Pure. Used by chat/fields.ts and native/question.ts.
import type { SpeculationRequest } from '../engine/request.ts';

export interface DraftingBounds {
  readonly draftTokensMax: number; // guesses per step; 0: never
  readonly draftsUnasked: 'all' | 'unseeded' | 'none'; // of the requests that say nothing about it
  readonly contextTokensMax: number; // what lies beyond the context cannot come true
}

export interface DraftingWish {
  readonly speculation: boolean | null; // the request's own word
  readonly prediction: string | null; // what the answer will probably resemble
  readonly seed: number | null;
}

/**
 * Null: one token at a time. Where guesses may round otherwise (--invariance none) a near tie may fall otherwise, and who
 * names a seed wants the same text again: `unseeded` drafts for it only if it asks or predicts as well.
 */
export function draftingFor(
  wish: DraftingWish,
  bounds: DraftingBounds,
  encode: (text: string) => Int32Array,
): SpeculationRequest | null {
  const { draftTokensMax, draftsUnasked, contextTokensMax } = bounds;
  const prediction = wish.prediction === '' ? null : wish.prediction;
  const unasked = draftsUnasked === 'all' || (draftsUnasked === 'unseeded' && wish.seed === null);
  const wanted = wish.speculation ?? (prediction !== null || unasked);
  if (draftTokensMax === 0 || !wanted) return null;
  return {
    draftTokensMax,
    prediction: prediction === null ? null : encode(prediction).subarray(0, contextTokensMax),
  };
}
