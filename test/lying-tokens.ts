// What a draft model of the simulated device says: the device's own tokens, some of them wrong by chance. Its KV is
// checked like any other's, so a draft model that loses track of the text is noticed. Used by tests of drafting.
import type { BackendLimits, KvRestore, KvSave, RowOutcome, StepRow } from '../kernels/backend.ts';
import type { Random } from '../kernels/random.ts';
import type { TokenSource } from '../kernels/sim/token-source.ts';
import { WitnessTokens } from '../kernels/sim/witness.ts';

export class LyingTokens implements TokenSource {
  readonly #honest: WitnessTokens;
  readonly #share: number;
  readonly #random: Random;
  readonly #vocabSize: number;

  /** `share` of the tokens are wrong, 0 to 1. */
  constructor(limits: BackendLimits, { share, random }: { readonly share: number; readonly random: Random }) {
    this.#honest = new WitnessTokens(limits);
    this.#share = share;
    this.#random = random;
    this.#vocabSize = limits.vocabSize;
  }

  compute(replica: number, row: StepRow): RowOutcome {
    const outcome = this.#honest.compute(replica, row);
    const tokens = outcome.tokens.map((token) => {
      if (this.#random.next() >= this.#share) return token;
      return (token + this.#random.integer(1, this.#vocabSize - 1)) % this.#vocabSize;
    });
    return { ...outcome, tokens };
  }

  restore(replica: number, restore: KvRestore): void {
    this.#honest.restore(replica, restore);
  }

  save(replica: number, save: KvSave): void {
    this.#honest.save(replica, save);
  }

  releaseSlot(replica: number, slot: number): void {
    this.#honest.releaseSlot(replica, slot);
  }

  loseSlots(replica: number): void {
    this.#honest.loseSlots(replica);
  }

  loseBlocks(): void {
    this.#honest.loseBlocks();
  }
}
