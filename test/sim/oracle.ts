// The oracle of the simulated device: one sequence at a time, no cache, no batch, no seats. What it says is right.

import type { SamplingParams, TokenLogprobs } from '../../kernels/backend.ts';
import { SamplingError, sampleToken } from '../../kernels/sampling.ts';
import { babbleLogits, emptyContext, extendContext } from '../../kernels/sim/babble.ts';
import type { SequenceRequest } from '../../server/engine/request.ts';

export interface OracleAnswer {
  readonly tokens: readonly number[];
  readonly logprobs: readonly TokenLogprobs[] | null; // parallel to tokens, null unless asked for
  readonly judged: readonly TokenLogprobs[] | null; // of the prompt's tokens but the first, likewise
  readonly reason: 'stop' | 'length' | 'failed'; // failed: its parameters leave no distribution
}

/** The tokens that `request` must get on any simulated device, whatever else happens there. */
export function oracleAnswer(
  request: SequenceRequest,
  { vocabSize, contextTokensMax }: { vocabSize: number; contextTokensMax: number },
): OracleAnswer {
  const history = [...request.tokens];
  const tokens: number[] = [];
  const logprobs: TokenLogprobs[] | null = request.sampling.logprobs === null ? null : [];
  const constraint = request.constraint?.fork() ?? null;
  const logits = new Float32Array(vocabSize);
  const { judged, ...prompt } = judge(request, logits);
  let { context } = prompt;
  const promptCount = history.length;
  while (tokens.length < request.maxTokens && history.length < contextTokensMax) {
    babbleLogits(context, logits);
    const mask = constraint?.mask() ?? null;
    const place = { position: history.length, promptCount, history: Int32Array.from(history), mask };
    const token = drawn(logits, request.sampling, place);
    if (token === null) return { tokens, logprobs, judged, reason: 'failed' };
    tokens.push(token);
    logprobs?.push(logprobsOf(logits, token, request.sampling.logprobs!));
    history.push(token);
    constraint?.accept(token);
    context = extendContext(context, token);
    if (!request.ignoreStopTokens && request.sampling.stopTokenIds.includes(token)) {
      return { tokens, logprobs, judged, reason: 'stop' };
    }
  }
  return { tokens, logprobs, judged, reason: 'length' };
}

/** The prompt, token by token. */
function judge({ tokens, promptLogprobs = null }: SequenceRequest, logits: Float32Array) {
  const judged: TokenLogprobs[] | null = promptLogprobs === null ? null : [];
  let context = emptyContext;
  for (const [index, token] of tokens.entries()) {
    if (judged !== null && index > 0) {
      babbleLogits(context, logits);
      const rank = 1 + logits.filter((logit) => logit > logits[token]!).length;
      judged.push({ ...logprobsOf(logits, token, promptLogprobs!), rank });
    }
    context = extendContext(context, token);
  }
  return { context, judged };
}

function drawn(
  logits: Float32Array,
  params: SamplingParams,
  place: Parameters<typeof sampleToken>[2],
): number | null {
  try {
    return sampleToken(logits, params, place);
  } catch (error) {
    if (!(error instanceof SamplingError)) throw error;
    return null;
  }
}

function logprobsOf(logits: Float32Array, token: number, count: number): TokenLogprobs {
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit);
  const logsumexp = Math.log(sum);
  const ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, count);
  const topLogprobs = ids.map((id) => logits[id]! - logsumexp);
  return { logprob: logits[token]! - logsumexp, topTokens: ids, topLogprobs };
}
