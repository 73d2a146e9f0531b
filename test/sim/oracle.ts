// The oracle of the simulated device: one sequence at a time, no cache, no batch, no seats. What it says is right.

import { sampleToken } from '../../kernels/sampling.ts';
import { babbleLogits, emptyContext, extendContext } from '../../kernels/sim/babble.ts';
import type { SequenceRequest } from '../../server/engine/request.ts';

export interface OracleAnswer {
  readonly tokens: readonly number[];
  readonly reason: 'stop' | 'length';
}

/** The tokens that `request` must get on any simulated device, whatever else happens there. */
export function oracleAnswer(
  request: SequenceRequest,
  { vocabSize, contextTokensMax }: { vocabSize: number; contextTokensMax: number },
): OracleAnswer {
  const history = [...request.tokens];
  const output: number[] = [];
  let context = emptyContext;
  for (const token of history) context = extendContext(context, token);
  const logits = new Float32Array(vocabSize);
  const promptCount = history.length;
  while (output.length < request.maxTokens && history.length < contextTokensMax) {
    babbleLogits(context, logits);
    const place = { position: history.length, promptCount, history: Int32Array.from(history), mask: null };
    const token = sampleToken(logits, request.sampling, place);
    output.push(token);
    history.push(token);
    context = extendContext(context, token);
    if (!request.ignoreStopTokens && request.sampling.stopTokenIds.includes(token)) {
      return { tokens: output, reason: 'stop' };
    }
  }
  return { tokens: output, reason: 'length' };
}
