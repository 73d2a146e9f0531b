// Device: what a worker does with one step: restores, then runs of the graph with sampling after each, then saves.
// Everything it works in is allocated once; a token allocates nothing. Owns the
// bindings; the KV belongs to the main thread where the runtime allows it. Before it: worker.ts; after it: ort.ts.
import assert from 'node:assert/strict';
import { type LogitsRow, rankOf, Sampler, SamplingError } from '../sampling.ts';
import { type BindingShape, GraphBindings } from './bindings.ts';
import type { KvShape } from './kv-memory.ts';
import type { GuessRounding, RareSampling, WorkerSetup } from './messages.ts';
import { RowInputsReader, StaleInputError } from './row-inputs.ts';
import type { GraphSession } from './runtime.ts';
import type { Seats } from './seats.ts';
import {
  cellWords,
  controlWords,
  phases,
  placeWords,
  rowWords,
  runWords,
  type StepFrame,
  undrawn,
} from './step-frame.ts';

export class Device {
  readonly #frame: StepFrame;
  readonly #seats: Seats;
  readonly #kvShape: KvShape;
  readonly #bindings: GraphBindings;
  readonly #sampler: Sampler;
  readonly #logitsRows: readonly LogitsRow[]; // [R] views of the graph's outputs
  readonly #inputs: RowInputsReader;
  readonly #guesses: GuessRounding;
  // What follows is of the step being carried out, and reset with each.
  readonly #ends: Int32Array; // [slotCount] tokens that the seats of its rows hold; 0: no row
  readonly #advances: Int32Array; // [slotCount] by row: tokens it is on from where the step began
  readonly #failed: Uint8Array; // [slotCount] by row: 1: it draws nothing more
  #spoiled = false; // the next draw of this step is to fail
  #round = 0;
  readonly #shape: BindingShape = {
    slotStart: 0,
    slotCount: 0,
    tokenCount: 0,
    logitRowCount: 0,
    benchTokens: 0,
  };

  constructor(session: GraphSession, seats: Seats, setup: WorkerSetup) {
    const { limits, frame, topCount, kvShape } = setup;
    this.#guesses = setup.guesses;
    this.#frame = frame;
    this.#seats = seats;
    this.#kvShape = kvShape;
    const logitRowsMax = Math.max(limits.slotCount, limits.sampleCountMax, limits.judgedTokensMax ?? 0);
    const runTokensMax = Math.max(limits.slotCount, limits.rowTokensMax);
    const { vocabSize } = limits;
    const bounds = { topCount, vocabSize, runTokensMax, logitRowsMax };
    const bound = { shape: kvShape, seats: seats.arrays, bench: seats.bench };
    this.#bindings = new GraphBindings(session, bound, bounds);
    this.#sampler = new Sampler(vocabSize);
    this.#logitsRows = Array.from({ length: logitRowsMax }, (_, row) => this.#logitsRow(row, bounds));
    this.#ends = new Int32Array(limits.slotCount);
    this.#advances = new Int32Array(limits.slotCount);
    this.#failed = new Uint8Array(limits.slotCount);
    this.#inputs = new RowInputsReader(frame, limits);
  }

  /**
   * Carries out the step in the frame; `onRound` hears of each round but the last, whose number is the answer. A row
   * that cannot be sampled fails alone. Throws OrtError; all rows are lost then, the device is not.
   */
  step(
    rare: readonly RareSampling[] | null,
    beforeRuns: () => void,
    onRound: (round: number) => void,
  ): number {
    const { control, restores, saves } = this.#frame;
    this.#begin(rare);
    for (let i = 0; i < control[controlWords.restoreCount]!; i++) this.#seats.restore(placeAt(restores, i));
    beforeRuns();
    const rounds = control[controlWords.rounds]!;
    this.#runAll();
    while (this.#round < rounds - 1 && Atomics.load(control, controlWords.interrupted) === 0) {
      onRound(this.#round++);
      this.#advance();
      this.#runAll();
    }
    // From here on the main thread waits: memory that outlives this step's rows is being written.
    const phase = Atomics.compareExchange(control, controlWords.phase, phases.computing, phases.saving);
    assert(phase === phases.computing, 'this worker was given up');
    for (let i = 0; i < control[controlWords.saveCount]!; i++) {
      const place = placeAt(saves, i);
      if (place.position + this.#kvShape.blockSize <= this.#ends[place.slot]!) this.#seats.save(place);
    }
    return this.#round;
  }

  /** For tests: the first row that this step draws for finds no number among its logits. */
  spoil(): void {
    this.#spoiled = true;
  }

  release(): void {
    this.#bindings.release();
    this.#seats.release();
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

  #begin(rare: readonly RareSampling[] | null): void {
    this.#inputs.begin(rare);
    this.#ends.fill(0);
    this.#advances.fill(0);
    this.#failed.fill(0);
    this.#round = 0;
  }

  /** Every row's next token is the one it has just drawn. All runs are of one token per seat, so are the cells. */
  #advance(): void {
    const { control, runs, cells, tokens } = this.#frame;
    let cellCount = 0;
    for (let run = 0; run < control[controlWords.runCount]!; run++)
      cellCount += runs[run * runWords.size + runWords.slotCount]!;
    for (let cell = 0; cell < cellCount; cell++) {
      const at = cell * cellWords.size;
      const row = cells[at + cellWords.row]!;
      // Whoever fills a gap may as well fill it with the same again, and so may whoever draws nothing more.
      if (row === -1 || this.#failed[row] === 1) continue;
      const token = this.#drawnBefore(row);
      const position = ++cells[at + cellWords.position]!;
      tokens[cell] = token;
      this.#advances[row]!++;
      this.#inputs.remember(row, position, token);
    }
  }

  #drawnBefore(row: number): number {
    const { rows, control, drawn } = this.#frame;
    const before = (this.#round - 1) * control[controlWords.rowCount]!;
    return drawn[before + rows[row * rowWords.size + rowWords.sampleStart]!]!;
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
      if (cells[(cellStart + i) * cellWords.size + cellWords.row] !== -1)
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
    const isDrafted = isChunk && rows[chunkRow * rowWords.size + rowWords.isDrafted] === 1;
    // Over int8 keys there is no quicker way.
    const isAlone = isDrafted && (this.#guesses === 'alone' || this.#kvShape.scales !== null);
    bindings.aloneCount[0] = isAlone ? BigInt(tokenCount) : 0n;
    const position = cells[cellStart * cellWords.size + cellWords.position]!;
    shape.benchTokens = this.#seats.enter(shape, position);
    bindings.get(shape).run();
    this.#seats.leave(shape, position);
    for (let i = 0; i < slotCount; i++) {
      const row = cells[(cellStart + i) * cellWords.size + cellWords.row]!;
      if (row !== -1) this.#sampleRow(row, i);
    }
  }

  /** `logitRow`: of the row's first sample; the others follow. One that cannot be drawn ends the row. */
  #sampleRow(row: number, logitRow: number): void {
    const { control, rows, drawn, drawnSteps, ranks } = this.#frame;
    const at = row * rowWords.size;
    const sampleStart = rows[at + rowWords.sampleStart]! + this.#round * control[controlWords.rowCount]!;
    let token = this.#failed[row] === 1 ? undrawn.model : 0;
    for (let i = 0; i < rows[at + rowWords.sampleCount]!; i++) {
      const sample = sampleStart + i;
      if (token >= 0) token = this.#draw(row, i, logitRow + i);
      drawnSteps[sample] = control[controlWords.step]!;
      drawn[sample] = token;
      if (token < 0) this.#failed[row] = 1;
      else this.#writeLogprobs(this.#logitsRows[logitRow + i]!, sample, token, row);
      if (token >= 0 && this.#inputs.target(row, i) >= 0)
        ranks[sample] = rankOf(this.#logitsRows[logitRow + i]!.logits, token);
    }
  }

  /** The row's sample `i`: a token, drawn or the one that is to be judged, or a value of `undrawn`. */
  #draw(row: number, i: number, logitRow: number): number {
    const logits = this.#logitsRows[logitRow]!;
    logits.logsumexp = this.#bindings.logsumexp[logitRow]!;
    if (this.#spoiled) spoil(logits);
    this.#spoiled = false;
    try {
      const place = this.#inputs.place(row, i, this.#advances[row]!);
      const target = this.#inputs.target(row, i);
      if (target >= 0) return Number.isFinite(logits.logsumexp) ? target : undrawn.model;
      return this.#sampler.sample(logits, this.#inputs.params(row), place);
    } catch (error) {
      if (error instanceof SamplingError) return undrawn[error.cause];
      if (error instanceof StaleInputError) return undrawn.inputs;
      throw error;
    }
  }

  #writeLogprobs(logits: LogitsRow, sample: number, token: number, row: number): void {
    const { logprobs: count } = this.#inputs.params(row);
    if (count === null) return;
    const { logprobs, topTokens, topLogprobs, logprobsMax } = this.#frame;
    logprobs[sample] = logits.logits[token]! - logits.logsumexp;
    for (let i = 0; i < count; i++) {
      topTokens[sample * logprobsMax + i] = logits.headIds[i]!;
      topLogprobs[sample * logprobsMax + i] = logits.headValues[i]! - logits.logsumexp;
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

function spoil(logits: LogitsRow): void {
  logits.logits.fill(Number.NaN);
  logits.headValues.fill(Number.NaN);
  logits.logsumexp = Number.NaN;
}

function placeAt(places: Int32Array, index: number) {
  const at = index * placeWords.size;
  return {
    slot: places[at + placeWords.slot]!,
    position: places[at + placeWords.position]!,
    block: places[at + placeWords.block]!,
  };
}
