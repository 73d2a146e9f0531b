import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { NativeClient } from '../../../../server/client/client.ts';
import type { TokensFrame } from '../../../../server/client/messages.ts';
import { encodeServerMessage } from '../../../../server/client/protocol.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { NativeServer, type NativeServerOptions, turn } from '../../../native-world.ts';
import { ScriptedEngine } from '../../../scripted-engine.ts';

function setup(text = 'hello', options: Partial<NativeServerOptions> = {}) {
  const clock = new VirtualClock();
  const script = () => ({ tokens: [...encodeBytes(text), BYTE_EOS] });
  const engine = new ScriptedEngine({ clock, script });
  return { clock, engine, server: new NativeServer({ clock, engine, ...options }) };
}

test('a conversation in the fewest lines', async () => {
  const { server } = setup();
  const client = await server.connect();
  expect(client.hello).toMatchObject({ version: 1, model: 'bytes' });
  const session = client.open();
  expect(await server.settle(session.append({ text: 'say: ' }))).toMatchObject({ position: 5 });
  const answer = session.generate({ maxTokens: 3 });
  expect(await server.settle(answer.text())).toBe('hel');
  expect(await server.settle(answer.end)).toMatchObject({ reason: 'length', position: 8 });
  expect(await server.settle(session.close())).toMatchObject({ reason: 'requested' });
  expect(await server.settle(client.ping())).toMatchObject({ type: 'pong' });
});

test('nothing needs to be waited for: opening, appending and asking travel together', async () => {
  const { server } = setup();
  const client = await server.connect();
  const session = client.open({ temperature: 0.5 });
  void session.append({ messages: [{ role: 'user', content: 'hi' }] });
  expect(await server.settle(session.generate().text())).toBe('hello');
});

test('frames are read by for await, in order, while they come', async () => {
  const { server } = setup('0123456789');
  const client = await server.connect();
  const session = client.open();
  void session.append({ text: 'x' });
  const answer = session.generate({ logprobs: 0 });
  const read = (async () => {
    const frames: TokensFrame[] = [];
    for await (const frame of answer) frames.push(frame);
    return frames;
  })();
  const frames = await server.settle(read);
  expect(frames.map(({ text }) => text).join('')).toBe('0123456789');
  expect(frames.map(({ index }) => index)).toEqual(frames.map((_, index) => index));
  expect(frames[9]!.timeUs - frames[0]!.timeUs).toBe(9000);
});

test('a callback gets frames in the socket’s own stack', async () => {
  const { clock, server } = setup();
  const client = await server.connect();
  const session = client.open();
  void session.append({ text: 'x' });
  const texts: string[] = [];
  const answer = session.generate({}, ({ text }) => texts.push(text));
  clock.run(100); // no turn of the event loop: no promise has had a chance
  expect(texts.join('')).toBe('hello');
  expect(await answer.end).toMatchObject({ reason: 'stop' });
});

test('an answer is interrupted, and the next question goes on from there', async () => {
  const { clock, server } = setup('a very long answer');
  const client = await server.connect();
  const session = client.open();
  void session.append({ text: 'x' });
  const answer = session.generate();
  clock.run(8);
  answer.cancel();
  const end = await server.settle(answer.end);
  expect(end).toMatchObject({ reason: 'cancelled' });
  answer.cancel();
  expect(await server.settle(session.generate({ maxTokens: 1 }).end)).toMatchObject({
    position: end.position + 1,
  });
});

test('refusals reject what they refuse, with code, field and advice, and nothing else', async () => {
  const { server } = setup('hello', { table: { sessionCountMax: 1 } });
  const client = await server.connect();
  const session = client.open();
  await expect(server.settle(session.generate().end)).rejects.toMatchObject({ code: 'invalid_request' });
  const both = { text: 'a', tokens: [1] } as unknown as { text: string };
  await expect(server.settle(session.append(both))).rejects.toMatchObject({ name: 'NativeError' });
  const second = client.open();
  await expect(server.settle(second.opened)).rejects.toMatchObject({
    code: 'session_limit',
    retryable: true,
  });
  await expect(server.settle(second.append({ text: 'a' }))).rejects.toMatchObject({
    code: 'unknown_session',
  });
  void session.append({ text: 'x' });
  const first = session.generate();
  const early = session.generate();
  await expect(server.settle(early.end)).rejects.toMatchObject({ code: 'session_busy', retryable: true });
  expect(await server.settle(first.text())).toBe('hello');
});

