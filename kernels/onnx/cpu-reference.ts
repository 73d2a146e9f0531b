// What the cpu says of a few tokens, for a device to be compared with: one session, opened for one run. Before it:
// backend.ts, for self-test.ts; after it: bindings.ts.
import type { ModelSpec } from '../../models/spec.ts';
import { GraphBindings } from './bindings.ts';
import { allocateSeats, type KvShape } from './kv-memory.ts';
import type { GraphSession } from './runtime.ts';

/** Natural logarithms of probabilities after each of `tokens` (at most 64): n arrays of [vocabSize]. */
export function logprobsOf(
  session: GraphSession,
  { spec, topCount }: { readonly spec: ModelSpec; readonly topCount: number },
  tokens: Int32Array,
): Float32Array[] {
  const { layerCount, kvHeadCount, headSize, vocabSize } = spec;
  const count = tokens.length;
  const places = { slotCount: 1, slotTokensMax: count, blockSize: 1, blockCount: 0 };
  const shape: KvShape = { layerCount, kvHeadCount, headSize, ...places, scales: null };
  const bounds = { topCount, vocabSize, runTokensMax: count, logitRowsMax: count };
  const bindings = new GraphBindings(session, { shape, seats: allocateSeats(shape, 'private') }, bounds);
  bindings.inputIds.set(tokens);
  bindings.seqlensK[0] = count - 1;
  bindings.totalSequenceLength[0] = count;
  for (let row = 0; row < count; row++) bindings.logitRows[row] = row;
  bindings.get({ slotStart: 0, slotCount: 1, tokenCount: count, logitRowCount: count }).run();
  bindings.release();
  return Array.from({ length: count }, (_, row) => {
    const logits = bindings.logits.subarray(row * vocabSize, (row + 1) * vocabSize);
    return logits.map((logit) => logit - bindings.logsumexp[row]!);
  });
}
