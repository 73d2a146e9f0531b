import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { chat } from '../../../../server/cli/chat.ts';
import { complete, offsetOf } from '../../../../server/cli/complete.ts';
import type { SequenceRequest } from '../../../../server/engine/request.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { MemoryTerminal } from '../../../memory-terminal.ts';
import { byteModel, FIM, NativeServer, type NativeServerOptions } from '../../../native-world.ts';
import { ScriptedEngine, type ScriptedEngineOptions } from '../../../scripted-engine.ts';

function setup(
  options: Partial<NativeServerOptions> = {},
  engineOptions: Partial<ScriptedEngineOptions> = {},
) {
  const clock = new VirtualClock();
  const asked: SequenceRequest[] = [];
  const engine = new ScriptedEngine({
    clock,
    stepMs: 10,
    script: (request) => {
      if (request.maxTokens > 0) asked.push({ ...request, tokens: request.tokens.slice() });
      return { tokens: [...encodeBytes('the answer'), BYTE_EOS] };
    },
    ...engineOptions,
  });
  const server = new NativeServer({ clock, engine, ...options });
  const terminal = new MemoryTerminal();
  const host = { terminal, env: {}, clock, epochMs: () => 0 };
  return { clock, engine, server, terminal, host, asked };
}

const spell = (tokens: ArrayLike<number>) => byteModel.tokenizer.decode(tokens, { keepSpecial: true });

describe('chat', () => {
  test('streams each answer and says how fast it was', async () => {
    const { server, terminal, host, asked } = setup();
    const client = await server.connect();
    terminal.type('hi', '', 'again');
    terminal.endInput();
    await server.settle(chat(client, { system: 'be brief', ask: { maxTokens: 50 } }, host));
    expect(terminal.written).toBe('the answer\nthe answer\n');
    expect(terminal.notes).toContain('bytes on test');
    expect(terminal.notes).toMatch(/TTFT 10 ms · 100 tok\/s · 11 tokens · 0 of 39 prompt tokens cached/);
    expect(spell(asked[1]!.tokens)).toBe(
      'system: be brief<|end|>\nuser: hi<|end|>\nassistant: the answer<|end|>\nuser: again<|end|>\nassistant: ',
    );
    expect(terminal.listenerCount).toBe(0);
  });

  test('Ctrl-C interrupts the answer; once more, with none running, it leaves', async () => {
    const { server, terminal, host } = setup();
    const client = await server.connect();
    terminal.type('hi');
    terminal.onWrite = () => {
      if (terminal.written === 'the a') terminal.interrupt();
    };
    const left = chat(client, { system: null, ask: {} }, host);
    while (!terminal.notes.includes('interrupted')) {
      await server.settle(Promise.resolve());
      host.clock.step();
    }
    expect(terminal.written).toBe('the a\n');
    await server.settle(Promise.resolve());
    terminal.interrupt();
    await server.settle(left);
    expect(terminal.listenerCount).toBe(0);
  });

  test('/reset forgets the conversation, /quit ends it', async () => {
    const { server, terminal, host, asked } = setup();
    const client = await server.connect();
    terminal.type('one', '/reset', 'two', '/quit', 'three');
    await server.settle(chat(client, { system: null, ask: {} }, host));
    expect(asked.map(({ tokens }) => spell(tokens))).toEqual([
      'user: one<|end|>\nassistant: ',
      'user: two<|end|>\nassistant: ',
    ]);
  });

  test('a message that no longer fits is refused with a way out, and the conversation goes on', async () => {
    const { server, terminal, host } = setup({ session: { tokensMax: 60 } });
    const client = await server.connect();
    terminal.type('x'.repeat(70), 'short');
    terminal.endInput();
    await server.settle(chat(client, { system: null, ask: {} }, host));
    expect(terminal.notes).toMatch(/would hold \d+ tokens, its bound is 60\n\/reset starts anew/);
    expect(terminal.written).toBe('the answer\n');
  });

  test('an answer that fails says so', async () => {
    const failure = { code: 'worker-died', message: 'the worker is gone' } as const;
    const { server, terminal, host } = setup({}, { script: () => ({ tokens: [65], failure }) });
    const client = await server.connect();
    terminal.type('hi');
    terminal.endInput();
    await server.settle(chat(client, { system: null, ask: {} }, host));
    expect(terminal.notes).toContain('the answer failed: the worker is gone');
  });

  test('a model without a chat template goes on with what is typed', async () => {
    const world = setup({ model: { ...byteModel, chatTemplate: null } });
    const features = { chat: false, fillInTheMiddle: true };
    const server = new NativeServer({
      clock: world.clock,
      engine: world.engine,
      native: { hello: { ...world.server.world.hello, features } },
    });
    const client = await server.connect();
    world.terminal.type('once upon');
    world.terminal.endInput();
    await server.settle(chat(client, { system: 'ignored', ask: {} }, world.host));
    expect(spell(world.asked[0]!.tokens)).toBe('once upon');
  });

  test('a lost connection ends the chat with its error', async () => {
    const { server, terminal, host } = setup();
    const socket = server.socket();
    const client = await server.connect(socket);
    terminal.type('hi');
    terminal.onWrite = () => socket.disconnect();
    await expect(server.settle(chat(client, { system: null, ask: {} }, host))).rejects.toMatchObject({
      code: 'connection_closed',
    });
    expect(terminal.listenerCount).toBe(0);
  });
});

