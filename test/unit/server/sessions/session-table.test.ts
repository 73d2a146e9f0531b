import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { SessionReader } from '../../../../server/sessions/answer-line.ts';
import type { Session } from '../../../../server/sessions/session.ts';
import type { SessionHolder } from '../../../../server/sessions/session-table.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { greedyQuestion } from '../../../greedy-request.ts';
import { countingTimers, NativeServer } from '../../../native-world.ts';
import { ScriptedEngine } from '../../../scripted-engine.ts';

const quiet: SessionReader = {
  isReady: () => true,
  onTokens() {},
  onEnd() {},
  onPrefilled() {},
  onRefused() {},
  onSteered() {},
};

const holder: SessionHolder = { reader: quiet, onExpired() {}, onTaken() {}, onDropped() {} };

function setup(stepMs = 1) {
  const clock = new VirtualClock();
  const timers = countingTimers(clock);
  const engine = new ScriptedEngine({
    clock,
    stepMs,
    script: () => ({ tokens: [...encodeBytes('0123456789'), BYTE_EOS] }),
  });
  const bounds = { sessionCountMax: 4, sessionCountPerKeyMax: 3, sessionIdleTimeoutMs: 1000 };
  const { sessions } = new NativeServer({ clock, engine, table: bounds });
  const expired: string[] = [];
  const open = (owner: string): Session => {
    const onExpired = () => expired.push(opened.ok ? opened.session.id : '');
    const opened = sessions.open(owner, { ...holder, onExpired });
    if (!opened.ok) throw new Error(opened.fault.code);
    return opened.session;
  };
  return { clock, timers, sessions, expired, open };
}

test('sessions are found by their id, by their owner only', () => {
  const { sessions, open } = setup();
  const session = open('a');
  expect(sessions.find(session.id, 'a')).toBe(session);
  expect(sessions.find(session.id, 'b')).toBeNull();
  expect(sessions.find('nothing', 'a')).toBeNull();
});

test('whoever has lost a session to another holder takes nothing from it by going', () => {
  const { clock, sessions, open } = setup();
  const session = open('a');
  const said: string[] = [];
  const first = { ...holder, onTaken: () => said.push('taken from the first') };
  const reader = { ...quiet, onEnd: () => void said.push('told the second') };
  const second = { ...holder, reader, onTaken: () => said.push('taken from the second') };
  expect(sessions.resume(session.id, 'a', first, null).ok).toBe(true);
  expect(sessions.resume(session.id, 'a', second, null).ok).toBe(true);
  sessions.release(session, first);
  session.append({ text: 'a', suffix: null, tokens: null, messages: null });
  session.generate(greedyQuestion(0));
  clock.run(500);
  sessions.release(session, first);
  expect(sessions.resume(session.id, 'a', first, null).ok).toBe(true);
  expect(said).toEqual(['taken from the first', 'told the second', 'taken from the second']);
});

test('one key cannot take the places of the others, and all together have a bound', () => {
  const { sessions, open } = setup();
  for (let i = 0; i < 3; i++) open('a');
  expect(() => open('a')).toThrow('session_limit');
  const last = open('b');
  expect(() => open('b')).toThrow('session_limit');
  sessions.close(last);
  sessions.close(last);
  expect(sessions.countOf('b')).toBe(0);
  expect(sessions.count).toBe(3);
  open('b');
});

test('a session that nobody uses expires after its time, not before', () => {
  const { clock, sessions, expired, open } = setup();
  const idle = open('a');
  const used = open('a');
  clock.run(600);
  sessions.touch(used);
  clock.run(999);
  expect(expired).toEqual([]);
  clock.run(1001);
  expect(expired).toEqual([idle.id]);
  clock.run(1599);
  expect(sessions.find(used.id, 'a')).toBe(used);
  clock.run(1601);
  expect(expired).toEqual([idle.id, used.id]);
  expect(sessions.count).toBe(0);
});

test('a session at work does not expire, and has its full time after the answer', () => {
  const { clock, sessions, expired, open } = setup(500);
  const session = open('a');
  session.append({ text: 'x', suffix: null, tokens: null, messages: null });
  session.generate(greedyQuestion(0));
  clock.run(5600); // eleven tokens, 500 ms each
  expect(expired).toEqual([]);
  expect(session.generating).toBe(false);
  clock.run(6400);
  expect(expired).toEqual([]);
  clock.run(6600);
  expect(expired).toEqual([session.id]);
  expect(sessions.count).toBe(0);
});

test('an empty table has no timer', () => {
  const { clock, timers, sessions, open } = setup();
  const session = open('a');
  expect(timers.pending()).toBe(1);
  sessions.close(session);
  expect(timers.pending()).toBe(0);
  open('a');
  clock.run(5000);
  expect(timers.pending()).toBe(0);
});
