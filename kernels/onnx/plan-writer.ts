// PlanWriter: a step plan → the numbers of a StepFrame, and the worker's numbers → a step outcome. Main thread only.
// Owns what each seat holds, because gaps between decode rows are filled with rows that may only write where nothing
// has been computed yet. Before it: replica.ts; after it: the frame, read by device.ts in the worker.
import assert from 'node:assert/strict';
import type {
  BackendLimits,
  RoundOutcome,
  RowOutcome,
  StepPlan,
  StepRow,
  TokenLogprobs,
} from '../backend.ts';
import type { RareSampling } from './messages.ts';
import { groupRows, RunList } from './row-groups.ts';
import { RowInputsWriter } from './row-inputs.ts';
import { cellWords, controlWords, placeWords, runWords, type StepFrame, undrawn } from './step-frame.ts';

export class PlanWriter {
  readonly #frame: StepFrame;
  readonly #limits: BackendLimits;
  readonly #list: RunList;
  readonly #inputs: RowInputsWriter;
  readonly #fromFirst: boolean; // see SeatedTokens
  readonly #rowBySlot: Int32Array; // [slotCount] index of the row in the plan being written, −1: none
  // [slotCount] tokens a seat may hold: positions from here on are free to write to. Never too low; too high after
  // rejected drafts and rounds that were not run, which is harmless.
  readonly #computedCounts: Int32Array;

  constructor(frame: StepFrame, limits: BackendLimits, fromFirst = false) {
    this.#frame = frame;
    this.#fromFirst = fromFirst;
    this.#limits = limits;
    this.#list = new RunList(limits.slotCount);
    this.#inputs = new RowInputsWriter(frame, limits.slotTokensMax);
    this.#rowBySlot = new Int32Array(limits.slotCount);
    this.#computedCounts = new Int32Array(limits.slotCount);
  }

  releaseSlot(slot: number): void {
    this.#computedCounts[slot] = 0;
  }

