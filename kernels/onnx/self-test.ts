// The self-test at start: a sequence computed in two steps must continue as if it had been computed in one, which it
// does only if the first step left its keys and values in the seat. An ONNX Runtime that copied them elsewhere would
// go on without an error and talk nonsense. And whether guessing is safe. Before it: backend.ts, on idle replicas; after it: Backend.step.
import { isDeepStrictEqual } from 'node:util';
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
  const tokens = spreadTokens(vocabSize, count);
  const last = count - 1;
  const slot = backend.limits.slotCount - 1;
  const whole = await probe(backend, { replica, slot, position: 0, tokens });
  const alone = await probe(backend, { replica, slot, position: 0, tokens: tokens.subarray(last) });
  await probe(backend, { replica, slot, position: 0, tokens: tokens.subarray(0, last) });
  const continued = await probe(backend, { replica, slot, position: last, tokens: tokens.subarray(last) });
  backend.releaseSlot(replica, slot);
  const difference = distanceNats(whole, continued);
  const yardstick = distanceNats(whole, alone);
  if (difference <= Math.max(floorNats, shareMax * yardstick)) return;
  throw new SelfTestError(
    `replica ${replica}: continuing a sequence differs by ${difference} nats from computing it at once ` +
      `(without its past: ${yardstick}); the KV cache is not updated in place`,
  );
}

/**
 * Whether tokens that are drafted come out of replica 0 to the last bit as they do one by one. They do on the processors
 * and graphs that this was written with; where they do not, guessing would change answers.
 */
export async function guessesAgree(backend: Backend): Promise<boolean> {
  const { vocabSize, rowTokensMax, slotTokensMax, sampleCountMax } = backend.limits;
  const guessCount = Math.min(4, sampleCountMax);
  const position = Math.min(24, rowTokensMax, slotTokensMax - sampleCountMax);
  if (guessCount < 2 || position < 1) return true;
  const slot = backend.limits.slotCount - 1;
  const text = Int32Array.from({ length: position + sampleCountMax }, (_, i) => (i * 37 + 11) % vocabSize);
  await probe(backend, { replica: 0, slot, position: 0, tokens: text.subarray(0, position) });
  const single: TokenLogprobs[] = [];
  for (let at = position; at < position + guessCount; at++) {
    single.push(await probe(backend, { replica: 0, slot, position: at, tokens: text.subarray(at, at + 1) }));
  }
  // In a short row and in the longest, which a processor may compute by other kernels.
  const agree = async (sampleCount: number): Promise<boolean> => {
    const tokens = text.subarray(position, position + sampleCount);
    const together = await probeAll(backend, { replica: 0, slot, position, tokens, sampleCount });
    return isDeepStrictEqual(together.slice(0, guessCount), single);
  };
  const agrees = (await agree(guessCount)) && (await agree(sampleCountMax));
  backend.releaseSlot(0, slot);
  return agrees;
}

/** `count` ids from all over the vocabulary. */
function spreadTokens(vocabSize: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => Math.floor(((i + 1) * vocabSize) / (count + 1)));
}

interface Probe {
  readonly replica: number;
  readonly slot: number;
  readonly position: number; // 0: of a sequence that begins
  readonly tokens: Int32Array;
}

/** What is drawn after the last of the tokens. */
async function probe(backend: Backend, asked: Probe): Promise<TokenLogprobs> {
  const [last] = await probeAll(backend, { ...asked, sampleCount: 1 });
  return last!;
}

function probeAll(
  backend: Backend,
  { replica, slot, position, tokens, sampleCount }: Probe & { readonly sampleCount: number },
): Promise<readonly TokenLogprobs[]> {
  const sampling = { ...greedySampling, logprobs: Math.min(rankCount, backend.limits.logprobsMax) };
  const row = {
    ...{ sequenceId: 0, slot, position, tokens, sampling },
    ...{ sampleCount, promptCount: position + tokens.length, history: null, masks: null },
  };
  if (position === 0) backend.releaseSlot(replica, slot);
  return new Promise((resolve, reject) => {
    const done = (outcome: StepOutcome) => {
      const problem = outcome.ok ? outcome.rows[0]!.failure : outcome.failure.message;
      if (outcome.ok && problem === undefined) resolve(outcome.rows[0]!.logprobs!);
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
