// Who sits where on the device, in counts, for those who watch the server. Pure. Before it: engine.ts; after it: the routes
// that tell (llama/props.ts).
import type { KvLoad } from './floor.ts';
import type { Sequence } from './sequence.ts';

/** A sequence that is being computed. */
export interface Seat {
  readonly replica: number;
  readonly slot: number; // of the replica
  readonly promptTokens: number;
  readonly cachedTokens: number; // of the prompt
  readonly computedTokens: number;
  readonly outputTokens: number; // drawn
  readonly outputTokensMax: number;
}

export interface EngineLoad {
  readonly waitingCount: number;
  readonly runningCount: number;
  readonly kv: KvLoad;
  readonly seats: readonly Seat[];
}

export function seatsOf(sequences: Iterable<Sequence>): readonly Seat[] {
  const seated = [...sequences].filter(({ phase }) => phase === 'running');
  return seated.map(({ replica, slot, promptCount, cachedCount, computedCount, outputCount, request }) => ({
    replica,
    slot,
    promptTokens: promptCount,
    cachedTokens: cachedCount,
    computedTokens: computedCount,
    outputTokens: outputCount,
    outputTokensMax: request.maxTokens,
  }));
}