test('a session that cannot be resumed ends what would have been read on', async () => {
  const { server } = setup();
  const client = await server.connect();
  const session = client.open();
  const { id } = await server.settle(session.opened);
  void session.append({ text: 'x' });
  await server.settle(session.generate({ maxTokens: 3 }).end);
  const early = client.resume(id, { generation: 0, index: 9 }); // none has so many tokens
  const answer = early.continued(0);
  await expect(server.settle(answer.end)).rejects.toMatchObject({ code: 'replay_gone' });
  await expect(early.opened).rejects.toMatchObject({ code: 'replay_gone' });
  expect(await server.settle(client.resume(id, { generation: 0, index: 1 }).continued(0).text())).toBe('el');
});

test('the report of a prefill ahead of the question can be waited for', async () => {
  const { server } = setup();
  const client = await server.connect();
  const session = client.open();
  const prefilled = session.nextPrefilled();
  void session.append({ text: 'x'.repeat(50) });
  expect(await server.settle(prefilled)).toMatchObject({ outcome: 'done', position: 48, computedTokens: 48 });
});

test('a lost connection rejects everything that waits, once, and later calls at once', async () => {
  const { clock, server } = setup('a very long answer');
  const socket = server.socket();
  const client = await server.connect(socket);
  const errors: unknown[] = [];
  client.onError = (error) => errors.push(error.code);
  const session = client.open();
  const closed: string[] = [];
  session.onClosed = (reason) => closed.push(reason);
  void session.append({ text: 'x' });
  const answer = session.generate();
  const read = answer.text();
  clock.run(6);
  socket.disconnect(1006);
  const lost = { code: 'connection_closed', retryable: true };
  await expect(server.settle(read)).rejects.toMatchObject(lost);
  await expect(answer.end).rejects.toMatchObject(lost);
  await expect(client.ping()).rejects.toMatchObject({ code: 'connection_closed' });
  await expect(session.append({ text: 'y' })).rejects.toMatchObject({ code: 'connection_closed' });
  await expect(session.generate().end).rejects.toMatchObject({ code: 'connection_closed' });
  client.close();
  expect(errors).toEqual(['connection_closed']);
  expect(closed).toEqual(['disconnected']);
  expect(client.closed).toBe(true);
});

test('a server that refuses the greeting says why', async () => {
  const { server } = setup();
  const wrong = NativeClient.connect(server.socket(null).openSocket, { apiKey: 'wrong' });
  await expect(server.settle(wrong)).rejects.toMatchObject({ code: 'invalid_api_key' });
  const right = NativeClient.connect(server.socket(null).openSocket, { apiKey: 'secret-key' });
  expect(await server.settle(right)).toBeInstanceOf(NativeClient);
});

test('an expired session ends at the client too', async () => {
  const { clock, server } = setup('hello', { table: { sessionIdleTimeoutMs: 1000 } });
  const client = await server.connect();
  const session = client.open();
  await server.settle(session.opened);
  const closed: string[] = [];
  session.onClosed = (reason) => closed.push(reason);
  clock.run(2000);
  await turn();
  expect(closed).toEqual(['expired']);
  await expect(server.settle(session.append({ text: 'x' }))).rejects.toMatchObject({
    code: 'unknown_session',
  });
});

test('a server that sends nonsense is left', async () => {
  const clock = new VirtualClock();
  const closed: number[] = [];
  const connecting = NativeClient.connect((events) => {
    clock.defer(() => events.onOpen());
    clock.defer(() => events.onMessage(Uint8Array.of(0xc1)));
    return {
      send() {},
      close(code, reason) {
        closed.push(code);
        clock.defer(() => events.onClose(code, reason));
      },
    };
  });
  clock.run();
  await expect(connecting).rejects.toMatchObject({ code: 'malformed_frame' });
  expect(closed).toEqual([1002]);
});

test('words of a later version are skipped', async () => {
  const { server } = setup();
  const socket = server.socket();
  const client = await server.connect(socket);
  const later = { type: 'session.forked', session: 0 } as unknown as Parameters<
    typeof encodeServerMessage
  >[0];
  socket.send(encodeServerMessage(later));
  expect(await server.settle(client.ping())).toMatchObject({ type: 'pong' });
});
