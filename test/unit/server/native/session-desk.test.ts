import { pack } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { ServerMessage } from '../../../../server/client/messages.ts';
import { decodeServerFrame } from '../../../../server/client/protocol.ts';
import type { SequenceRequest } from '../../../../server/engine/request.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import type { MemorySocket } from '../../../memory-socket.ts';
import { NativeServer, type NativeServerOptions } from '../../../native-world.ts';
import { type Script, ScriptedEngine } from '../../../scripted-engine.ts';

const HELLO = { type: 'hello', version: { min: 1, max: 1 } };
const letters = Array.from({ length: 300 }, (_, index) => 97 + (index % 26));

function setup(
  options: Partial<NativeServerOptions> & { script?: (request: SequenceRequest) => Script } = {},
) {
  const clock = new VirtualClock();
  const requests: number[][] = [];
  const engine = new ScriptedEngine({
    clock,
    script: (request) => {
      if (request.maxTokens > 0) requests.push([...request.tokens]);
      return options.script?.(request) ?? { tokens: letters };
    },
  });
  const server = new NativeServer({ clock, engine, ...options });
  const greeted = (owner = 'owner') => {
    const socket = server.socket(owner);
    say(socket, HELLO);
    return socket;
  };
  return { clock, engine, server, requests, greeted };
}

function say(socket: MemorySocket, ...messages: unknown[]): void {
  for (const message of messages) socket.transmit(pack(message));
}

function heard(socket: MemorySocket): ServerMessage[] {
  return socket.received.splice(0).map((frame) => decodeServerFrame(frame)!);
}

const tokensOf = (messages: readonly ServerMessage[], generation: number) =>
  messages.flatMap((m) => (m.type === 'tokens' && m.generation === generation ? [...m.tokens] : []));
const typesOf = (messages: readonly ServerMessage[]) => [...new Set(messages.map(({ type }) => type))];

const opened = [
  { type: 'session.open', session: 0, sampling: { temperature: 0.5 } },
  { type: 'session.append', session: 0, text: 'x' },
];

describe('coming back', () => {
  test.each([0, 1, 57, 300])('with %i of 300 tokens continues with exactly the next one', (index) => {
    const { clock, greeted } = setup({ session: { replayTokensMax: 4096 } });
    const first = greeted();
    say(first, ...opened, { type: 'generate', session: 0, generation: 4 });
    clock.run(100);
    first.disconnect();
    clock.run(1000);
    const before = tokensOf(heard(first), 4);
    expect(before).toEqual(letters.slice(0, before.length));
    const second = greeted();
    say(second, { type: 'session.resume', session: 9, request: 1, id: 'sess_1', generation: 4, index });
    clock.run(2000);
    const messages = heard(second);
    expect(messages[1]).toMatchObject({
      type: 'session.resumed',
      session: 9,
      request: 1,
      generation: 4,
      nextIndex: 300,
      running: false,
    });
    expect(tokensOf(messages, 4)).toEqual(letters.slice(index));
    const text = messages.map((m) => (m.type === 'tokens' ? m.text : '')).join('');
    expect(text).toBe(Buffer.from(letters.slice(index)).toString());
    expect(messages.at(-1)).toMatchObject({ type: 'generation.end', session: 9, reason: 'stop' });
  });

  test('after too many tokens is refused with what is kept; without a wish it succeeds', () => {
    const { clock, greeted } = setup({ session: { replayTokensMax: 100 } });
    const first = greeted();
    say(first, ...opened, { type: 'generate', session: 0, generation: 0 });
    clock.run(3000);
    first.disconnect();
    const second = greeted();
    const resume = { type: 'session.resume', session: 0, id: 'sess_1' };
    say(second, { ...resume, request: 1, generation: 0, index: 3 }, { ...resume, request: 2 });
    clock.run(4000);
    expect(heard(second)).toMatchObject([
      { type: 'hello' },
      { type: 'error', code: 'replay_gone', request: 1, param: 'index' },
      { type: 'session.resumed', request: 2, position: 301 },
    ]);
  });

  test('the newer socket takes the session over, the older is told and cannot use it any more', () => {
    const { clock, greeted } = setup();
    const [older, newer] = [greeted(), greeted()];
    say(older, ...opened);
    clock.run(100);
    say(newer, { type: 'session.resume', session: 5, id: 'sess_1' });
    clock.run(200);
    expect(heard(older).at(-1)).toEqual({ type: 'session.taken', session: 0 });
    say(older, { type: 'session.append', session: 0, text: 'y' });
    say(newer, { type: 'session.append', session: 5, text: 'y' });
    clock.run(300);
    expect(heard(older)).toMatchObject([{ code: 'unknown_session' }]);
    expect(heard(newer).find(({ type }) => type === 'session.appended')).toMatchObject({ position: 2 });
    older.disconnect();
    clock.run(400);
    say(newer, { type: 'generate', session: 5, generation: 0 });
    clock.run(2000);
    expect(tokensOf(heard(newer), 0)).toEqual(letters);
  });

  test('another key cannot resume, see or drop it', () => {
    const { clock, greeted } = setup();
    const [mine, other] = [greeted(), greeted('somebody else')];
    say(mine, ...opened);
    clock.run(100);
    const id = 'sess_1';
    say(other, { type: 'session.resume', session: 0, id }, { type: 'sessions.show', id });
    say(other, { type: 'sessions.drop', id }, { type: 'sessions.list' });
    clock.run(200);
    expect(heard(other).slice(1)).toMatchObject([
      { code: 'unknown_session' },
      { code: 'unknown_session' },
      { code: 'unknown_session' },
      { type: 'sessions.listed', sessions: [] },
    ]);
    expect(heard(mine).some(({ type }) => type === 'session.taken')).toBe(false);
  });

  test('a session without a socket makes room at the bound, one with a socket does not', () => {
    const { clock, server, greeted } = setup({ table: { sessionCountPerKeyMax: 2 } });
    const gone = greeted();
    say(gone, { type: 'session.open', session: 0 });
    clock.run(10);
    gone.disconnect();
    const socket = greeted();
    for (const session of [0, 1, 2]) say(socket, { type: 'session.open', session });
    clock.run(20);
    expect(heard(socket).slice(1)).toMatchObject([
      { type: 'session.opened', session: 0 },
      { type: 'session.opened', session: 1 },
      { code: 'session_limit', session: 2 },
    ]);
    expect(server.sessions.find('sess_1', 'owner')).toBeNull();
  });
});

