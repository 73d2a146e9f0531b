// Device: what a worker does with one step: restores, then runs of the graph with sampling after each, then saves.
// Everything it works in is allocated once; a token allocates nothing. Owns the
// bindings; the KV belongs to the main thread where the runtime allows it. Before it: worker.ts; after it: ort.ts.
import assert from 'node:assert/strict';
import { greedySampling, type SamplingParams } from '../backend.ts';
import { type DrawPlace, type LogitsRow, Sampler } from '../sampling.ts';
import { type BindingShape, GraphBindings } from './bindings.ts';
import { type KvMemory, restoreBlock, saveBlock } from './kv-memory.ts';
import type { RareSampling, WorkerSetup } from './messages.ts';
import type { Session } from './runtime.ts';
import {
  cellWords,
  controlWords,
  phases,
  placeWords,
  rowWords,
  runWords,
  type StepFrame,
  samplingWords,
} from './step-frame.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export class Device {
  readonly #frame: StepFrame;
  readonly #kv: KvMemory;
  readonly #bindings: GraphBindings;
  readonly #sampler: Sampler;
  readonly #logitsRows: readonly LogitsRow[]; // [R] views of the graph's outputs
  readonly #params: readonly Mutable<SamplingParams>[]; // [slotCount] by row of the plan
  readonly #masks: readonly Uint32Array[]; // [samples] views of the frame
  readonly #histories: readonly Int32Array[]; // [slotCount] views of the frame
  readonly #ends: Int32Array; // [slotCount] tokens that the seats of this step's rows hold
  readonly #place: DrawPlace = { position: 0, promptCount: 0, history: null, mask: null };
  readonly #shape: BindingShape = { slotStart: 0, slotCount: 0, tokenCount: 0, logitRowCount: 0 };

  constructor(session: Session, seats: KvMemory['seats'], setup: WorkerSetup) {
    const { limits, frame, topCount } = setup;
    this.#frame = frame;
    this.#kv = { shape: setup.kvShape, seats, blocks: setup.blocks };
    const logitRowsMax = Math.max(limits.slotCount, limits.sampleCountMax);
    const runTokensMax = Math.max(limits.slotCount, limits.rowTokensMax);
    const { vocabSize } = limits;
    const bounds = { topCount, vocabSize, runTokensMax, logitRowsMax };
    this.#bindings = new GraphBindings(session, this.#kv, bounds);
    this.#sampler = new Sampler(vocabSize);
    this.#logitsRows = Array.from({ length: logitRowsMax }, (_, row) => this.#logitsRow(row, bounds));
    this.#ends = new Int32Array(limits.slotCount);
    this.#params = Array.from({ length: limits.slotCount }, () => ({ ...greedySampling }));
    const { masks, maskSize } = frame;
    this.#masks = Array.from(frame.hasMask, (_, i) => masks.subarray(i * maskSize, (i + 1) * maskSize));
    this.#histories = Array.from({ length: limits.slotCount }, (_, slot) =>
      frame.histories.subarray(slot * limits.slotTokensMax, (slot + 1) * limits.slotTokensMax),
    );
  }

  /**
   * Carries out the step in the frame; `onRound` hears of each round but the last, whose number is the answer. Throws
   * OrtError or SamplingError; the rows are lost then, the device is not.
   */
  step(
    rare: readonly RareSampling[] | null,
    beforeRuns: () => void,
    onRound: (round: number) => void,
  ): number {
    const { control, restores, saves } = this.#frame;
    this.#readParams(rare);
    for (let i = 0; i < control[controlWords.restoreCount]!; i++)
      restoreBlock(this.#kv, placeAt(restores, i));
    beforeRuns();
    const rounds = control[controlWords.rounds]!;
    let round = 0;
    this.#runAll();
    while (round < rounds - 1 && Atomics.load(control, controlWords.interrupted) === 0) {
      onRound(round++);
      this.#advance();
      this.#runAll();
    }
    // From here on the main thread waits: memory that outlives this step's rows is being written.
    const phase = Atomics.compareExchange(control, controlWords.phase, phases.computing, phases.saving);
    assert(phase === phases.computing, 'this worker was given up');
    const { blockSize } = this.#kv.shape;
    for (let i = 0; i < control[controlWords.saveCount]!; i++) {
      const place = placeAt(saves, i);
      if (place.position + blockSize <= this.#ends[place.slot]!) saveBlock(this.#kv, place);
    }
    return round;
  }

  release(): void {
    this.#bindings.release();
  }

  #runAll(): void {
    const { control, runs } = this.#frame;
    const shape = this.#shape;
    let cell = 0;
    let token = 0;
    for (let run = 0; run < control[controlWords.runCount]!; run++) {
      const at = run * runWords.size;
      shape.slotStart = runs[at + runWords.slotStart]!;
      shape.slotCount = runs[at + runWords.slotCount]!;
      shape.tokenCount = runs[at + runWords.tokenCount]!;
      this.#run(shape, cell, token);
      cell += shape.slotCount;
      token += shape.slotCount * shape.tokenCount;
    }
  }

  /** Every row's next token is the one it has just drawn. All runs are of one token per seat, so are the cells. */
  #advance(): void {
    const { control, runs, cells, tokens, rows, drawn } = this.#frame;
    const rowCount = control[controlWords.rowCount]!;
    let cellCount = 0;
    for (let run = 0; run < control[controlWords.runCount]!; run++)
      cellCount += runs[run * runWords.size + runWords.slotCount]!;
    for (let cell = 0; cell < cellCount; cell++) {
      const at = cell * cellWords.size;
      const row = cells[at + cellWords.row]!;
      if (row === -1) continue; // fills a gap, and may as well fill it with the same again
      const rowAt = row * rowWords.size;
      const token = drawn[rows[rowAt + rowWords.sampleStart]!]!;
      const position = ++cells[at + cellWords.position]!;
      tokens[cell] = token;
      rows[rowAt + rowWords.sampleStart]! += rowCount;
      rows[rowAt + rowWords.drawPosition]!++;
      if (rows[rowAt + rowWords.hasHistory] === 1)
        this.#histories[rows[rowAt + rowWords.slot]!]![position] = token;
    }
  }

  #run(shape: BindingShape, cellStart: number, tokenStart: number): void {
    const { slotCount, tokenCount } = shape;
    const { cells, rows, tokens } = this.#frame;
    const bindings = this.#bindings;
    for (let i = 0; i < slotCount * tokenCount; i++) bindings.inputIds[i] = tokens[tokenStart + i]!;
    let longest = 0;
    for (let i = 0; i < slotCount; i++) {
      const end = cells[(cellStart + i) * cellWords.size + cellWords.position]! + tokenCount;
      bindings.seqlensK[i] = end - 1;
      this.#ends[shape.slotStart + i] = end;
      if (end > longest) longest = end;
    }
    bindings.totalSequenceLength[0] = longest;
    const chunkRow = cells[cellStart * cellWords.size + cellWords.row]!;
    const isChunk = tokenCount > 1;
    // A chunk inside a prompt samples nothing, but the graph wants a row of logits: its last.
    const chunkSamples = isChunk ? Math.max(1, rows[chunkRow * rowWords.size + rowWords.sampleCount]!) : 0;
    shape.logitRowCount = isChunk ? chunkSamples : slotCount;
    const firstLogitRow = isChunk ? tokenCount - chunkSamples : 0;
    for (let i = 0; i < shape.logitRowCount; i++) bindings.logitRows[i] = firstLogitRow + i;
    bindings.get(shape).run();
    for (let i = 0; i < slotCount; i++) {
      const row = cells[(cellStart + i) * cellWords.size + cellWords.row]!;
      if (row !== -1) this.#sampleRow(row, i);
    }
  }

  /** `logitRow`: of the row's first sample; the others follow. */
  #sampleRow(row: number, logitRow: number): void {
    const { rows, hasMask, drawn } = this.#frame;
    const at = row * rowWords.size;
    const sampleStart = rows[at + rowWords.sampleStart]!;
    const place = this.#place;
    place.promptCount = rows[at + rowWords.promptCount]!;
    place.history = rows[at + rowWords.hasHistory] === 1 ? this.#histories[rows[at + rowWords.slot]!]! : null;
    for (let i = 0; i < rows[at + rowWords.sampleCount]!; i++) {
      const sample = sampleStart + i;
      const logits = this.#logitsRows[logitRow + i]!;
      logits.logsumexp = this.#bindings.logsumexp[logitRow + i]!;
      place.position = rows[at + rowWords.drawPosition]! + i;
      place.mask = hasMask[sample] === 1 ? this.#masks[sample]! : null;
      const token = this.#sampler.sample(logits, this.#params[row]!, place);
      drawn[sample] = token;
      this.#writeLogprobs(logits, sample, token, this.#params[row]!.logprobs);
    }
  }

  #writeLogprobs(row: LogitsRow, sample: number, token: number, count: number | null): void {
    if (count === null) return;
    const { logprobs, topTokens, topLogprobs, logprobsMax } = this.#frame;
    logprobs[sample] = row.logits[token]! - row.logsumexp;
    for (let i = 0; i < count; i++) {
      topTokens[sample * logprobsMax + i] = row.headIds[i]!;
      topLogprobs[sample * logprobsMax + i] = row.headValues[i]! - row.logsumexp;
    }
  }

  #readParams(rare: readonly RareSampling[] | null): void {
    const { control, rows, sampling } = this.#frame;
    for (let row = 0; row < control[controlWords.rowCount]!; row++) {
      if (rows[row * rowWords.size + rowWords.sampleCount] === 0) continue;
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
    if (rare === null) return;
    for (const { row, logitBias, stopTokenIds } of rare) {
      this.#params[row]!.logitBias = logitBias;
      this.#params[row]!.stopTokenIds = stopTokenIds;
    }
  }

  #logitsRow(row: number, { topCount, vocabSize }: { topCount: number; vocabSize: number }): LogitsRow {
    const { topValues, topIds, logits } = this.#bindings;
    return {
      headValues: topValues.subarray(row * topCount, (row + 1) * topCount),
      headIds: topIds.subarray(row * topCount, (row + 1) * topCount),
      logits: logits.subarray(row * vocabSize, (row + 1) * vocabSize),
      logsumexp: 0,
    };
  }
}

function placeAt(places: Int32Array, index: number) {
  const at = index * placeWords.size;
  return {
    slot: places[at + placeWords.slot]!,
    position: places[at + placeWords.position]!,
    block: places[at + placeWords.block]!,
  };
}
