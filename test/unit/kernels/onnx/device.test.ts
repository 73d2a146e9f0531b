// The device in the test's own thread, over a session that computes nothing: what concerns memory and phases.
import { expect, test } from 'vitest';
import { Device } from '../../../../kernels/onnx/device.ts';
import { allocateBlocks, allocateSeats } from '../../../../kernels/onnx/kv-memory.ts';
import type { WorkerSetup } from '../../../../kernels/onnx/messages.ts';
import { PlanWriter } from '../../../../kernels/onnx/plan-writer.ts';
import type { BoundTensor, Session } from '../../../../kernels/onnx/runtime.ts';
import { controlWords, createStepFrame, phases } from '../../../../kernels/onnx/step-frame.ts';
import { rowOf } from '../../../cpu-rig.ts';

const limits = {
  replicaCount: 1,
  slotCount: 4,
  slotTokensMax: 16,
  blockSize: 2,
  blockCount: 4,
  rowTokensMax: 8,
  stepTokensMax: 16,
  sampleCountMax: 1,
  roundsMax: 4,
  logprobsMax: 2,
  vocabSize: 8,
};

/** Records the positions of every run, and writes a mark where each row's keys and values belong. */
class Scribe implements Session {
  readonly runtime = 'c-api';
  readonly version = '0';
  readonly handle = null;
  readonly runs: { tokens: number[]; seqlensK: number[]; total: number }[] = [];

  bind(inputs: readonly BoundTensor[]) {
    const numbers = (name: string) => Array.from(inputs.find((input) => input.name === name)!.data, Number);
    return {
      run: () => {
        this.runs.push({
          tokens: numbers('input_ids'),
          seqlensK: numbers('seqlens_k'),
          total: numbers('total_sequence_length')[0]!,
        });
        const key = inputs.find(({ name }) => name === 'past_key.0')!.data;
        const [rows] = inputs.find(({ name }) => name === 'seqlens_k')!.shape as [number];
        const perSeat = key.length / rows;
        for (const [row, last] of numbers('seqlens_k').entries()) key[row * perSeat + last] = 7;
      },
      release: () => undefined,
    };
  }
  release(): void {}
}

function open() {
  const kvShape = { ...limits, layerCount: 1, kvHeadCount: 1, headSize: 1, scales: null };
  const frame = createStepFrame(limits);
  const seats = allocateSeats(kvShape, 'shared');
  const session = new Scribe();
  const blocks = allocateBlocks(kvShape);
  const runtime = { kind: 'c-api', session: { sessionAddress: 0n, version: '0' }, seats } as const;
  const setup: WorkerSetup = { runtime, limits, kvShape, topCount: 2, tellIntervalMs: 0, frame, blocks };
  return {
    frame,
    seats,
    blocks,
    session,
    device: new Device(session, seats, setup),
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
