// The device in the test's own thread, over a session that computes nothing: what concerns memory and phases.
import { expect, test } from 'vitest';
import { Device } from '../../../../kernels/onnx/device.ts';
import { allocateBlocks, allocateSeats } from '../../../../kernels/onnx/kv-memory.ts';
import type { WorkerSetup } from '../../../../kernels/onnx/messages.ts';
import { PlanWriter } from '../../../../kernels/onnx/plan-writer.ts';
import type { BoundTensor, GraphSession } from '../../../../kernels/onnx/runtime.ts';
import { HostSeats } from '../../../../kernels/onnx/seats.ts';
import { controlWords, createStepFrame, phases } from '../../../../kernels/onnx/step-frame.ts';
import { greedy, rowOf } from '../../../cpu-rig.ts';

const limits = {
  replicaCount: 1,
  slotCount: 4,
  slotTokensMax: 16,
  blockSize: 2,
  blockCount: 4,
  rowTokensMax: 8,
  stepTokensMax: 16,
  sampleCountMax: 4,
  roundsMax: 4,
  logprobsMax: 2,
  vocabSize: 8,
};

/** Records the positions of every run, and writes a mark where each row's keys and values belong. */
class Scribe implements GraphSession {
  readonly runtime = 'c-api';
  readonly version = '0';
  readonly handle = null;
  readonly runs: { tokens: number[]; seqlensK: number[]; total: number }[] = [];
  readonly aloneCounts: number[] = []; // of each run
  likeliest = 0; // token
  readonly broken = new Set<number>(); // tokens after which there is no distribution

  bind(inputs: readonly BoundTensor[], outputs: readonly BoundTensor[]) {
    const output = (name: string) =>
      outputs.find((tensor) => tensor.name === name)!.data as Float32Array | Int32Array;
    const input = (name: string) => inputs.find((tensor) => tensor.name === name)!.data as Int32Array;
    const numbers = (name: string) => Array.from(input(name));
    return {
      run: () => {
        this.aloneCounts.push(Number(numbers('alone_count')[0]));
        this.runs.push({
          tokens: numbers('input_ids'),
          seqlensK: numbers('seqlens_k'),
          total: numbers('total_sequence_length')[0]!,
        });
        const key = input('past_key.0');
        const [rows] = inputs.find(({ name }) => name === 'seqlens_k')!.shape as [number];
        const perSeat = key.length / rows;
        for (const [row, last] of numbers('seqlens_k').entries()) key[row * perSeat + last] = 7;
        const samples = output('logsumexp');
        const perRow = numbers('input_ids').length / rows;
        const read = numbers('logit_rows').map((at, row) => at + (rows > 1 ? row * perRow : 0));
        for (let sample = 0; sample < samples.length; sample++) {
          const token = numbers('input_ids')[rows > 1 ? sample : read[sample]!]!;
          samples[sample] = this.broken.has(token) ? Number.NaN : 8;
          for (let id = 0; id < limits.vocabSize; id++)
            output('logits')[sample * limits.vocabSize + id] = id === this.likeliest ? 8 : -id;
          output('top_ids').set([this.likeliest, this.likeliest === 0 ? 1 : 0], 2 * sample);
          output('top_values').set([8, this.likeliest === 0 ? -1 : 0], 2 * sample);
        }
      },
      release: () => undefined,
    };
  }
  release(): void {}
}

function open(guesses: WorkerSetup['guesses'] = 'alone') {
  const kvShape = { ...limits, layerCount: 1, kvHeadCount: 1, headSize: 1, scales: null };
  const frame = createStepFrame(limits);
  const seats = allocateSeats(kvShape, 'shared');
  const session = new Scribe();
  const blocks = allocateBlocks(kvShape);
  const runtime = { kind: 'c-api', session: { sessionAddress: 0n, version: '0' }, seats } as const;
  const setup: WorkerSetup = {
    runtime,
    limits,
    kvShape,
    topCount: 2,
    tellIntervalMs: 0,
    guesses,
    frame,
    blocks,
  };
  return {
    frame,
    seats,
    blocks,
    session,
    device: new Device(session, new HostSeats({ shape: kvShape, seats, blocks }), setup),
    writer: new PlanWriter(frame, limits),
  };
}

