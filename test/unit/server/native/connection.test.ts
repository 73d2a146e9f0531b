import { pack } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { ErrorMessage, ServerMessage } from '../../../../server/client/messages.ts';
import { decodeServerFrame } from '../../../../server/client/protocol.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import type { MemorySocket } from '../../../memory-socket.ts';
import { countingTimers, NativeServer, type NativeServerOptions } from '../../../native-world.ts';
import { type Script, ScriptedEngine } from '../../../scripted-engine.ts';

const HELLO = { type: 'hello', version: { min: 1, max: 1 } };

function setup(options: Partial<NativeServerOptions> & { script?: () => Script } = {}) {
  const clock = new VirtualClock();
  const timers = countingTimers(clock);
  const script = options.script ?? (() => ({ tokens: [...encodeBytes('hello'), BYTE_EOS] }));
  const engine = new ScriptedEngine({ clock, script });
  const server = new NativeServer({ clock, engine, ...options });
  return { clock, timers, engine, server };
}

function say(socket: MemorySocket, ...messages: unknown[]): void {
  for (const message of messages) socket.transmit(pack(message));
}

/** What has arrived since the last call. */
function heard(socket: MemorySocket): ServerMessage[] {
  return socket.received.splice(0).map((frame) => decodeServerFrame(frame)!);
}

const errorsOf = (messages: readonly ServerMessage[]) =>
  messages.filter((message): message is ErrorMessage => message.type === 'error');

describe('the greeting', () => {
  test('a hello is answered with the version, the model and the limits', () => {
    const { clock, server } = setup();
    const socket = server.socket();
    say(socket, { type: 'hello', version: { min: 1, max: 7 }, client: 'test/1', future: true });
    clock.run(10);
    expect(heard(socket)).toMatchObject([
      { type: 'hello', version: 1, model: 'bytes', limits: { logprobsMax: 5 } },
    ]);
  });

  test.each([
    [{ min: 2, max: 9 }, 'unsupported_version'],
    [{ min: 0, max: 1 }, 'invalid_request'],
  ])('version %o ends with %s', (version, code) => {
    const { clock, server, timers } = setup();
    const socket = server.socket();
    say(socket, { type: 'hello', version });
    clock.run(10);
    expect(heard(socket)).toMatchObject([{ type: 'error', code, retryable: false }]);
    expect(socket.closedWith).toMatchObject({ code: 1002, reason: code });
    expect(timers.pending()).toBe(0);
  });

  test('nothing else may come first', () => {
    const { clock, server } = setup();
    const socket = server.socket();
    say(socket, { type: 'session.open', session: 0 }, HELLO);
    clock.run(10);
    expect(heard(socket)).toMatchObject([{ type: 'error', code: 'hello_expected' }]);
    expect(socket.closedWith).toMatchObject({ code: 1002 });
  });

  test('a socket that says nothing is closed', () => {
    const { clock, server } = setup();
    const socket = server.socket();
    clock.run(9_999);
    expect(socket.closedWith).toBeNull();
    clock.run(10_001);
    expect(heard(socket)).toMatchObject([{ code: 'hello_expected' }]);
    expect(socket.closedWith).toMatchObject({ code: 1002 });
  });

  test('where a key is needed and the upgrade brought none, the hello must bring it', () => {
    const { clock, server } = setup();
    const [none, wrong, right] = [server.socket(null), server.socket(null), server.socket(null)];
    say(none!, HELLO);
    say(wrong!, { ...HELLO, apiKey: 'guess' });
    say(right!, { ...HELLO, apiKey: 'secret-key' });
    clock.run(10);
    expect(heard(none!)).toMatchObject([{ type: 'error', code: 'invalid_api_key' }]);
    expect(heard(wrong!)).toMatchObject([{ type: 'error', code: 'invalid_api_key' }]);
    expect(wrong!.closedWith).toMatchObject({ code: 1008 });
    expect(heard(right!)).toMatchObject([{ type: 'hello' }]);
  });

  test('a second hello is refused and changes nothing', () => {
    const { clock, server } = setup();
    const socket = server.socket();
    say(socket, HELLO, HELLO, { type: 'ping', nonce: 3 });
    clock.run(10);
    expect(heard(socket)).toMatchObject([
      { type: 'hello' },
      { code: 'invalid_request' },
      { type: 'pong', nonce: 3 },
    ]);
  });
});

