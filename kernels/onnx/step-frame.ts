// One step and its answer as numbers in shared memory: a step wakes the worker and is answered by one empty message,
// instead of a pool's task with cloned objects (measured: 30 µs more a task, 130 µs more at 16 rows). Owns the layout,
// read by both sides: plan-writer.ts fills it on the main thread, device.ts answers in the worker. The two work
// at the same time only where a step has several rounds: the main thread reads what earlier rounds have drawn.
import type { BackendLimits } from '../backend.ts';

/** Where the worker is; both sides change it with compare-and-exchange. */
export const phases = {
  idle: 0,
  computing: 1, // main: the step is sent
  saving: 2, // worker: it is writing the block store, which takes microseconds and cannot hang
  discarded: 3, // main: this worker is given up; it must not write to the block store any more
} as const;

// Words of one record in each table.
export const controlWords = {
  phase: 0,
  stepCount: 1, // main: raised for every step; the worker sleeps on it
  isClosing: 2, // main: no step, but the end
  hasRare: 3, // a message with the step's RareSampling waits at the port
  fault: 4, // index in `faults`
  runCount: 5,
  rowCount: 6,
  restoreCount: 7,
  saveCount: 8,
  rounds: 9, // at most
  interrupted: 10, // main, at any time: 1: the round being computed is the last
  step: 11, // which step the rest is for: every record that is read or answered carries it
  size: 12,
} as const;
export const runWords = { slotStart: 0, slotCount: 1, tokenCount: 2, size: 3 } as const;
export const cellWords = { row: 0, position: 1, size: 2 } as const; // row −1: fills a gap
export const rowWords = {
  sampleCount: 0,
  sampleStart: 1, // into the samples of the first round
  drawPosition: 2, // of the token that the first sample draws in the first round
  promptCount: 3,
  slot: 4, // whose history it is
  historyCount: 5, // tokens of it; −1: none
  isDrafted: 6, // 1: its tokens are guesses behind the first
  step: 7, // it was written for
  size: 8,
} as const;
export const placeWords = { slot: 0, position: 1, block: 2, size: 3 } as const;
export const samplingWords = {
  temperature: 0,
  topP: 1,
  topK: 2,
  minP: 3,
  repetitionPenalty: 4,
  frequencyPenalty: 5,
  presencePenalty: 6,
  seed: 7,
  stream: 8,
  logprobs: 9, // −1: none
  minTokens: 10,
  size: 11,
} as const;

export const carriedWords = { toDevice: 0, fromDevice: 1, size: 2 } as const;

/** In place of a drawn token: why there is none. */
export const undrawn = { model: -1, parameters: -2, inputs: -3 } as const;

export type FrameLimits = Pick<
  BackendLimits,
  | 'slotCount'
  | 'slotTokensMax'
  | 'blockSize'
  | 'stepTokensMax'
  | 'sampleCountMax'
  | 'judgedTokensMax'
  | 'roundsMax'
  | 'logprobsMax'
  | 'vocabSize'
>;

export type StepFrame = Readonly<ReturnType<typeof createStepFrame>>;

/** Arrays over shared memory: sent to a worker, they are the same arrays there. */
export function createStepFrame(limits: FrameLimits) {
  const { slotCount, slotTokensMax, logprobsMax, stepTokensMax, roundsMax = 1 } = limits;
  const placeCount = slotCount * Math.floor(slotTokensMax / limits.blockSize);
  const rowSamplesMax = Math.max(limits.sampleCountMax, limits.judgedTokensMax ?? 0);
  const inputCount = Math.max(Math.min(slotCount * rowSamplesMax, stepTokensMax), slotCount);
  // Answers of a round follow those of the round before: the main thread may be behind with reading.
  const sampleCount = Math.max(inputCount, slotCount * roundsMax);
  const maskSize = Math.ceil(limits.vocabSize / 32);
  return {
    control: integers(controlWords.size),
    runs: integers(slotCount * runWords.size), // [slotCount] of runWords, in the order they are computed
    // Each run's seats, one run after the other: a seat has one row, and may fill a gap before its chunk.
    cells: integers(2 * slotCount * cellWords.size),
    tokens: integers(stepTokensMax + slotCount), // each run's [slotCount, tokenCount], one run after the other
    rows: integers(slotCount * rowWords.size), // [slotCount] of rowWords, in the plan's order
    sampling: doubles(slotCount * samplingWords.size), // [slotCount] of samplingWords, parallel to rows
    histories: integers(slotCount * slotTokensMax), // [slotCount, slotTokensMax] by seat
    restores: integers(placeCount * placeWords.size),
    saves: integers(placeCount * placeWords.size),
    maskSteps: integers(inputCount), // [samples of one round] the step that hasMask and masks were written for
    hasMask: new Uint8Array(new SharedArrayBuffer(inputCount)), // [samples of one round] 1: masks has one
    masks: new Uint32Array(new SharedArrayBuffer(4 * inputCount * maskSize)), // [samples of one round, maskSize]
    maskSize, // words
    targets: integers(inputCount), // [samples of one round] what is judged instead of drawing; −1: nothing
    logprobsMax,
    drawnSteps: integers(sampleCount), // [samples] the step that the answer is to
    drawn: integers(sampleCount), // [samples] the answer: token ids, or why there is none (undrawn)
    logprobs: doubles(sampleCount), // [samples] of the drawn token
    ranks: integers(sampleCount), // [samples] of judged tokens
    topTokens: integers(sampleCount * logprobsMax), // [samples, logprobsMax]
    topLogprobs: doubles(sampleCount * logprobsMax), // [samples, logprobsMax]
    deviceMs: doubles(roundsMax), // [roundsMax] what each round took
    carried: doubles(carriedWords.size), // bytes since the frame was made
  };
}

function integers(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * count));
}

function doubles(count: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * count));
}
