import { describe, expect, test } from 'vitest';
import { bindingCountMax, GraphBindings } from '../../../../kernels/onnx/bindings.ts';
import { allocateSeats, type KvShape } from '../../../../kernels/onnx/kv-memory.ts';
import type { Binding, BoundTensor, GraphSession } from '../../../../kernels/onnx/runtime.ts';

const shape: KvShape = {
  scales: null,
  layerCount: 2,
  kvHeadCount: 1,
  headSize: 2,
  slotCount: 4,
  slotTokensMax: 8,
  blockSize: 2,
  blockCount: 1,
};
const bounds = { topCount: 3, vocabSize: 7, runTokensMax: 300, logitRowsMax: 4 };

/** A session that computes nothing and remembers what is bound. */
class Ledger implements GraphSession {
  readonly runtime = 'c-api';
  readonly version = '0';
  readonly handle = null;
  readonly bound: { inputs: readonly BoundTensor[]; outputs: readonly BoundTensor[] }[] = [];
  liveCount = 0;

  bind(inputs: readonly BoundTensor[], outputs: readonly BoundTensor[]): Binding {
    this.bound.push({ inputs, outputs });
    this.liveCount++;
    return {
      run: () => undefined,
      release: () => {
        this.liveCount--;
      },
    };
  }
  release(): void {}
}

function open() {
  const session = new Ledger();
  const seats = allocateSeats(shape, 'private');
  return { session, seats, bindings: new GraphBindings(session, { shape, seats }, bounds) };
}

describe('bindings', () => {
  test('name and shape every input and output of the graph, past and present in the same memory', () => {
    const { session, seats, bindings } = open();
    bindings.get({ slotStart: 1, slotCount: 2, tokenCount: 1, logitRowCount: 2 });
    const { inputs, outputs } = session.bound[0]!;
    const kv = [2, 1, 8, 2];
    const shapes = (tensors: readonly BoundTensor[]) =>
      tensors.map(({ name, shape: dims }) => `${name} [${dims}]`);
    expect(shapes(inputs)).toEqual([
      'input_ids [2,1]',
      'seqlens_k [2]',
      'total_sequence_length []',
      'logit_rows [2]',
      'alone_count []',
      ...['key.0', 'value.0', 'key.1', 'value.1'].map((name) => `past_${name} [${kv}]`),
    ]);
    expect(shapes(outputs)).toEqual([
      'top_values [2,3]',
      'top_ids [2,3]',
      'logsumexp [2]',
      'logits [2,7]',
      ...['key.0', 'value.0', 'key.1', 'value.1'].map((name) => `present_${name} [${kv}]`),
    ]);
    for (let i = 0; i < 4; i++) expect(outputs[4 + i]!.data).toBe(inputs[5 + i]!.data);
    const value0 = inputs[6]!.data as Float32Array;
    expect(value0.buffer).toBe(seats[1]!.buffer);
    expect(value0.byteOffset).toBe(1 * 8 * 2 * 4);
    expect(value0.length).toBe(2 * 8 * 2);
  });

  test('are built once per shape and range of seats', () => {
    const { session, bindings } = open();
    const shapes = [
      { slotStart: 0, slotCount: 1, tokenCount: 1, logitRowCount: 1 },
      { slotStart: 1, slotCount: 1, tokenCount: 1, logitRowCount: 1 },
      { slotStart: 0, slotCount: 2, tokenCount: 1, logitRowCount: 2 },
      { slotStart: 0, slotCount: 1, tokenCount: 5, logitRowCount: 1 },
      { slotStart: 0, slotCount: 1, tokenCount: 5, logitRowCount: 4 },
    ];
    const first = shapes.map((one) => bindings.get(one));
    const second = shapes.map((one) => bindings.get(one));
    expect(second).toEqual(first);
    expect(new Set(first).size).toBe(shapes.length);
    expect(session.bound.length).toBe(shapes.length);
  });

  test('never leak: past the bound the least recently used is released, in the end all are', () => {
    const { session, bindings } = open();
    const chunk = (tokenCount: number) =>
      bindings.get({ slotStart: 0, slotCount: 1, tokenCount, logitRowCount: 1 });
    const kept = chunk(1);
    for (let count = 2; count <= 300; count++) {
      chunk(count);
      if (count === 200) expect(chunk(1)).toBe(kept);
    }
    expect(session.liveCount).toBe(bindingCountMax);
    expect(chunk(1)).toBe(kept);
    expect(session.bound.length).toBe(300);
    chunk(2);
    expect(session.bound.length).toBe(301);
    bindings.release();
    expect(session.liveCount).toBe(0);
  });
});
