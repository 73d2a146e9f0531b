// The line of those who wait, and the two small structures beside it, against the plain arrays that they stand for.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Children,
  childCount,
  childOf,
  everyChild,
  withChild,
  withoutChild,
} from '../../../server/engine/prefix-children.ts';
import { ReplicaSet } from '../../../server/engine/replica-set.ts';
import { WaitingLine } from '../../../server/engine/waiting-line.ts';

test('a line is a sorted array, whoever leaves it from where', () => {
  const command = fc.record({ urgency: fc.nat(20), leaves: fc.option(fc.nat(40)), all: fc.nat(60) });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
      const line = new WaitingLine<{ urgency: number; id: number }>();
      let plain: { urgency: number; id: number }[] = [];
      for (const [id, { urgency, leaves, all }] of commands.entries()) {
        const waiter = { urgency, id };
        line.insert(waiter, (other) => urgency < other.urgency);
        plain.push(waiter);
        plain.sort((a, b) => a.urgency - b.urgency || a.id - b.id);
        if (leaves !== null && plain.length > 0) {
          const index = leaves % plain.length;
          if (leaves % 2 === 0) line.removeAt(index);
          else line.remove(plain[index]!);
          plain.splice(index, 1);
        }
        expect(line.some(({ urgency: other }) => other === 3)).toBe(
          plain.some(({ urgency: other }) => other === 3),
        );
        if (all === 0) {
          expect(line.takeAll()).toEqual(plain);
          plain = [];
        }
        expect(line.length).toBe(plain.length);
        for (const [index, expected] of plain.entries()) expect(line.at(index)).toBe(expected);
      }
    }),
    { numRuns: 50 },
  );
});

test('thousands leave from the head one after the other, and newcomers come behind the others', () => {
  const line = new WaitingLine<number>();
  for (let id = 0; id < 5000; id++) line.insert(id, () => false);
  for (let id = 0; id < 4000; id++) {
    expect(line.at(0)).toBe(id);
    line.removeAt(0);
  }
  line.insert(5000, () => false);
  expect([line.length, line.at(0), line.at(1000)]).toEqual([1001, 4000, 5000]);
});

test('the next member of a set of replicas, over all its words', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(130), fc.boolean())), fc.nat(140), (puts, from) => {
      const set = new ReplicaSet(131);
      const members = new Set<number>();
      for (const [replica, isMember] of puts) {
        set.put(replica, isMember);
        if (isMember) members.add(replica);
        else members.delete(replica);
      }
      const expected = [...members].filter((replica) => replica >= from).sort((a, b) => a - b)[0] ?? -1;
      expect(set.next(from)).toBe(expected);
    }),
  );
});

test('children are a map by key, however few', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.boolean())), (changes) => {
      let children: Children<{ readonly key: string }> = null;
      const plain = new Map<string, { readonly key: string }>();
      for (const [key, comes] of changes) {
        if (comes && !plain.has(key)) {
          const child = { key };
          plain.set(key, child);
          children = withChild(children, child);
        } else if (!comes) {
          plain.delete(key);
          children = withoutChild(children, key);
        }
        expect(childCount(children)).toBe(plain.size);
        expect(new Set(everyChild(children))).toEqual(new Set(plain.values()));
        for (const name of ['a', 'b', 'c', 'd']) expect(childOf(children, name)).toBe(plain.get(name));
        expect(children === null).toBe(plain.size === 0);
      }
    }),
  );
});