  /** Nothing but rows of its own is written before `tokenCount` from now on. False: it does not hold that much. */
  keepSlot(slot: number, tokenCount: number): boolean {
    if (this.#computedCounts[slot]! < tokenCount) return false; // it is another one since: seats were lost
    this.#computedCounts[slot] = tokenCount;
    return true;
  }

  /**
   * Fills the frame. Returns what does not fit into numbers, null where there is none. Seats count as holding the
   * step's tokens from now on, whether the step succeeds or not.
   */
  write(plan: StepPlan): readonly RareSampling[] | null {
    const { control } = this.#frame;
    control[controlWords.restoreCount] = this.#writeRestores(plan);
    control[controlWords.saveCount] = this.#writeSaves(plan);
    control[controlWords.rowCount] = plan.rows.length;
    control[controlWords.rounds] = plan.rounds ?? 1;
    control[controlWords.interrupted] = 0;
    this.#inputs.begin();
    this.#rowBySlot.fill(-1);
    let rare: RareSampling[] | null = null;
    for (let index = 0; index < plan.rows.length; index++) {
      const row = plan.rows[index]!;
      assert(
        row.position <= this.#computedCounts[row.slot]!,
        `slot ${row.slot} holds less than the row needs`,
      );
      this.#rowBySlot[row.slot] = index;
      const rest = this.#inputs.write(row);
      if (rest !== null) rare = [...(rare ?? []), rest];
    }
    groupRows(
      plan.rows,
      {
        computedCounts: this.#computedCounts,
        slotTokensMax: this.#limits.slotTokensMax,
        fromFirst: this.#fromFirst,
      },
      this.#list,
    );
    this.#writeRuns(plan);
    return rare;
  }

  /** What round `round` ≥ 0 of `plan` has drawn, read from the frame. */
  read(plan: StepPlan, round: number): RoundOutcome {
    const rows: RowOutcome[] = [];
    let sample = round * plan.rows.length; // several rounds have one sample in each row
    for (const row of plan.rows) {
      rows.push(this.#readRow(row, sample));
      sample += row.sampleCount;
    }
    return { ok: true, rows, deviceMs: this.#frame.deviceMs[round]! };
  }

  #readRow({ sampleCount, sampling, targets }: StepRow, start: number): RowOutcome {
    const { control, drawn, drawnSteps } = this.#frame;
    const tokens: number[] = [];
    const logprobs: TokenLogprobs[] | null = sampling.logprobs === null ? null : [];
    for (let sample = start; sample < start + sampleCount; sample++) {
      assert(drawnSteps[sample] === control[controlWords.step], "another step's answer");
      const token = drawn[sample]!;
      if (token < 0) return { tokens, logprobs, failure: causes[token]! };
      tokens.push(token);
      const read = logprobs === null ? null : this.#readLogprobs(sample, sampling.logprobs!);
      const judged = (targets?.[sample - start] ?? -1) >= 0;
      if (read !== null) logprobs!.push(judged ? { ...read, rank: this.#frame.ranks[sample]! } : read);
    }
    return { tokens, logprobs };
  }

  #writeRestores({ restores }: StepPlan): number {
    let count = 0;
    for (const { slot, position, blocks } of restores) {
      for (let i = 0; i < blocks.length; i++) {
        const start = position + i * this.#limits.blockSize;
        writePlace(this.#frame.restores, count++, { slot, position: start, block: blocks[i]! });
      }
      this.#computedCounts[slot] = position + blocks.length * this.#limits.blockSize;
    }
    return count;
  }

  #writeSaves({ saves }: StepPlan): number {
    for (let i = 0; i < saves.length; i++) writePlace(this.#frame.saves, i, saves[i]!);
    return saves.length;
  }

  #writeRuns(plan: StepPlan): void {
    const { control, runs, cells, tokens } = this.#frame;
    const list = this.#list;
    const { rounds = 1 } = plan;
    let cell = 0;
    let token = 0;
    for (let index = 0; index < list.count; index++) {
      const { slotStart, slotCount, tokenCount } = list.runs[index]!;
      runs[index * runWords.size + runWords.slotStart] = slotStart;
      runs[index * runWords.size + runWords.slotCount] = slotCount;
      runs[index * runWords.size + runWords.tokenCount] = tokenCount;
      for (let slot = slotStart; slot < slotStart + slotCount; slot++, cell++, token += tokenCount) {
        // A seat within a decode run that has no decode row fills a gap.
        const rowIndex = tokenCount === 1 ? list.rowBySlot[slot]! : this.#rowBySlot[slot]!;
        const row = rowIndex === -1 ? null : plan.rows[rowIndex]!;
        const position = row === null ? this.#computedCounts[slot]! : row.position;
        cells[cell * cellWords.size + cellWords.row] = rowIndex;
        cells[cell * cellWords.size + cellWords.position] = position;
        if (row === null) {
          tokens[token] = 0;
          continue;
        }
        tokens.set(row.tokens, token);
        // Chunks run after all decode runs, so a gap before this seat's chunk writes where the chunk will.
        this.#computedCounts[slot] = position + tokenCount + rounds - 1;
      }
    }
    control[controlWords.runCount] = list.count;
  }

  #readLogprobs(sample: number, count: number): TokenLogprobs {
    const { logprobs, topTokens, topLogprobs, logprobsMax } = this.#frame;
    const start = sample * logprobsMax;
    return {
      logprob: logprobs[sample]!,
      topTokens: Array.from(topTokens.subarray(start, start + count)),
      topLogprobs: Array.from(topLogprobs.subarray(start, start + count)),
    };
  }
}

const causes: Readonly<Record<number, string>> = {
  [undrawn.model]: 'the model gave logits that are not finite',
  [undrawn.parameters]: 'bias and penalties made of the logits what is no distribution',
  [undrawn.inputs]: 'the inputs of the row were not those of its step',
};

function writePlace(
  places: Int32Array,
  index: number,
  place: { readonly slot: number; readonly position: number; readonly block: number },
): void {
  const at = index * placeWords.size;
  assert(at + placeWords.size <= places.length, 'more blocks than seats can hold');
  places[at + placeWords.slot] = place.slot;
  places[at + placeWords.position] = place.position;
  places[at + placeWords.block] = place.block;
}
