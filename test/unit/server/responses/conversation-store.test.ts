// The bounds of conversations where their times meet: what is old does not count against its owner, what is being answered is
// not old.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { ConversationStore } from '../../../../server/responses/conversation-store.ts';

const bounds = {
  conversationCountMax: 4,
  conversationCountPerKeyMax: 2,
  conversationStoreSizeMax: 10_000,
  conversationTtlMs: 1000,
};

function storeOf(...ids: readonly string[]) {
  const clock = new VirtualClock();
  const store = new ConversationStore(bounds, clock);
  const make = (id: string) => store.create('ada', { id, createdAt: 0, metadata: {}, items: [] });
  for (const id of ids) expect(make(id)).toBeNull();
  return { clock, store, make };
}

test('those that grew old leave their owner room for as many others', () => {
  const { clock, store, make } = storeOf('1', '2');
  clock.run(1000);
  expect([make('3'), make('4')]).toEqual([null, null]);
  expect(['1', '2', '3', '4'].map((id) => store.get(id, 'ada') !== null)).toEqual([false, false, true, true]);
});

test.each([
  ['what was said is written into it', true, 1],
  ['it is as it was', false, 0],
])('an answer that takes longer than an unused one is kept uses it: %s', (_, isSaid, itemCount) => {
  const { clock, store } = storeOf('1');
  const turn = store.turn('1', 'ada');
  if (!turn.ok) throw new Error(turn.fault.message);
  const input = [{ type: 'message', id: 'msg_1' }];
  expect(turn.value.begin(input)).toBeNull();
  clock.run(5000);
  turn.value.end(isSaid ? input : null);
  clock.run(5999);
  expect(store.get('1', 'ada')?.items).toHaveLength(itemCount);
});
