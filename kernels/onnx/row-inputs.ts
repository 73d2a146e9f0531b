// Row inputs: how each row of a step is to be drawn (parameters, place, history, masks), on their way through the
// frame. Owns both ends of it. Every record carries the number of the step it was written for, and is read only with
// that number; reading never moves on with the rounds of a step, so each round finds what was written for the first.
// What an older step has left behind cannot be seen: it is another step's, and asking for it fails the row.
import assert from 'node:assert/strict';
import { greedySampling, type SamplingParams, type StepRow } from '../backend.ts';
import type { DrawPlace } from '../sampling.ts';
import type { RareSampling } from './messages.ts';
import { controlWords, rowWords, type StepFrame, samplingWords } from './step-frame.ts';

/** A row or a sample whose inputs were written for another step than the one that reads them. */
export class StaleInputError extends Error {
  override readonly name = 'StaleInputError';
}

/** Main thread: fills the inputs of one step after the other. */
export class RowInputsWriter {
  readonly #frame: StepFrame;
  readonly #slotTokensMax: number;
  #sampleCount = 0; // of the rows written so far
  #rowCount = 0;

  constructor(frame: StepFrame, slotTokensMax: number) {
    this.#frame = frame;
    this.#slotTokensMax = slotTokensMax;
  }

  /** A new step: from here on everything that is there counts as an older one's. */
  begin(): void {
    this.#frame.control[controlWords.step]! += 1; // wraps around after 2³² steps
    this.#sampleCount = 0;
    this.#rowCount = 0;
  }

  /** The next row, in the plan's order. Answers what of it is no number, or null. */
  write(row: StepRow): RareSampling | null {
    const { rows, control } = this.#frame;
    const index = this.#rowCount++;
    const at = index * rowWords.size;
    rows[at + rowWords.step] = control[controlWords.step]!;
    rows[at + rowWords.sampleCount] = row.sampleCount;
    rows[at + rowWords.sampleStart] = this.#sampleCount;
    rows[at + rowWords.drawPosition] = row.position + row.tokens.length - row.sampleCount + 1;
    rows[at + rowWords.promptCount] = row.promptCount;
    rows[at + rowWords.slot] = row.slot;
    rows[at + rowWords.historyCount] = row.history?.length ?? -1;
    rows[at + rowWords.isDrafted] = row.sampleCount > 1 && row.targets === undefined ? 1 : 0;
    if (row.history !== null) this.#frame.histories.set(row.history, row.slot * this.#slotTokensMax);
    this.#writeSampling(row.sampling, index * samplingWords.size);
    for (let i = 0; i < row.sampleCount; i++)
      this.#writeSample(row.masks?.[i] ?? null, row.targets?.[i] ?? -1);
    const { logitBias, stopTokenIds } = row.sampling;
    return row.sampleCount > 0 && isRare(row) ? { row: index, logitBias, stopTokenIds } : null;
  }

  #writeSample(mask: Uint32Array | null, target: number): void {
    const { control, maskSteps, hasMask, masks, maskSize, targets } = this.#frame;
    const sample = this.#sampleCount++;
    maskSteps[sample] = control[controlWords.step]!;
    targets[sample] = target;
    hasMask[sample] = mask === null ? 0 : 1;
    if (mask !== null) masks.set(mask, sample * maskSize);
  }

  #writeSampling(params: SamplingParams, at: number): void {
    const { sampling } = this.#frame;
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
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Worker: reads the inputs of the step in the frame, without allocating. */
export class RowInputsReader {
  readonly #frame: StepFrame;
  readonly #params: readonly Mutable<SamplingParams>[]; // [slotCount] by row of the plan
  readonly #masks: readonly Uint32Array[]; // [samples] views of the frame
  readonly #histories: readonly Int32Array[]; // [slotCount] views of the frame
  readonly #place: DrawPlace = { position: 0, promptCount: 0, history: null, mask: null };

