// The self-test at start: a sequence computed in two steps must continue as if it had been computed in one, which it
// does only if the first step left its keys and values in the seat. An ONNX Runtime that copied them elsewhere would
// go on without an error and talk nonsense. Before it: backend.ts, on idle replicas; after it: Backend.step.
import { type Backend, greedySampling, type StepOutcome, type TokenLogprobs } from '../backend.ts';

export class SelfTestError extends Error {
  override readonly name = 'SelfTestError';
}

const probeTokenCount = 6;
const rankCount = 8; // how many of the most likely tokens are compared
// Chunks and single tokens go through different matrix kernels, so quantised graphs differ a little. A past that was
// forgotten differs about as much as the last token without any past: that is the yardstick.
const shareMax = 0.25;
const floorNats = 1e-3;

/** Computes a few tokens in the last seat of `replica` and leaves it free. Rejects with SelfTestError. */
export async function verifyInPlace(backend: Backend, replica: number): Promise<void> {
  const { vocabSize, rowTokensMax, slotTokensMax } = backend.limits;
  const count = Math.min(probeTokenCount, rowTokensMax, slotTokensMax);
  if (count < 2) return; // no row is long enough to leave something behind
  const tokens = Int32Array.from({ length: count }, (_, i) =>
    Math.floor(((i + 1) * vocabSize) / (count + 1)),
  );
  const last = count - 1;
  const whole = await probe(backend, { replica, position: 0, tokens });
  const alone = await probe(backend, { replica, position: 0, tokens: tokens.subarray(last) });
  await probe(backend, { replica, position: 0, tokens: tokens.subarray(0, last) });
  const continued = await probe(backend, { replica, position: last, tokens: tokens.subarray(last) });
  backend.releaseSlot(replica, backend.limits.slotCount - 1);
  const difference = distanceNats(whole, continued);
  const yardstick = distanceNats(whole, alone);
  if (difference <= Math.max(floorNats, shareMax * yardstick)) return;
  throw new SelfTestError(
    `replica ${replica}: continuing a sequence differs by ${difference} nats from computing it at once ` +
      `(without its past: ${yardstick}); the KV cache is not updated in place`,
  );
}

function probe(
  backend: Backend,
  { replica, position, tokens }: { replica: number; position: number; tokens: Int32Array },
): Promise<TokenLogprobs> {
  const slot = backend.limits.slotCount - 1;
  const sampling = { ...greedySampling, logprobs: Math.min(rankCount, backend.limits.logprobsMax) };
  const row = {
    ...{ sequenceId: 0, slot, position, tokens, sampling },
    ...{ sampleCount: 1, promptCount: position + tokens.length, history: null, masks: null },
  };
  if (position === 0) backend.releaseSlot(replica, slot);
  return new Promise((resolve, reject) => {
    const done = (outcome: StepOutcome) => {
      const problem = outcome.ok ? outcome.rows[0]!.failure : outcome.failure.message;
      if (outcome.ok && problem === undefined) resolve(outcome.rows[0]!.logprobs![0]!);
      else reject(new SelfTestError(`replica ${replica}: ${problem}`));
    };
    backend.step({ replica, restores: [], rows: [row], saves: [] }, done);
  });
}

/** The largest difference over the most likely tokens of `a`. */
function distanceNats(a: TokenLogprobs, b: TokenLogprobs): number {
  const differences = a.topTokens.map((token, rank) => {
    const other = b.topTokens.indexOf(token);
    // Not among the most likely of b: it is at most as likely as the least of them.
    const logprob = other === -1 ? b.topLogprobs.at(-1)! : b.topLogprobs[other]!;
    return Math.abs(a.topLogprobs[rank]! - logprob);
  });
  return Math.max(...differences);
}
