// What a device says when a test writes its lines: the answer to a prompt is a text, told token by token. Its "KV" is the
// tokens themselves, so the engine's prefix cache, seats and steps are the real ones. A line that the grammar of its
// request forbids is a mistake of the test, or of the grammar, and fails the step loudly.
import assert from 'node:assert/strict';
import {
  type BackendLimits,
  type KvRestore,
  type KvSave,
  maskAllows,
  type RowOutcome,
  type StepRow,
} from '../kernels/backend.ts';
import type { TokenSource } from '../kernels/sim/token-source.ts';

export interface ScriptedTokensWorld {
  readonly limits: BackendLimits;
  readonly decode: (tokens: Int32Array) => string; // special tokens written out
  readonly encode: (text: string) => Int32Array;
  readonly stopToken: number;
  /** The model's answer to a prompt. Called once per prompt and pure, or seats would not agree. */
  readonly say: (prompt: string) => string;
}

export class ScriptedTokens implements TokenSource {
  readonly #world: ScriptedTokensWorld;
  readonly #seats: number[][][]; // [replica][slot] tokens
  readonly #store: number[][];
  readonly #answers = new Map<string, Int32Array>(); // by prompt
  /** Why the last refused line was refused. */
  fault: string | null = null;

  constructor(world: ScriptedTokensWorld) {
    this.#world = world;
    const { replicaCount, slotCount } = world.limits;
    this.#seats = Array.from({ length: replicaCount }, () => Array.from({ length: slotCount }, () => []));
    this.#store = [];
  }

  restore(replica: number, { slot, position, blocks }: KvRestore): void {
    const seat = this.#seats[replica]![slot]!;
    seat.length = position;
    for (const block of blocks) for (const token of this.#store[block]!) seat.push(token);
  }

  compute(replica: number, row: StepRow): RowOutcome {
    const seat = this.#seats[replica]![row.slot]!;
    assert(seat.length >= row.position, 'a row begins where its seat ends');
    seat.length = row.position;
    const tokens: number[] = [];
    for (const [index, token] of row.tokens.entries()) {
      seat.push(token);
      const sample = index - (row.tokens.length - row.sampleCount);
      if (sample >= 0) tokens.push(this.#next(seat, row, row.masks?.[sample] ?? null));
    }
    const logprob = { logprob: -0.1, topTokens: [], topLogprobs: [] };
    return { tokens, logprobs: row.sampling.logprobs === null ? null : tokens.map(() => logprob) };
  }

  save(replica: number, { slot, position, block }: KvSave): void {
    const { blockSize } = this.#world.limits;
    this.#store[block] = this.#seats[replica]![slot]!.slice(position, position + blockSize);
  }

  releaseSlot(replica: number, slot: number): void {
    this.#seats[replica]![slot]! = [];
  }

  loseSlots(replica: number): void {
    this.#seats[replica] = this.#seats[replica]!.map(() => []);
  }

  loseBlocks(): void {
    this.#store.length = 0;
  }

  #next(seat: readonly number[], { promptCount }: StepRow, mask: Uint32Array | null): number {
    const answer = this.#answerTo(Int32Array.from(seat.slice(0, promptCount)));
    const next = answer[seat.length - promptCount] ?? this.#world.stopToken;
    if (mask === null || maskAllows(mask, next)) return next;
    // After a guess that was wrong nobody wants what comes next.
    if (seat.slice(promptCount).some((token, index) => token !== answer[index])) return this.#world.stopToken;
    const said = this.#world.decode(answer.subarray(0, seat.length - promptCount));
    const wanted = this.#world.decode(Int32Array.of(next));
    this.fault = `after ${JSON.stringify(said)} the grammar forbids ${JSON.stringify(wanted)}`;
    throw new Error(this.fault);
  }

  #answerTo(prompt: Int32Array): Int32Array {
    const key = prompt.join();
    let answer = this.#answers.get(key);
    if (answer === undefined) {
      answer = this.#world.encode(this.#world.say(this.#world.decode(prompt)));
      this.#answers.set(key, answer);
    }
    return answer;
  }
}