  constructor(frame: StepFrame, { slotCount, slotTokensMax }: { slotCount: number; slotTokensMax: number }) {
    const { masks, maskSize } = frame;
    this.#frame = frame;
    this.#params = Array.from({ length: slotCount }, () => ({ ...greedySampling }));
    this.#masks = Array.from(frame.hasMask, (_, i) => masks.subarray(i * maskSize, (i + 1) * maskSize));
    this.#histories = Array.from({ length: slotCount }, (_, slot) =>
      frame.histories.subarray(slot * slotTokensMax, (slot + 1) * slotTokensMax),
    );
  }

  /** Before the first round. `rare`: what the step has that is no number. */
  begin(rare: readonly RareSampling[] | null): void {
    for (let row = 0; row < this.#frame.control[controlWords.rowCount]!; row++) this.#readParams(row);
    for (const { row, logitBias, stopTokenIds } of rare ?? []) {
      this.#params[row]!.logitBias = logitBias;
      this.#params[row]!.stopTokenIds = stopTokenIds;
    }
  }

  params(row: number): SamplingParams {
    return this.#params[row]!;
  }

  /** Where the row draws its sample `i`, in a round in which it is `advance` tokens on. Valid until the next call. */
  place(row: number, i: number, advance: number): DrawPlace {
    const { control, rows, maskSteps, hasMask } = this.#frame;
    const at = row * rowWords.size;
    const step = control[controlWords.step]!;
    const sample = rows[at + rowWords.sampleStart]! + i;
    if (rows[at + rowWords.step] !== step || maskSteps[sample] !== step)
      throw new StaleInputError(`the inputs of row ${row} are another step's`);
    const place = this.#place;
    place.position = rows[at + rowWords.drawPosition]! + advance + i;
    place.promptCount = rows[at + rowWords.promptCount]!;
    place.history = this.#history(row, place.position, advance);
    place.mask = hasMask[sample] === 1 ? this.#masks[sample]! : null;
    return place;
  }

  /** What is judged as the row's sample `i`; −1: it is drawn. Checked as place() is, which comes before. */
  target(row: number, i: number): number {
    const { rows, targets } = this.#frame;
    return targets[rows[row * rowWords.size + rowWords.sampleStart]! + i]!;
  }

  /** What the row has drawn in a round before, at `position` of its sequence, for its penalties. */
  remember(row: number, position: number, token: number): void {
    const { rows } = this.#frame;
    const at = row * rowWords.size;
    if (rows[at + rowWords.historyCount] === -1) return;
    this.#histories[rows[at + rowWords.slot]!]![position] = token;
  }

  #history(row: number, position: number, advance: number): Int32Array | null {
    const { rows } = this.#frame;
    const at = row * rowWords.size;
    const count = rows[at + rowWords.historyCount]!;
    if (count === -1) return null;
    assert(position <= count + advance, 'a history that ends before the draw');
    return this.#histories[rows[at + rowWords.slot]!]!;
  }

  #readParams(row: number): void {
    const { sampling } = this.#frame;
    const params = this.#params[row]!;
    const at = row * samplingWords.size;
    const logprobs = sampling[at + samplingWords.logprobs]!;
    params.temperature = sampling[at + samplingWords.temperature]!;
    params.topP = sampling[at + samplingWords.topP]!;
    params.topK = sampling[at + samplingWords.topK]!;
    params.minP = sampling[at + samplingWords.minP]!;
    params.repetitionPenalty = sampling[at + samplingWords.repetitionPenalty]!;
    params.frequencyPenalty = sampling[at + samplingWords.frequencyPenalty]!;
    params.presencePenalty = sampling[at + samplingWords.presencePenalty]!;
    params.seed = sampling[at + samplingWords.seed]!;
    params.stream = sampling[at + samplingWords.stream]!;
    params.logprobs = logprobs < 0 ? null : logprobs;
    params.minTokens = sampling[at + samplingWords.minTokens]!;
    params.logitBias = null;
    params.stopTokenIds = greedySampling.stopTokenIds;
  }
}

/** Rows whose sampling needs a map or a list; the lists are short-lived or small, so they are cloned. */
function isRare(row: StepRow): boolean {
  const { logitBias, minTokens, stopTokenIds } = row.sampling;
  const outputCount = row.position + row.tokens.length - row.sampleCount + 1 - row.promptCount;
  return logitBias !== null || (outputCount < minTokens && stopTokenIds.length > 0);
}