const nothing = () => undefined;

test('a gap between decode rows writes only where its seat holds nothing yet', () => {
  const { frame, seats, session, device, writer } = open();
  const step = (rows: Parameters<typeof rowOf>[0][]) => {
    writer.write({ replica: 0, restores: [], rows: rows.map(rowOf), saves: [] });
    frame.control[controlWords.phase] = phases.computing;
    device.step(null, nothing, nothing);
  };
  step([{ slot: 1, position: 0, tokens: [1, 2, 3] }]);
  step([{ slot: 2, position: 0, tokens: [1, 2] }]);
  step([0, 3].map((slot) => ({ slot, position: 0, tokens: [5] })));
  expect(session.runs.at(-1)).toEqual({ tokens: [5, 0, 0, 5], seqlensK: [0, 3, 2, 0], total: 4 });
  // A sequence that goes back to position 1, after a rejected draft, frees what comes after it.
  step([{ slot: 1, position: 1, tokens: [2] }]);
  step([0, 2].map((slot) => ({ slot, position: slot === 0 ? 1 : 2, tokens: [6] })));
  expect(session.runs.at(-1)).toEqual({ tokens: [6, 0, 6], seqlensK: [1, 2, 2], total: 3 });
  expect(seats[0]![16]).toBe(0); // seat 1, position 0: no run ended there
});

test('a gap over a seat that is kept writes behind what it keeps, until it is released', () => {
  const { frame, session, device, writer } = open();
  const step = (rows: Parameters<typeof rowOf>[0][]) => {
    writer.write({ replica: 0, restores: [], rows: rows.map(rowOf), saves: [] });
    frame.control[controlWords.phase] = phases.computing;
    device.step(null, nothing, nothing);
  };
  step([{ slot: 1, position: 0, tokens: [1, 2, 3, 4, 5] }]);
  expect(writer.keepSlot(1, 6)).toBe(false); // more than it has
  expect(writer.keepSlot(1, 4)).toBe(true); // the last token was a wrong guess
  step([0, 2].map((slot) => ({ slot, position: 0, tokens: [5] })));
  expect(session.runs.at(-1)).toEqual({ tokens: [5, 0, 5], seqlensK: [0, 4, 0], total: 5 });
  step([{ slot: 1, position: 4, tokens: [6] }]);
  writer.releaseSlot(1);
  step([0, 2].map((slot) => ({ slot, position: 1, tokens: [5] })));
  expect(session.runs.at(-1)).toEqual({ tokens: [5, 0, 5], seqlensK: [1, 0, 1], total: 2 });
  expect(writer.keepSlot(1, 4)).toBe(false);
});

test('a gap before the chunk of its own step writes where the chunk will', () => {
  const { frame, session, device, writer } = open();
  const rows = [
    { slot: 1, position: 0, tokens: [1, 2] },
    { slot: 0, position: 0, tokens: [3] },
    { slot: 2, position: 0, tokens: [4] },
  ].map(rowOf);
  writer.write({ replica: 0, restores: [], rows, saves: [] });
  frame.control[controlWords.phase] = phases.computing;
  device.step(null, nothing, nothing);
  expect(session.runs).toEqual([
    { tokens: [3, 0, 4], seqlensK: [0, 0, 0], total: 1 },
    { tokens: [1, 2], seqlensK: [1], total: 2 },
  ]);
});

test('a worker that was given up never writes the block store', () => {
  const { frame, blocks, device, writer } = open();
  const rows = [rowOf({ slot: 0, position: 0, tokens: [1, 2] })];
  const saves = [{ slot: 0, position: 0, block: 3 }];
  for (const [phase, isSaved] of [
    [phases.discarded, false],
    [phases.computing, true],
  ] as const) {
    writer.write({ replica: 0, restores: [], rows, saves });
    frame.control[controlWords.phase] = phase;
    if (isSaved) device.step(null, nothing, nothing);
    else expect(() => device.step(null, nothing, nothing)).toThrow('given up');
    expect(blocks[0]!.includes(7)).toBe(isSaved);
  }
});