describe('changing course', () => {
  test('a steer stops at a token border, appends and goes on, without a round trip', () => {
    const { clock, greeted, requests } = setup({
      script: ({ tokens }) => ({ tokens: tokens.length > 1 ? [...encodeBytes('ok'), BYTE_EOS] : letters }),
    });
    const socket = greeted();
    say(socket, ...opened, { type: 'generate', session: 0, generation: 0 });
    clock.run(20);
    say(socket, { type: 'steer', session: 0, generation: 1, running: 0, text: 'NO' });
    clock.run(500);
    const messages = heard(socket);
    const kept = tokensOf(messages, 0);
    expect(kept.length).toBeGreaterThan(3);
    expect(kept).toEqual(letters.slice(0, kept.length));
    const ends = messages.filter((message) => message.type === 'generation.end');
    expect(ends.map(({ generation, reason }) => [generation, reason])).toEqual([
      [0, 'cancelled'],
      [1, 'stop'],
    ]);
    expect(requests[1]).toEqual([...encodeBytes('x'), ...kept, ...encodeBytes('NO')]);
    expect(messages.filter((m) => m.type === 'session.appended').at(-1)).toMatchObject({
      generation: 1,
      tokenCount: 2,
      position: 3 + kept.length,
    });
    expect(tokensOf(messages, 1)).toEqual([...encodeBytes('ok'), BYTE_EOS]);
  });

  test('a steer can drop the answer, and one that comes too late simply asks', () => {
    const { clock, greeted, requests } = setup({ script: () => ({ tokens: letters.slice(0, 30) }) });
    const socket = greeted();
    say(socket, ...opened, { type: 'generate', session: 0, generation: 0 });
    clock.run(10);
    say(socket, { type: 'steer', session: 0, generation: 1, running: 0, keep: false, text: 'A' });
    clock.run(500);
    say(socket, { type: 'steer', session: 0, generation: 2, running: 1, text: 'B' });
    clock.run(1000);
    expect(requests[1]).toEqual([...encodeBytes('xA')]);
    expect(requests[2]).toEqual([...encodeBytes('xA'), ...letters.slice(0, 30), ...encodeBytes('B')]);
    expect(heard(socket).filter(({ type }) => type === 'error')).toEqual([]);
  });

  test('a steer whose content is refused has stopped the answer, and says so', () => {
    const { clock, greeted } = setup({ session: { tokensMax: 200 } });
    const socket = greeted();
    say(socket, ...opened, { type: 'generate', session: 0, generation: 0 });
    clock.run(10);
    const late = { type: 'steer', session: 0, generation: 1, running: 0, text: 'y'.repeat(400) };
    say(socket, late, { type: 'session.append', session: 0, request: 8, text: 'z' });
    clock.run(500);
    expect(heard(socket).slice(-3)).toMatchObject([
      { type: 'error', code: 'session_busy', request: 8 },
      { type: 'generation.end', generation: 0, reason: 'cancelled' },
      { type: 'error', code: 'context_length_exceeded', generation: 1 },
    ]);
  });

  test('an edit says from where on and how much is computed again', () => {
    const { clock, greeted, requests } = setup();
    const socket = greeted();
    say(socket, { type: 'session.open', session: 0 });
    say(socket, { type: 'session.append', session: 0, text: 'let a = 1; let b = 2;' });
    say(socket, { type: 'session.edit', session: 0, request: 1, start: 8, count: 1, text: '17' });
    say(socket, { type: 'session.edit', session: 0, request: 2, start: 30, count: 1 });
    say(socket, { type: 'generate', session: 0, generation: 0, maxTokens: 1 });
    clock.run(100);
    const messages = heard(socket);
    expect(messages.find(({ type }) => type === 'session.edited')).toEqual({
      type: 'session.edited',
      session: 0,
      request: 1,
      start: 9, // the 1 stands
      tokenCount: 13,
      position: 22,
    });
    expect(messages.find(({ type }) => type === 'error')).toMatchObject({ request: 2, param: 'start' });
    expect(Buffer.from(requests[0]!).toString()).toBe('let a = 17; let b = 2;');
  });

  test('a message of a chat is edited where it stands; answers before it keep their tokens', () => {
    const { clock, greeted, requests } = setup({
      script: () => ({ tokens: [...encodeBytes('fine'), BYTE_EOS] }),
    });
    const socket = greeted();
    const user = (content: string) => [{ role: 'user', content }];
    say(socket, { type: 'session.open', session: 0 });
    for (const [generation, text] of ['one', 'two', 'three'].entries()) {
      say(socket, { type: 'session.append', session: 0, messages: user(text) });
      say(socket, { type: 'generate', session: 0, generation });
      clock.run((generation + 1) * 500);
    }
    heard(socket);
    say(socket, { type: 'session.edit', session: 0, start: 2, count: 4, messages: user('TWO') });
    say(socket, { type: 'generate', session: 0, generation: 7 });
    clock.run(3000);
    const firstTurn = 'user: one<|end|>\nassistant: fine<|end|>\n'.replaceAll('<|end|>', '$');
    const asked = Buffer.from(requests.at(-1)!.map((id) => (id === BYTE_EOS ? 36 : id))).toString();
    expect(asked).toBe(`${firstTurn}user: TWO$\nassistant: `);
    const edited = heard(socket).find((message) => message.type === 'session.edited')!;
    expect(edited.start).toBeGreaterThan(firstTurn.length - 1);
  });

  test('a fork has the beginning and goes its own way', () => {
    const { clock, greeted, requests, server } = setup({ script: () => ({ tokens: [65] }) });
    const socket = greeted();
    say(socket, { type: 'session.open', session: 0 }, { type: 'session.append', session: 0, text: 'abcdef' });
    say(socket, { type: 'session.fork', session: 1, request: 3, of: 0, count: 4 });
    say(socket, { type: 'session.fork', session: 2, request: 4, of: 0, count: 7 });
    say(socket, { type: 'session.append', session: 1, text: 'X' });
    for (const session of [0, 1]) say(socket, { type: 'generate', session, generation: 0, maxTokens: 1 });
    clock.run(100);
    const messages = heard(socket);
    expect(messages.find(({ type }) => type === 'session.forked')).toMatchObject({ session: 1, position: 4 });
    expect(messages.find(({ type }) => type === 'error')).toMatchObject({ request: 4 });
    expect(requests.map((ids) => Buffer.from(ids).toString()).sort()).toEqual(['abcdX', 'abcdef']);
    expect(server.sessions.count).toBe(2);
  });
});

test('all sessions of a key can be listed, looked at and dropped from anywhere', () => {
  const { clock, greeted } = setup();
  const [worker, admin] = [greeted(), greeted()];
  say(worker, ...opened, { type: 'session.open', session: 1 });
  clock.run(100);
  say(admin, { type: 'sessions.list', request: 1 }, { type: 'sessions.show', request: 2, id: 'sess_1' });
  say(admin, { type: 'sessions.drop', request: 3, id: 'sess_1' }, { type: 'sessions.list', request: 4 });
  clock.run(200);
  const [, listed, shown, dropped, rest] = heard(admin);
  expect(listed).toMatchObject({ sessions: [{ id: 'sess_1', attached: true }, { id: 'sess_2' }] });
  expect(shown).toMatchObject({ type: 'sessions.shown', text: 'x', summary: { position: 1 } });
  expect(dropped).toMatchObject({ type: 'sessions.dropped', id: 'sess_1' });
  expect(rest).toMatchObject({ sessions: [{ id: 'sess_2' }] });
  expect(heard(worker).at(-1)).toEqual({ type: 'session.closed', session: 0, reason: 'dropped' });
  expect(typesOf(heard(worker))).toEqual([]);
});