describe('complete', () => {
  test('goes on at the end, with nothing but the completion on standard output', async () => {
    const { server, terminal, host, asked } = setup();
    const client = await server.connect();
    await server.settle(complete(client, { text: 'const a = ', cursor: null, ask: { maxTokens: 3 } }, host));
    expect(terminal.written).toBe('the');
    expect(terminal.notes).toMatch(/TTFT .* cut off at the length limit/);
    expect(spell(asked[0]!.tokens)).toBe('const a = ');
  });

  test('fills in at a cursor', async () => {
    const { server, host, asked } = setup();
    const client = await server.connect();
    const text = 'ab\ncd\nef';
    await server.settle(complete(client, { text, cursor: { line: 2, column: 2 }, ask: {} }, host));
    expect([...asked[0]!.tokens]).toEqual([
      FIM.prefixId,
      ...encodeBytes('ab\nc'),
      FIM.suffixId,
      ...encodeBytes('d\nef'),
      FIM.middleId,
    ]);
  });

  test('a text longer than the context is cut, farthest from the cursor first', async () => {
    const { server, terminal, host, asked } = setup(
      { session: { tokensMax: 200 } },
      { contextTokensMax: 200 },
    );
    const client = await server.connect();
    const text = `${'a'.repeat(900)}|${'b'.repeat(300)}`;
    await server.settle(complete(client, { text, cursor: { line: 1, column: 902 }, ask: {} }, host));
    const prompt = asked[0]!.tokens;
    expect(prompt.length).toBeLessThanOrEqual(150);
    const said = spell(prompt.filter((id) => id < 256));
    expect(said).toMatch(/^a+\|b+$/);
    expect(terminal.notes).toContain('too long for the context');
  });

  test('nothing to go on from is a mistake of the caller', async () => {
    const { server, host } = setup();
    const client = await server.connect();
    await expect(server.settle(complete(client, { text: '', cursor: null, ask: {} }, host))).rejects.toThrow(
      'nothing before the cursor',
    );
  });

  test('a cursor is a place in the text, or a mistake that names its bound', () => {
    const text = 'ab\n\ncdé';
    expect(offsetOf(text, { line: 1, column: 1 })).toBe(0);
    expect(offsetOf(text, { line: 1, column: 3 })).toBe(2);
    expect(offsetOf(text, { line: 2, column: 1 })).toBe(3);
    expect(offsetOf(text, { line: 3, column: 4 })).toBe(text.length);
    expect(() => offsetOf(text, { line: 4, column: 1 })).toThrow('the text has 3 lines');
    expect(() => offsetOf(text, { line: 2, column: 2 })).toThrow('columns 1 to 1');
  });
});
