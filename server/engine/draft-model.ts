// DraftModel: a small model on a device of its own that guesses what sequences will say next. Every seat of the engine's
// device has its twin here, so a sequence's guesses are computed where its twin sits; between two steps of a replica it
// catches up with the text and draws a few tokens. It decides nothing about the answer: drafter.ts offers its guesses,
// the engine's device verifies them. When its device fails it is off for good. Before it: floor.ts.
import assert from 'node:assert/strict';
import type {
  Backend,
  BackendLimits,
  DeviceFailure,
  RoundOutcome,
  StepCosts,
  StepOutcome,
  StepRow,
} from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import { decodeCostMs } from './decode-cost.ts';
import { DraftPace } from './draft-pace.ts';
import type { Sequence } from './sequence.ts';
import { mayDraft } from './sequence-draft.ts';

/** What the twin of a seat has computed. */
interface Twin {
  sequenceId: number; // 0: nobody's
  count: number; // leading tokens of the text that are computed here
  guesses: readonly number[]; // tokens after them that were drawn and computed here, and may not come true
  mute: boolean; // the draft model has no distribution for its text: it is not asked for it again
}

/** A sequence, and how many tokens to guess for it. */
interface Wish {
  readonly sequence: Sequence;
  readonly slot: number;
  readonly count: number; // ≥ 1
}

const forgetting = 0.98; // of the record, per sequence that sits down: a model that was useless is tried again
const priorRight = 1.4; // imagined guesses behind the record: 70 % of two are right
const priorCount = 2;
const chunkTokensMax = 128; // to catch up with between two steps
const abreastMax = 16; // tokens that one step catches up with, however many decode

export class DraftModel {
  readonly #backend: Backend;
  readonly #costs: StepCosts | null;
  readonly #clock: Clock;
  readonly #onLost: (failure: DeviceFailure) => void;
  readonly #pace: DraftPace;
  readonly #twins: Twin[][]; // [replica][slot]
  readonly #busy: boolean[]; // [replica] guesses are under way
  readonly #ready: boolean[]; // [replica] they have come; the next step may be planned
  #lost = false;
  #right = 0;
  #wrong = 0;

