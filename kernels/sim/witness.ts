// WitnessTokens: tokens that depend on every token before them. Its "KV" is the tokens themselves, so it notices at
// once when a block was restored to the wrong place, overwritten or read before it was written. For tests and for
// serving text; a simulation of millions of requests takes token-source.ts's plain ones.
import assert from 'node:assert/strict';
import type { BackendLimits, KvRestore, KvSave, RowOutcome, StepRow, TokenLogprobs } from '../backend.ts';
import { rankOf, Sampler, SamplingError, tokenLogprobs } from '../sampling.ts';
import { babbleLogits, emptyContext, extendContext } from './babble.ts';
import type { TokenSource } from './token-source.ts';

export class WitnessTokens implements TokenSource {
  readonly #blockSize: number;
  readonly #seats: Seat[][]; // [replica][slot]
  readonly #store: (Int32Array | null)[]; // [blockCount] tokens of a saved block
  readonly #sampler: Sampler;
  readonly #logits: Float32Array; // [vocabSize]

  constructor(limits: BackendLimits) {
    this.#blockSize = limits.blockSize;
    this.#seats = Array.from({ length: limits.replicaCount }, () =>
      Array.from({ length: limits.slotCount }, () => new Seat()),
    );
    this.#store = new Array(limits.blockCount).fill(null);
    this.#sampler = new Sampler(limits.vocabSize);
    this.#logits = new Float32Array(limits.vocabSize);
  }

  restore(replica: number, { slot, position, blocks }: KvRestore): void {
    const seat = this.#seats[replica]![slot]!;
    seat.truncate(position);
    for (const block of blocks) {
      const tokens = this.#store[block];
      assert(tokens, `block ${block} was restored before it was saved`);
      for (const token of tokens) seat.append(token);
    }
  }

  compute(replica: number, row: StepRow): RowOutcome {
    const seat = this.#seats[replica]![row.slot]!;
    seat.truncate(row.position);
    const tokens: number[] = [];
    const logprobs: TokenLogprobs[] | null = row.sampling.logprobs === null ? null : [];
    const sampleFrom = row.tokens.length - row.sampleCount;
    for (const [index, token] of row.tokens.entries()) {
      seat.append(token);
      if (index < sampleFrom) continue;
      babbleLogits(seat.context, this.#logits);
      const logitsRow = { headValues: none, headIds: noIds, logits: this.#logits, logsumexp: 0 };
      const mask = row.masks?.[index - sampleFrom] ?? null;
      const place = { position: seat.length, promptCount: row.promptCount, history: row.history, mask };
      const target = row.targets?.[index - sampleFrom] ?? -1;
      try {
        tokens.push(target >= 0 ? target : this.#sampler.sample(logitsRow, row.sampling, place));
      } catch (error) {
        if (!(error instanceof SamplingError)) throw error;
        return { tokens, logprobs, failure: error.message };
      }
      if (logprobs === null) continue;
      const read = this.#logprobs(tokens.at(-1)!, row.sampling.logprobs!);
      logprobs.push(target >= 0 ? { ...read, rank: rankOf(this.#logits, target) } : read);
    }
    return { tokens, logprobs };
  }

  save(replica: number, { slot, position, block }: KvSave): void {
    this.#store[block] = this.#seats[replica]![slot]!.copy(position, position + this.#blockSize);
  }

  get blockBytes(): number {
    return 4 * this.#blockSize;
  }

  readBlock(block: number, into: Uint8Array): void {
    const tokens = this.#store[block];
    assert(tokens, `block ${block} was read before it was saved`);
    into.set(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
  }

  writeBlock(block: number, content: Uint8Array): void {
    this.#store[block] = new Int32Array(Uint8Array.from(content).buffer);
  }

  releaseSlot(replica: number, slot: number): void {
    this.#seats[replica]![slot]!.clear();
  }

  keepSlot(replica: number, slot: number, tokenCount: number): void {
    this.#seats[replica]![slot]!.truncate(tokenCount);
  }

  loseSlots(replica: number): void {
    for (const seat of this.#seats[replica]!) seat.clear();
  }

  loseBlocks(): void {
    this.#store.fill(null);
  }

  #logprobs(drawn: number, count: number) {
    const ids = Int32Array.from(this.#logits.keys()).sort(
      (a, b) => this.#logits[b]! - this.#logits[a]! || a - b,
    );
    const headIds = ids.subarray(0, count);
    const headValues = Float32Array.from(headIds, (id) => this.#logits[id]!);
    let sum = 0;
    for (const logit of this.#logits) sum += Math.exp(logit);
    return tokenLogprobs(
      { headIds, headValues, logits: this.#logits, logsumexp: Math.log(sum) },
      drawn,
      count,
    );
  }
}

const none = new Float32Array(0);
const noIds = new Int32Array(0);

// The tokens a seat has "computed", and the context after each of them.
class Seat {
  #tokens = new Int32Array(64);
  #contexts = new Int32Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get context(): number {
    return this.#length === 0 ? emptyContext : this.#contexts[this.#length - 1]! >>> 0;
  }

  append(token: number): void {
    if (this.#length === this.#tokens.length) {
      this.#tokens = doubled(this.#tokens);
      this.#contexts = doubled(this.#contexts);
    }
    this.#contexts[this.#length] = extendContext(this.context, token);
    this.#tokens[this.#length++] = token;
  }

  // Rows and restores may begin before the end (rejected drafts), never after it.
  truncate(length: number): void {
    assert(length <= this.#length, `position ${length} of a seat that holds ${this.#length} tokens`);
    this.#length = length;
  }

  copy(start: number, end: number): Int32Array {
    assert(end <= this.#length, `saved up to ${end} of ${this.#length} tokens`);
    return this.#tokens.slice(start, end);
  }

  clear(): void {
    this.#length = 0;
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}
