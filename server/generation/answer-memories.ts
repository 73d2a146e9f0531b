// One memory of answers for each key, to guess from. Owns how many there are and how long they last: the one that was not
// asked for longest goes first, and nothing outlives an idle session. Never lets one key's answers near another's.
// Before it: generation.ts, native sessions that end; after it: server/engine/answer-memory.ts.
import type { Clock } from '../../kernels/clock.ts';
import { AnswerMemory } from '../engine/answer-memory.ts';

export interface MemoryBounds {
  readonly tokensMax: number; // of each key; 0: nothing is remembered
  readonly keyCountMax: number;
  readonly idleTimeoutMs: number; // older answers are forgotten
}

export class AnswerMemories {
  readonly #bounds: MemoryBounds;
  readonly #clock: Clock;
  readonly #memories = new Map<string, AnswerMemory>(); // by owner, the one used last at the end

  constructor(bounds: MemoryBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  get tokenCount(): number {
    let count = 0;
    for (const memory of this.#memories.values()) count += memory.tokenCount;
    return count;
  }

  /** Null where nothing is remembered. Also forgets, of all owners, what is too old. */
  of(owner: string): AnswerMemory | null {
    const { tokensMax, keyCountMax } = this.#bounds;
    if (tokensMax === 0) return null;
    this.#forgetOld();
    const memory = this.#memories.get(owner) ?? new AnswerMemory(tokensMax);
    this.#memories.delete(owner);
    this.#memories.set(owner, memory);
    if (this.#memories.size > keyCountMax) this.#memories.delete(this.#memories.keys().next().value!);
    return memory;
  }

  remember(owner: string, session: string | null, tokens: readonly number[]): void {
    this.of(owner)?.remember(session, tokens, this.#clock.nowMs());
  }

  /** The session is over. */
  forget(owner: string, session: string): void {
    this.#memories.get(owner)?.forget(session);
  }

  #forgetOld(): void {
    const atMs = this.#clock.nowMs() - this.#bounds.idleTimeoutMs;
    for (const [owner, memory] of this.#memories) {
      memory.forgetBefore(atMs);
      if (memory.tokenCount === 0) this.#memories.delete(owner);
    }
  }
}