describe('a conversation', () => {
  test('everything may be sent in one go: open, append, generate', () => {
    const { clock, server } = setup();
    const socket = server.socket();
    say(
      socket,
      HELLO,
      { type: 'session.open', session: 7, request: 1 },
      { type: 'session.append', session: 7, request: 2, text: 'say: ' },
      { type: 'generate', session: 7, generation: 1 },
    );
    clock.run(100);
    const messages = heard(socket);
    expect(messages[1]).toMatchObject({ type: 'session.opened', session: 7, request: 1, id: 'sess_1' });
    expect(messages[2]).toMatchObject({
      type: 'session.appended',
      session: 7,
      request: 2,
      tokenCount: 5,
      position: 5,
    });
    const tokens = messages.filter((message) => message.type === 'tokens');
    expect(tokens.map(({ text }) => text).join('')).toBe('hello');
    expect(tokens.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(messages.at(-1)).toMatchObject({
      type: 'generation.end',
      session: 7,
      generation: 1,
      reason: 'stop',
      error: null,
      usage: { promptTokens: 5, outputTokens: 6 },
    });
  });

  test('two sessions of one socket answer side by side, each under its own number', () => {
    const { clock, server } = setup();
    const socket = server.socket();
    say(socket, HELLO);
    for (const session of [1, 2]) {
      say(
        socket,
        { type: 'session.open', session },
        { type: 'session.append', session, text: 'x' },
        { type: 'generate', session, generation: 5 },
      );
    }
    clock.run(100);
    const messages = heard(socket);
    for (const session of [1, 2]) {
      const mine = messages.filter((message) => message.type === 'tokens' && message.session === session);
      expect(mine.length).toBe(6);
    }
    const order = messages.filter((message) => message.type === 'tokens').map(({ session }) => session);
    expect(order.slice(0, 4)).toEqual([1, 2, 1, 2]);
  });

  test('what the message says goes before what the session was opened with', () => {
    const { clock, server, engine } = setup();
    const temperatures: number[] = [];
    const submit = engine.submit.bind(engine);
    engine.submit = (request, sink) => {
      temperatures.push(request.sampling.temperature);
      return submit(request, sink);
    };
    const socket = server.socket();
    const ask = { type: 'generate', session: 0 };
    say(socket, HELLO, { type: 'session.open', session: 0, sampling: { temperature: 0.5 } });
    say(socket, { type: 'session.append', session: 0, text: 'x' }, { ...ask, generation: 0 });
    clock.run(100);
    say(socket, { ...ask, generation: 1, temperature: 0.75 });
    clock.run(200);
    expect(temperatures).toEqual([0.5, 0.75]);
  });

  test('closing a session ends its answer without another word', () => {
    const { clock, server, engine } = setup({ script: () => ({ tokens: new Array(50).fill(65) }) });
    const socket = server.socket();
    say(
      socket,
      HELLO,
      { type: 'session.open', session: 0 },
      { type: 'session.append', session: 0, text: 'x' },
    );
    say(socket, { type: 'generate', session: 0, generation: 0 });
    clock.run(10);
    heard(socket);
    say(socket, { type: 'session.close', session: 0, request: 9 });
    clock.run(100);
    const messages = heard(socket);
    expect(messages.at(-1)).toEqual({ type: 'session.closed', session: 0, request: 9, reason: 'requested' });
    expect(messages.filter(({ type }) => type === 'generation.end')).toEqual([]);
    expect(engine.activeCount).toBe(0);
    say(socket, { type: 'session.open', session: 0 });
    clock.run(200);
    expect(heard(socket)).toMatchObject([{ type: 'session.opened', session: 0 }]);
  });

  test('an idle session is closed with the reason; the socket goes on', () => {
    const { clock, server } = setup({ table: { sessionIdleTimeoutMs: 500 } });
    const socket = server.socket();
    say(socket, HELLO, { type: 'session.open', session: 3 });
    clock.run(1000);
    say(socket, { type: 'session.append', session: 3, text: 'x' }, { type: 'ping' });
    clock.run(2000);
    expect(heard(socket)).toMatchObject([
      { type: 'hello' },
      { type: 'session.opened' },
      { type: 'session.closed', session: 3, reason: 'expired' },
      { type: 'error', code: 'unknown_session', session: 3 },
      { type: 'pong' },
    ]);
  });
});

describe('refusals', () => {
  test('each carries its code, whether to try again, and the numbers of what it refuses', () => {
    const { clock, server } = setup({ table: { sessionCountMax: 2 } });
    const socket = server.socket();
    say(
      socket,
      HELLO,
      { type: 'generate', session: 4, generation: 1 },
      { type: 'session.open', session: 0, request: 1 },
      { type: 'session.open', session: 0, request: 2 },
      { type: 'session.append', session: 0, request: 3 },
      { type: 'session.append', session: 0, request: 4, text: 'a', tokens: [1] },
      { type: 'session.append', session: 0, request: 5, tokens: [1], suffix: 'b' },
      { type: 'generate', session: 0, generation: 1 },
      { type: 'generate', session: 0, generation: 1, logprobs: 6 },
      { type: 'generate', session: 0, generation: 1, minTokens: 5, maxTokens: 4 },
      { type: 'generate', session: 0, generation: 1, logitBias: [[260, 1]] },
      { type: 'session.open', session: 1 },
      { type: 'session.open', session: 2, request: 6 },
      { type: 'session.bend', session: 0, request: 7 },
      { type: 'cancel', session: 0, generation: 99 },
    );
    clock.run(10);
    expect(errorsOf(heard(socket))).toMatchObject([
      { code: 'unknown_session', session: 4, generation: 1, retryable: false },
      { code: 'session_exists', session: 0, request: 2 },
      { code: 'invalid_request', session: 0, request: 3 },
      { code: 'invalid_request', session: 0, request: 4 },
      { code: 'invalid_request', param: 'suffix', request: 5 },
      { code: 'invalid_request', session: 0, generation: 1 },
      { code: 'invalid_request', param: 'logprobs' },
      { code: 'invalid_request', param: 'minTokens' },
      { code: 'invalid_request', param: 'logitBias' },
      { code: 'session_limit', retryable: true, request: 6 },
      { code: 'unknown_message', session: 0, request: 7 },
    ]);
  });

  test('one socket holds a bounded number of sessions', () => {
    const { clock, server } = setup({ table: { sessionCountMax: 1000, sessionCountPerKeyMax: 1000 } });
    const socket = server.socket();
    say(socket, HELLO, ...Array.from({ length: 65 }, (_, session) => ({ type: 'session.open', session })));
    clock.run(10);
    expect(errorsOf(heard(socket))).toMatchObject([{ code: 'session_limit', session: 64 }]);
  });

  test('a malformed frame is answered, the eighth closes the connection', () => {
    const { clock, server, engine } = setup();
    const socket = server.socket();
    say(socket, HELLO);
    for (let i = 0; i < 5; i++) socket.transmit(Uint8Array.of(0xc1, i));
    socket.transmit(Buffer.from('{"type":"ping"}'), false);
    say(socket, { type: 'ping' }, [1, 2]);
    clock.run(10);
    const messages = heard(socket);
    expect(errorsOf(messages).length).toBe(7);
    expect(new Set(errorsOf(messages).map(({ code }) => code))).toEqual(new Set(['malformed_frame']));
    expect(messages.some(({ type }) => type === 'pong')).toBe(true);
    expect(socket.closedWith).toBeNull();
    say(socket, 'one more');
    clock.run(20);
    expect(socket.closedWith).toMatchObject({ code: 1007, reason: 'malformed_frame' });
    expect(engine.activeCount).toBe(0);
  });
});

describe('the peer', () => {
  test('going away in mid-answer leaves the session behind, and no more is drawn than can be replayed', () => {
    const { clock, server, engine, timers } = setup({
      script: () => ({ tokens: new Array(900).fill(65) }),
      session: { unsentTokensMax: 64, replayTokensMax: 128 },
    });
    const socket = server.socket();
    say(
      socket,
      HELLO,
      { type: 'session.open', session: 0 },
      { type: 'session.append', session: 0, text: 'x' },
    );
    say(socket, { type: 'generate', session: 0, generation: 0 });
    clock.run(10);
    socket.disconnect();
    clock.run(5000);
    expect(server.sessions.count).toBe(1);
    const away = server.sessions.find('sess_1', 'owner')!.tokenCount;
    expect(away).toBeGreaterThan(128);
    expect(away).toBeLessThan(160);
    clock.run(100_000); // its idle time counts from when its reader left
    expect(server.sessions.count).toBe(0);
    expect(engine.activeCount).toBe(0);
    expect(timers.pending()).toBe(0);
  });

  test('reading slowly gets fewer and larger frames, with every token once, and bounded memory', () => {
    const { clock, server } = setup({
      script: () => ({ tokens: Array.from({ length: 2000 }, (_, i) => 97 + (i % 26)) }),
      session: { unsentTokensMax: 100 },
    });
    const slow = server.socket('owner', 256);
    const quick = server.socket();
    for (const socket of [slow, quick]) {
      say(
        socket,
        HELLO,
        { type: 'session.open', session: 0 },
        { type: 'session.append', session: 0, text: 'x' },
      );
      say(socket, { type: 'generate', session: 0, generation: 0 });
    }
    clock.run(20);
    slow.stopReading();
    clock.run(3000);
    expect(heard(quick).at(-1)).toMatchObject({ type: 'generation.end', usage: { outputTokens: 2000 } });
    expect(slow.bufferedMax).toBeLessThan(100);
    const paused = server.sessions.find('sess_1', 'owner')!.tokenCount;
    clock.run(5000);
    expect(server.sessions.find('sess_1', 'owner')!.tokenCount).toBe(paused);
    expect(paused).toBeLessThan(200);
    slow.startReading();
    clock.run(9000);
    const frames = heard(slow).filter((message) => message.type === 'tokens');
    expect(frames.flatMap(({ tokens }) => [...tokens])).toEqual(
      Array.from({ length: 2000 }, (_, i) => 97 + (i % 26)),
    );
    expect(Math.max(...frames.map(({ tokens }) => tokens.length))).toBeGreaterThan(50);
  });
});
