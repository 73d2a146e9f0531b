// Babble: the deterministic "model" of simulated devices. Its logits are a pure function of all tokens before them,
// so a single misplaced block of KV changes every answer after it. It means nothing; it only has to be a witness.
import { mix32 } from '../random.ts';

/** State after a prefix: start with `emptyContext`, then extend token by token. 32 bits. */
export const emptyContext = 0x2545f491;

export function extendContext(context: number, token: number): number {
  return mix32(Math.imul(context, 31) ^ (token + 0x9e3779b9));
}

/** Fills `logits` [vocabSize] with values in [0, 8), decided by the context alone. */
export function babbleLogits(context: number, logits: Float32Array): void {
  for (let id = 0; id < logits.length; id++) {
    logits[id] = mix32(context ^ Math.imul(id + 1, 0x9e3779b1)) * (8 / 2 ** 32);
  }
}
