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
import {
  cellWords,
  controlWords,
  placeWords,
  rowWords,
  runWords,
  type StepFrame,
  samplingWords,
} from './step-frame.ts';

export class PlanWriter {
  readonly #frame: StepFrame;
  readonly #limits: BackendLimits;
  readonly #list: RunList;
  readonly #rowBySlot: Int32Array; // [slotCount] of the plan being written, only its seats are valid
  // [slotCount] tokens a seat may hold: positions from here on are free to write to. Never too low; too high after
  // rejected drafts and rounds that were not run, which is harmless.
  readonly #computedCounts: Int32Array;

  constructor(frame: StepFrame, limits: BackendLimits) {
    this.#frame = frame;
    this.#limits = limits;
    this.#list = new RunList(limits.slotCount);
    this.#rowBySlot = new Int32Array(limits.slotCount);
    this.#computedCounts = new Int32Array(limits.slotCount);
  }

  releaseSlot(slot: number): void {
    this.#computedCounts[slot] = 0;
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
    let sampleStart = 0;
    let rare: RareSampling[] | null = null;
    for (let index = 0; index < plan.rows.length; index++) {
      const row = plan.rows[index]!;
      assert(
        row.position <= this.#computedCounts[row.slot]!,
        `slot ${row.slot} holds less than the row needs`,
      );
      this.#rowBySlot[row.slot] = index;
      this.#writeRow(row, index, sampleStart);
      sampleStart += row.sampleCount;
      if (row.sampleCount > 0 && isRare(row)) {
        const { logitBias, stopTokenIds } = row.sampling;
        rare ??= [];
        rare.push({ row: index, logitBias, stopTokenIds });
      }
    }
    groupRows(
      plan.rows,
      { computedCounts: this.#computedCounts, slotTokensMax: this.#limits.slotTokensMax },
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
      const tokens: number[] = [];
      const logprobs: TokenLogprobs[] | null = row.sampling.logprobs === null ? null : [];
      for (let i = 0; i < row.sampleCount; i++, sample++) {
        tokens.push(this.#frame.drawn[sample]!);
        logprobs?.push(this.#readLogprobs(sample, row.sampling.logprobs!));
      }
      rows.push({ tokens, logprobs });
    }
    return { ok: true, rows, deviceMs: this.#frame.deviceMs[round]! };
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

  #writeRow(row: StepRow, index: number, sampleStart: number): void {
    const { rows, sampling, histories, hasMask, masks, maskSize } = this.#frame;
    const at = index * rowWords.size;
    rows[at + rowWords.sampleCount] = row.sampleCount;
    rows[at + rowWords.sampleStart] = sampleStart;
    rows[at + rowWords.drawPosition] = row.position + row.tokens.length - row.sampleCount + 1;
    rows[at + rowWords.promptCount] = row.promptCount;
    rows[at + rowWords.slot] = row.slot;
    rows[at + rowWords.hasHistory] = row.history === null ? 0 : 1;
    if (row.sampleCount === 0) return;
    if (row.history !== null) histories.set(row.history, row.slot * this.#limits.slotTokensMax);
    writeSampling(sampling, index * samplingWords.size, row);
    for (let i = 0; i < row.sampleCount; i++) {
      const mask = row.masks?.[i] ?? null;
      hasMask[sampleStart + i] = mask === null ? 0 : 1;
      if (mask !== null) masks.set(mask, (sampleStart + i) * maskSize);
    }
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

/** Rows whose sampling needs a map or a list; the lists are short-lived or small, so they are cloned. */
function isRare(row: StepRow): boolean {
  const { logitBias, minTokens, stopTokenIds } = row.sampling;
  const outputCount = row.position + row.tokens.length - row.sampleCount + 1 - row.promptCount;
  return logitBias !== null || (outputCount < minTokens && stopTokenIds.length > 0);
}

function writeSampling(sampling: Float64Array, at: number, row: StepRow): void {
  const params = row.sampling;
  sampling[at + samplingWords.temperature] = params.temperature;
  sampling[at + samplingWords.topP] = params.topP;
  sampling[at + samplingWords.topK] = params.topK;
  sampling[at + samplingWords.minP] = params.minP;
  sampling[at + samplingWords.repetitionPenalty] = params.repetitionPenalty;
  sampling[at + samplingWords.frequencyPenalty] = params.frequencyPenalty;
  sampling[at + samplingWords.presencePenalty] = params.presencePenalty;
  sampling[at + samplingWords.seed] = params.seed;
  sampling[at + samplingWords.stream] = params.stream;
  sampling[at + samplingWords.logprobs] = params.logprobs ?? -1;
  sampling[at + samplingWords.minTokens] = params.minTokens;
}

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