  /** `onLost` is called once, when the device has failed and nothing is guessed here any more. */
  constructor(backend: Backend, clock: Clock, onLost: (failure: DeviceFailure) => void) {
    const { replicaCount, slotCount } = backend.limits;
    this.#backend = backend;
    this.#costs = backend.costs ?? null;
    this.#clock = clock;
    this.#onLost = onLost;
    this.#pace = new DraftPace(replicaCount);
    this.#twins = Array.from({ length: replicaCount }, () =>
      Array.from({ length: slotCount }, () => ({ sequenceId: 0, count: 0, guesses: [], mute: false })),
    );
    this.#busy = new Array(replicaCount).fill(false);
    this.#ready = new Array(replicaCount).fill(false);
  }

  /** Whether it can guess for every seat of a device, in the same vocabulary. */
  fits({ replicaCount, slotCount, vocabSize }: BackendLimits): boolean {
    const own = this.#backend.limits;
    return own.replicaCount >= replicaCount && own.slotCount >= slotCount && own.vocabSize === vocabSize;
  }

  get quiet(): boolean {
    return !this.#busy.includes(true);
  }

  /**
   * Begins to guess for those seated at a replica, if that pays. True while guesses are under way: the replica's next
   * step is to be planned after `done`, which is called later, never in the caller's stack.
   */
  prepare(
    replica: number,
    seated: readonly Sequence[],
    device: { readonly limits: BackendLimits; readonly costs: StepCosts | null },
    done: () => void,
  ): boolean {
    if (this.#busy[replica]) return true;
    if (this.#ready[replica] || this.#lost || device.costs === null || this.#costs === null) {
      this.#ready[replica] = false;
      return false;
    }
    const decoding = seated.filter(isDecoding);
    const undisturbed = decoding.length === seated.length;
    const nowMs = this.#clock.nowMs();
    const decodeMs = decodeCostMs(device.costs, decoding.length);
    this.#pace.end(replica, undisturbed ? decoding : [], { nowMs, decodeMs });
    const wishes: Wish[] = [];
    for (const sequence of decoding) {
      const count = this.#wishedCount(sequence, device.limits, device.costs, decoding.length);
      if (count > 0) wishes.push({ sequence, slot: sequence.slot, count });
    }
    const predictedMs = wishes.length === 0 ? null : this.#predictedMs(wishes, device.costs);
    // With much to catch up with, some are decoded without guesses meanwhile: nothing is learned of such a cycle.
    const abreast = wishes.every((wish) => this.#missingCount(wish) <= abreastMax);
    this.#pace.turn(replica, undisturbed && abreast ? decoding : [], { nowMs, predictedMs });
    if (wishes.length === 0) return false;
    this.#busy[replica] = true;
    const end = () => {
      this.#busy[replica] = false;
      this.#ready[replica] = true;
      done();
    };
    this.#catchUp(replica, wishes, end);
    return true;
  }

  /** What became of guesses that came from here: the first `accepted` of `count` were right. */
  learn({ count, accepted }: { readonly count: number; readonly accepted: number }): void {
    this.#right += accepted;
    this.#wrong += accepted < count ? 1 : 0;
  }

  // Guesses that pay for themselves, and for catching up: of what is to come, as much counts as there has been.
  #wishedCount(sequence: Sequence, limits: BackendLimits, costs: StepCosts, decodingCount: number): number {
    const own = this.#backend.limits;
    const { request, tokenCount, outputCount } = sequence;
    const countMax = Math.min(
      request.speculation!.draftTokensMax,
      costs.rowMs.length - 1,
      own.roundsMax ?? 1,
      request.maxTokens - outputCount - 1,
      limits.slotTokensMax - tokenCount,
      own.slotTokensMax - tokenCount,
    );
    if (countMax < 1 || this.#isMute(sequence)) return 0;
    if (mayDraft(sequence, limits, costs, decodingCount)) return 0;
    const load = { decodingCount, contextTokens: tokenCount };
    const guessing = {
      countMax,
      roundMs: decodeCostMs(this.#costs!, decodingCount) / decodingCount,
      slowness: this.#pace.slowness,
      rate: (this.#right + priorRight) / (this.#right + this.#wrong + priorCount),
    };
    const { count, savedMs } = sequence.speculation!.worthGuessing(guessing, costs, load);
    if (count === 0) return 0;
    const missingCount = tokenCount - this.#heldCount(sequence) - 1;
    const tokenMs = this.#tokenMs();
    const expectedCount = Math.min(request.maxTokens - outputCount, Math.max(outputCount, expectedTokensMin));
    return savedMs * expectedCount > missingCount * tokenMs ? count : 0;
  }

  /** Of the cycle that these wishes begin: catching up, guesses, and a longer row for each in a step of all. */
  #predictedMs(wishes: readonly Wish[], { rowMs }: StepCosts): number {
    const rounds = Math.max(...wishes.map(({ count }) => count));
    let sum = rounds * decodeCostMs(this.#costs!, wishes.length);
    for (const wish of wishes) sum += this.#missingCount(wish) * this.#tokenMs() + rowMs[wish.count]!;
    return sum;
  }

  /** Tokens before the last one that its twin has not computed. */
  #missingCount({ sequence, slot }: Wish): number {
    return sequence.tokenCount - 1 - this.#twins[sequence.replica]![slot]!.count;
  }

  #isMute({ id, replica, slot }: Sequence): boolean {
    const { sequenceId, mute } = this.#twins[replica]![slot]!;
    return mute && sequenceId === id;
  }

  /** Of each token to catch up with. */
  #tokenMs(): number {
    const { rowMs, chunkTokenMs } = this.#costs!;
    return chunkTokenMs ?? rowMs.at(-1)! / rowMs.length;
  }

  // Tokens of the text that its twin has computed; guesses that came true are among them.
  #heldCount({ id, replica, slot, tokens, tokenCount }: Sequence): number {
    const twin = this.#twins[replica]![slot]!;
    if (twin.sequenceId !== id) {
      this.#right *= forgetting;
      this.#wrong *= forgetting;
      this.#pace.forget(1 - forgetting);
      this.#backend.releaseSlot(replica, slot);
      twin.sequenceId = id;
      twin.count = 0;
      twin.guesses = [];
      twin.mute = false;
    }
    for (const guess of twin.guesses) {
      if (twin.count >= tokenCount || tokens[twin.count] !== guess) break;
      twin.count++;
    }
    twin.guesses = [];
    twin.count = Math.min(twin.count, tokenCount - 1); // the last one is computed again: we need what follows it
    return twin.count;
  }

  // What is missing before the last token, as far as one step goes; then guesses for those who have it all.
  #catchUp(replica: number, wishes: readonly Wish[], end: () => void): void {
    const { rowTokensMax, stepTokensMax } = this.#backend.limits;
    let room = Math.min(stepTokensMax, chunkTokensMax);
    const rows: StepRow[] = [];
    for (const { sequence, slot } of wishes) {
      const { count } = this.#twins[replica]![slot]!;
      const length = Math.min(sequence.tokenCount - 1 - count, rowTokensMax, room);
      if (length < 1) continue;
      room -= length;
      rows.push(rowOf(sequence, { slot, from: count, to: count + length, draws: false }));
    }
    if (rows.length === 0) {
      this.#guess(replica, wishes, end);
      return;
    }
    this.#step(replica, { rows, rounds: 1 }, (outcome) => {
      if (outcome === null) return end();
      for (const row of rows) this.#twins[replica]![row.slot]!.count += row.tokens.length;
      this.#guess(replica, wishes, end);
    });
  }

  #guess(replica: number, wishes: readonly Wish[], end: () => void): void {
    const abreast = wishes.filter(({ sequence, slot }) => {
      return sequence.slot === slot && this.#twins[replica]![slot]!.count === sequence.tokenCount - 1;
    });
    if (abreast.length === 0) {
      this.#clock.defer(end);
      return;
    }
    const rounds = Math.max(...abreast.map(({ count }) => count));
    const rows = abreast.map(({ sequence, slot }) => {
      const { tokenCount } = sequence;
      return rowOf(sequence, { slot, from: tokenCount - 1, to: tokenCount, draws: true });
    });
    this.#step(replica, { rows, rounds }, (outcomes) => {
      if (outcomes === null) return end();
      for (const [index, { sequence, slot, count }] of abreast.entries()) {
        // None from the round on in which it could not be sampled: the others are not touched by that.
        const drawn = outcomes.flatMap(({ rows: drawnRows }) => drawnRows[index]!.tokens);
        const twin = this.#twins[replica]![slot]!;
        twin.count++;
        twin.mute = drawn.length < outcomes.length;
        if (drawn.length === 0) continue;
        twin.guesses = drawn.slice(0, -1); // the last one was drawn and not computed
        const tokens = Int32Array.from(drawn.slice(0, count));
        sequence.hear({ tokenCount: twin.count, tokens });
      }
      end();
    });
  }

  // Answers the rounds that came, or null when the device has failed.
  #step(
    replica: number,
    { rows, rounds }: { readonly rows: readonly StepRow[]; readonly rounds: number },
    answer: (outcomes: readonly RoundOutcome[] | null) => void,
  ): void {
    const outcomes: RoundOutcome[] = [];
    const done = (outcome: StepOutcome) => {
      if (outcome.ok) return answer([...outcomes, outcome]);
      this.#lose(outcome.failure);
      answer(null);
    };
    this.#backend.step({ replica, restores: [], rows, saves: [], rounds }, done, (told) => {
      outcomes.push(...told);
    });
  }

  #lose(failure: DeviceFailure): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#onLost(failure);
  }
}

const expectedTokensMin = 16; // an answer is taken to go on for as long as it has, and for so many at least

function isDecoding(sequence: Sequence): boolean {
  const { request, paused, departure, ending, remainingCount, outputCount } = sequence;
  if (request.speculation === null || paused || departure !== null || ending !== null) return false;
  return remainingCount === 1 && outputCount > 0;
}

function rowOf(
  { id, tokens, promptCount, request: { sampling } }: Sequence,
  row: { readonly slot: number; readonly from: number; readonly to: number; readonly draws: boolean },
): StepRow {
  const { slot, from, to, draws } = row;
  assert(from < to);
  const penalised =
    sampling.repetitionPenalty !== 1 || sampling.frequencyPenalty !== 0 || sampling.presencePenalty !== 0;
  return {
    ...{ sequenceId: id, slot, position: from, tokens: tokens.subarray(from, to), promptCount },
    sampleCount: draws ? 1 : 0,
    sampling: { ...sampling, logprobs: null }, // the same draw as the engine's device will make
    history: draws && penalised ? tokens.subarray(0, to) : null,
    masks: null,
  };
}
