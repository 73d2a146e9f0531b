// A session's state that is on its way to the store that nodes share when its client is at another node already.
import { describe, expect, test } from 'vitest';
import { encodeBytes } from '../../../byte-text.ts';
import {
  ALL_MS,
  ask,
  back,
  endOf,
  heard,
  opened,
  STEP_MS,
  say,
  tokensOf,
  world,
} from '../../../session-nodes.ts';

describe('a state on its way to the store', () => {
  const known = { ...back, index: 300, position: 301 };

  test('is waited for by whoever knows of it, and taken whole', async () => {
    const { a, b, pass } = world();
    const first = a.greeted();
    say(first, ...opened, ask);
    await pass(5 * STEP_MS);
    const arrive = a.view.delay(); // the answer's end; its question has arrived
    await pass(ALL_MS);
    expect(endOf(heard(first))).toMatchObject({ position: 301 });
    const second = b.greeted();
    say(second, known);
    await pass(500);
    expect(heard(second).map(({ type }) => type)).toEqual(['hello']);
    arrive();
    await pass(50);
    expect(heard(second)[0]).toMatchObject({ type: 'session.resumed', position: 301, running: false });
    expect(b.asked).toEqual([]);
    say(first, { type: 'session.append', session: 0, text: 'z' });
    await pass(1);
    expect(heard(first).at(-1)).toMatchObject({ type: 'session.taken' });
  });

  test('that never arrives is waited for a second: then the older one goes on', async () => {
    const { a, b, pass } = world();
    const first = a.greeted();
    say(first, ...opened, ask);
    await pass(5 * STEP_MS);
    a.view.delay();
    await pass(ALL_MS);
    const second = b.greeted();
    say(second, known);
    await pass(990);
    expect(heard(second)).toHaveLength(1);
    await pass(ALL_MS);
    const messages = heard(second);
    expect(messages[0]).toMatchObject({ type: 'session.resumed', generation: 0 });
    expect(tokensOf(messages)).toEqual([]);
    expect(endOf(messages)).toMatchObject({ position: 301, reason: 'stop' });
    expect(b.asked).toEqual([[...encodeBytes('x')]]);
  });

  test('is not waited for by whoever does not know of it', async () => {
    const { a, b, pass } = world();
    say(a.greeted(), ...opened, ask);
    await pass(ALL_MS);
    const second = b.greeted();
    say(second, { ...known, position: 7 });
    await pass(1);
    expect(heard(second)[1]).toMatchObject({ type: 'session.resumed', position: 301 });
  });
});
