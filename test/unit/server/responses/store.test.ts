// The bounds of stored responses: count, count per owner, size, age; and what may not be dropped.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { ResponseStore, type StoredResponse } from '../../../../server/responses/store.ts';

const bounds = {
  responseCountMax: 4,
  responseCountPerKeyMax: 3,
  responseStoreSizeMax: 10_000,
  responseTtlMs: 1000,
};

function stored(id: string, more: Partial<StoredResponse> = {}): StoredResponse {
  return {
    id,
    owner: 'ada',
    input: [{ type: 'message', id: `msg_${id}` }],
    history: [],
    response: () => ({ id }),
    output: () => [{ type: 'message', id: `out_${id}` }],
    isOver: () => true,
    cancel: () => {},
    ...more,
  };
}

function storeOf(...responses: readonly StoredResponse[]) {
  const clock = new VirtualClock();
  const store = new ResponseStore(bounds, clock);
  const has = () => responses.map(({ id, owner }) => store.get(id, owner) !== null);
  for (const response of responses) {
    store.add(response);
    if (response.isOver()) store.settle(response.id);
  }
  return { clock, store, has };
}

test('the oldest of an owner goes before those of others', () => {
  const { has } = storeOf(stored('1', { owner: 'bob' }), stored('2'), stored('3'), stored('4'), stored('5'));
  expect(has()).toEqual([true, false, true, true, true]);
});

test('what is being written stays', () => {
  const writing = stored('1', { isOver: () => false });
  const { has } = storeOf(writing, stored('2'), stored('3'), stored('4'));
  expect(has()).toEqual([true, false, true, true]);
});

test('size counts the answer too', () => {
  const large = (id: string) => stored(id, { response: () => ({ id, text: 'x'.repeat(6000) }) });
  expect(storeOf(large('1'), large('2')).has()).toEqual([false, true]);
});

test('what is larger than everything is not kept', () => {
  const { store } = storeOf(stored('1', { input: [{ type: 'message', text: 'x'.repeat(20_000) }] }));
  expect(store.count).toBe(0);
});

test('age ends it, for its items too', () => {
  const { clock, store, has } = storeOf(stored('1'));
  expect(store.item('out_1', 'ada')).not.toBeNull();
  expect(store.item('out_1', 'bob')).toBeNull();
  clock.run(1000);
  expect(has()).toEqual([false]);
  expect([store.count, store.item('out_1', 'ada')]).toEqual([0, null]);
});

test('deleting cancels what is being written', () => {
  let cancelled = false;
  const cancel = () => {
    cancelled = true;
  };
  const { store } = storeOf(stored('1', { isOver: () => false, cancel }));
  expect([store.delete('1', 'bob'), store.delete('1', 'ada'), cancelled]).toEqual([false, true, true]);
});