test('an interrupted step ends with the round it is at and keeps the blocks it has filled, no others', () => {
  const { frame, blocks, session, device, writer } = open();
  const saves = [0, 1].map((index) => ({ slot: 0, position: 2 * index, block: index }));
  const plan = { replica: 0, restores: [], rows: [rowOf({ slot: 0, position: 0, tokens: [1] })], saves };
  writer.write({ ...plan, rounds: 4 });
  frame.control[controlWords.phase] = phases.computing;
  const told: number[] = [];
  device.step(null, nothing, (round) => {
    told.push(round);
    frame.control[controlWords.interrupted] = 1;
  });
  expect(told).toEqual([0]);
  expect(session.runs.map(({ seqlensK }) => seqlensK)).toEqual([[0], [1]]);
  const sizeOfBlock = blocks[0]!.length / limits.blockCount;
  expect([0, 1].map((block) => blocks[0]!.subarray(block * sizeOfBlock, (block + 1) * sizeOfBlock))).toEqual([
    Float32Array.of(7, 7),
    Float32Array.of(0, 0),
  ]);
});

test('a row that needs more than its seat holds is refused before anything is sent', () => {
  const { writer } = open();
  const row = rowOf({ slot: 0, position: 4, tokens: [1] });
  const plan = { replica: 0, restores: [], rows: [row], saves: [] };
  expect(() => writer.write(plan)).toThrow('holds less than the row needs');
  writer.write({ ...plan, restores: [{ slot: 0, position: 0, blocks: [1, 2] }] });
  writer.releaseSlot(0);
  expect(() => writer.write(plan)).toThrow('holds less than the row needs');
});

/** Carries out one step and answers each round's rows. */
function outcomesOf(
  { frame, device, writer }: ReturnType<typeof open>,
  step: { readonly rows: readonly Parameters<typeof rowOf>[0][]; readonly rounds?: number },
) {
  const plan = { replica: 0, restores: [], saves: [], ...step, rows: step.rows.map(rowOf) };
  const rare = writer.write(plan);
  frame.control[controlWords.phase] = phases.computing;
  const last = device.step(rare, nothing, nothing);
  return Array.from({ length: last + 1 }, (_, round) => writer.read(plan, round).rows);
}

const only = (id: number) => Uint32Array.of(1 << id);

test('no round of a step sees a mask that an older step has left behind', () => {
  const scene = open();
  scene.session.likeliest = 3;
  const masked = [0, 1, 2, 3].map((slot) => ({
    ...{ slot, position: 0, tokens: [1, 1, 1, 1], sampleCount: 4 },
    masks: [only(5), only(6), only(7), only(5)],
  }));
  const [rows] = outcomesOf(scene, { rows: masked });
  expect(rows!.map(({ tokens }) => tokens)).toEqual(new Array(4).fill([5, 6, 7, 5]));
  const free = [0, 1, 2, 3].map((slot) => ({ slot, position: 4, tokens: [1] }));
  const rounds = outcomesOf(scene, { rows: free, rounds: 4 });
  expect(rounds.map((round) => round.map(({ tokens }) => tokens[0]))).toEqual(
    new Array(4).fill([3, 3, 3, 3]),
  );
});

test('inputs that were not written for the step fail their row and are not used', () => {
  const scene = open();
  scene.session.likeliest = 3;
  const rows = [0, 1].map((slot) => ({ slot, position: 0, tokens: [1] }));
  outcomesOf(scene, { rows });
  const { frame, device, writer } = scene;
  const plan = { replica: 0, restores: [], saves: [], rows: rows.map(rowOf) };
  writer.write(plan);
  frame.maskSteps[1]! -= 1; // as if the writer had forgotten it
  frame.control[controlWords.phase] = phases.computing;
  device.step(null, nothing, nothing);
  expect(writer.read(plan, 0).rows).toEqual([
    { tokens: [3], logprobs: null },
    { tokens: [], logprobs: null, failure: expect.stringContaining('not those of its step') },
  ]);
});

