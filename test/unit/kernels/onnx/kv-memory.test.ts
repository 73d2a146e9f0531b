import { expect, test } from 'vitest';
import {
  allocateBlocks,
  allocateSeats,
  type KvShape,
  restoreBlock,
  saveBlock,
} from '../../../../kernels/onnx/kv-memory.ts';

const shape: KvShape = {
  scales: null,
  layerCount: 2,
  kvHeadCount: 3,
  headSize: 4,
  slotCount: 5,
  slotTokensMax: 10,
  blockSize: 2,
  blockCount: 6,
};

/** Where one number of a seat lies, written down once more and differently. */
function cell(place: { slot: number; head: number; position: number; element: number }): number {
  const perHead = shape.slotTokensMax * shape.headSize;
  return place.slot * shape.kvHeadCount * perHead + place.head * perHead + place.position * 4 + place.element;
}

test('a block carries exactly its tokens, in every layer and head, from one seat into another', () => {
  const memory = { shape, seats: allocateSeats(shape, 'shared'), blocks: allocateBlocks(shape) };
  for (const [index, array] of memory.seats.entries()) {
    for (let i = 0; i < array.length; i++) array[i] = 1000 * (index + 1) + i;
  }
  const before = memory.seats.map((array) => array.slice());
  saveBlock(memory, { slot: 1, position: 4, block: 3 });
  expect(memory.seats.map((array) => array.slice())).toEqual(before);
  restoreBlock(memory, { slot: 4, position: 8, block: 3 });
  for (const [index, array] of memory.seats.entries()) {
    const expected = before[index]!;
    for (let head = 0; head < 3; head++) {
      for (let element = 0; element < 8; element++) {
        const to = cell({ slot: 4, head, position: 8, element });
        expected[to] = expected[cell({ slot: 1, head, position: 4, element })]!;
      }
    }
    expect(array.slice()).toEqual(expected);
  }
});

test('blocks do not touch each other', () => {
  const memory = { shape, seats: allocateSeats(shape, 'private'), blocks: allocateBlocks(shape) };
  for (const block of [0, 5, 2]) {
    for (const array of memory.seats) array.fill(block + 1);
    saveBlock(memory, { slot: 0, position: 0, block });
  }
  for (const array of memory.blocks) {
    const perBlock = array.length / shape.blockCount;
    const first = Array.from({ length: 6 }, (_, block) => array[block * perBlock]);
    const last = Array.from({ length: 6 }, (_, block) => array[(block + 1) * perBlock - 1]);
    expect(first).toEqual([1, 0, 3, 0, 0, 6]);
    expect(last).toEqual(first);
  }
});

test('places outside of the memory are programming errors', () => {
  const memory = { shape, seats: allocateSeats(shape, 'private'), blocks: allocateBlocks(shape) };
  expect(() => restoreBlock(memory, { slot: 5, position: 0, block: 0 })).toThrow('slot 5 of 5');
  expect(() => saveBlock(memory, { slot: 0, position: 10, block: 0 })).toThrow('position 10');
  expect(() => saveBlock(memory, { slot: 0, position: 0, block: 6 })).toThrow('block 6 of 6');
});
