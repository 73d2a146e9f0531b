// TokenSource: what a simulated device says, apart from when it says it. witness.ts is the one that checks the
// engine; PlainTokens here costs next to nothing and knows nothing of KV.
import type { KvRestore, KvSave, RowOutcome, StepRow } from '../backend.ts';
import { mix32 } from '../random.ts';

/** Called in the order of a step: restores, rows, saves. */
export interface TokenSource {
  restore(replica: number, restore: KvRestore): void;
  /** row.sampleCount tokens, and logprobs if the row asks for them. */
  compute(replica: number, row: StepRow): RowOutcome;
  save(replica: number, save: KvSave): void;
  releaseSlot(replica: number, slot: number): void;
  /** The first `tokenCount` tokens of the seat stay, and nothing else of it. Absent: it knows of no KV. */
  keepSlot?(replica: number, slot: number, tokenCount: number): void;
  loseSlots(replica: number): void;
  loseBlocks(): void;
  // A source that knows of KV can copy its blocks out and in.
  readonly blockBytes?: number;
  readBlock?(block: number, into: Uint8Array): void;
  writeBlock?(block: number, content: Uint8Array): void;
}

const noRow: RowOutcome = { tokens: [], logprobs: null };

/**
 * Token ids in [idMin, idMin + idCount), decided by the sequence's seed, choice and position. No stop token is
 * recognised and no logprobs are given: for simulations that count tokens, not for serving.
 */
export class PlainTokens implements TokenSource {
  readonly #idMin: number;
  readonly #idCount: number;

  constructor({ idMin, idCount }: { readonly idMin: number; readonly idCount: number }) {
    this.#idMin = idMin;
    this.#idCount = idCount;
  }

  compute(_replica: number, row: StepRow): RowOutcome {
    const { sampleCount, sampling } = row;
    if (sampleCount === 0) return noRow;
    const first = row.position + row.tokens.length - sampleCount;
    if (sampleCount === 1)
      return { tokens: [this.#draw(sampling.seed, sampling.stream, first)], logprobs: null };
    const tokens: number[] = [];
    for (let index = 0; index < sampleCount; index++) {
      tokens.push(this.#draw(sampling.seed, sampling.stream, first + index));
    }
    return { tokens, logprobs: null };
  }

  restore(): void {}
  save(): void {}
  releaseSlot(): void {}
  loseSlots(): void {}
  loseBlocks(): void {}

  #draw(seed: number, stream: number, position: number): number {
    return this.#idMin + (mix32(seed ^ Math.imul(position + 1, 0x9e3779b1) ^ stream) % this.#idCount);
  }
}