test('an answer of an older step is not taken for this one', () => {
  const scene = open();
  const rows = [{ slot: 0, position: 0, tokens: [1] }];
  outcomesOf(scene, { rows });
  const plan = { replica: 0, restores: [], saves: [], rows: rows.map(rowOf) };
  scene.writer.write(plan);
  expect(() => scene.writer.read(plan, 0)).toThrow("another step's answer");
});

test('a row without a distribution fails alone, and draws nothing in the rounds that follow', () => {
  const scene = open();
  scene.session.likeliest = 3;
  scene.session.broken.add(6);
  const rows = [0, 1, 2].map((slot) => ({ slot, position: 0, tokens: [slot === 1 ? 6 : 1] }));
  const rounds = outcomesOf(scene, { rows, rounds: 3 });
  const drawn = { tokens: [3], logprobs: null };
  const failed = { tokens: [], logprobs: null, failure: expect.stringContaining('not finite') };
  expect(rounds).toEqual(new Array(3).fill([drawn, failed, drawn]));
  // Its seat is where it was; the others are two tokens on.
  expect(scene.session.runs.at(-1)).toMatchObject({ tokens: [3, 6, 3], seqlensK: [2, 0, 2] });
  expect(outcomesOf(scene, { rows: [{ slot: 1, position: 0, tokens: [1] }] })).toEqual([[drawn]]);
});

test('a guess without a distribution after it leaves what was drawn before', () => {
  const scene = open();
  scene.session.likeliest = 3;
  scene.session.broken.add(6);
  const guessed = { slot: 0, position: 0, tokens: [1, 2, 6, 2], sampleCount: 4 };
  const row = { tokens: [3, 3], logprobs: null, failure: expect.stringContaining('not finite') };
  expect(outcomesOf(scene, { rows: [guessed] })).toEqual([[row]]);
});

test("parameters are the step's own: nothing of an older row stays", () => {
  const scene = open();
  scene.session.likeliest = 3;
  const sampling = {
    ...greedy,
    logitBias: new Map([[4, 100]]),
    minTokens: 3,
    stopTokenIds: [4],
    logprobs: 1,
  };
  const history = Int32Array.of(1);
  const loaded = { slot: 0, position: 0, tokens: [1], promptCount: 1, history, sampling };
  expect(outcomesOf(scene, { rows: [loaded] })[0]![0]!.tokens).toEqual([3]); // 4 may not be drawn yet
  expect(
    outcomesOf(scene, { rows: [{ ...loaded, sampling: { ...sampling, minTokens: 0 } }] })[0]![0]!.tokens,
  ).toEqual([4]);
  const plain = { tokens: [3], logprobs: null };
  expect(outcomesOf(scene, { rows: [{ slot: 0, position: 0, tokens: [1] }] })).toEqual([[plain]]);
});

test.each([
  ['alone', 3],
  ['together', 0],
] as const)(
  'a drafted row is computed %s; prompts never are as if each token came alone',
  (guesses, count) => {
    const { frame, session, device, writer } = open(guesses);
    const step = (row: Parameters<typeof rowOf>[0]) => {
      writer.write({ replica: 0, restores: [], rows: [rowOf(row)], saves: [] });
      frame.control[controlWords.phase] = phases.computing;
      device.step(null, nothing, nothing);
      return session.aloneCounts.at(-1);
    };
    expect(step({ slot: 1, position: 0, tokens: [1, 2, 3], sampleCount: 0 })).toBe(0);
    expect(step({ slot: 1, position: 3, tokens: [1, 2, 3], sampleCount: 3 })).toBe(count);
    const judged = { sampling: { ...greedy, logprobs: 1 }, targets: Int32Array.of(1, 2, -1) };
    expect(step({ slot: 1, position: 0, tokens: [1, 2, 3], sampleCount: 3, ...judged })).toBe(0);
    expect(step({ slot: 1, position: 3, tokens: [1] })).toBe(0);
  },
);
