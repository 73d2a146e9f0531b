// A native connection whose texts are tokenised elsewhere: messages keep their order, and others are not held up.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { ClientMessage } from '../../../../server/client/messages.ts';
import {
  decodeServerFrame,
  encodeClientMessage,
  PROTOCOL_VERSION,
} from '../../../../server/client/protocol.ts';
import { encodeBytes } from '../../../byte-text.ts';
import { httpServer } from '../../../http-world.ts';
import type { MemorySocket } from '../../../memory-socket.ts';
import { MemoryTransport } from '../../../memory-transport.ts';

const long = 'all work and no play '.repeat(1000);

async function setup(flags: Record<string, unknown> = {}) {
  const clock = new VirtualClock();
  const asked: (() => void)[] = [];
  const { app } = httpServer({
    clock,
    flags,
    engine: { contextTokensMax: 65_536 },
    app: {
      encodeElsewhere: {
        encode: (text, _, done) =>
          void asked.push(() => done({ ok: true, tokens: Int32Array.from(encodeBytes(text)) })),
      },
    },
  });
  const transport = new MemoryTransport({ clock, kernelSizeMax: 2 ** 20 });
  await transport.listen('127.0.0.1', 0, app.handlers);
  const greeted = () => {
    const socket = transport.upgrade('/v1/sparklane') as MemorySocket;
    const say = (...messages: readonly ClientMessage[]) => {
      for (const message of messages) socket.transmit(encodeClientMessage(message));
      clock.run(clock.nowMs() + 50);
    };
    const heard = () =>
      socket.received.splice(0).map((frame) => {
        const message = decodeServerFrame(frame)!;
        return message.type === 'error' ? message.code : message.type;
      });
    say(
      { type: 'hello', version: { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION }, client: 'test' },
      { type: 'session.open', session: 1 },
    );
    heard();
    return { socket, say, heard };
  };
  const settle = () => {
    asked.shift()!();
    clock.run(clock.nowMs() + 50);
  };
  return { greeted, asked, settle };
}

test('what comes behind a long text waits for it, and is done in its order', async () => {
  const { greeted, asked, settle } = await setup();
  const [first, second] = [greeted(), greeted()];
  first.say(
    { type: 'session.append', session: 1, text: long },
    { type: 'session.append', session: 1, text: 'short' },
    { type: 'ping', nonce: 1 },
  );
  second.say({ type: 'session.append', session: 1, text: 'short' });
  expect([first.heard(), second.heard()]).toEqual([[], expect.arrayContaining(['session.appended'])]);
  settle();
  expect(first.heard().filter((type) => type !== 'session.prefilled')).toEqual([
    'session.appended',
    'session.appended',
    'pong',
  ]);
  expect(asked).toEqual([]);
});

test('messages and predictions that are long wait likewise; each is done once', async () => {
  const { greeted, settle } = await setup();
  const { say, heard } = greeted();
  say(
    { type: 'session.append', session: 1, messages: [{ role: 'user', content: long }] },
    { type: 'generate', session: 1, generation: 1, maxTokens: 2, prediction: `${long}!` },
  );
  expect(heard()).toEqual([]);
  settle();
  expect(heard().filter((type) => type === 'session.appended')).toHaveLength(1);
  settle();
  expect(heard()).toContain('generation.end');
});

test('what steers an answer waits likewise once that has stopped, and others are answered meanwhile', async () => {
  const { greeted, settle } = await setup();
  const [first, second] = [greeted(), greeted()];
  const begin = { type: 'session.append', session: 1, text: 'b'.repeat(4000) } as const;
  const steer = { type: 'steer', session: 1, running: 1, generation: 2, maxTokens: 3 } as const;
  first.socket.transmit(encodeClientMessage(begin));
  first.socket.transmit(
    encodeClientMessage({ type: 'generate', session: 1, generation: 1, maxTokens: 4000 }),
  );
  first.say({ ...steer, text: long });
  first.say();
  expect(first.heard().filter((type) => type === 'generation.end')).toHaveLength(1);
  second.say({ type: 'session.append', session: 1, text: 'short' });
  expect(second.heard()).toContain('session.appended');
  settle();
  expect(first.heard().filter((type) => type === 'generation.end')).toHaveLength(1);
});

test('more than may wait behind a long text is refused; a socket that goes takes all with it', async () => {
  const { greeted, asked, settle } = await setup({ frameSizeMax: 32_768 });
  const { socket, say, heard } = greeted();
  const append = (text: string) => ({ type: 'session.append', session: 1, text }) as const;
  say(append(long), ...['a', 'b', 'c', 'd'].map((letter) => append(letter.repeat(20_000))));
  expect(heard()).toEqual(['queue_full']);
  socket.disconnect();
  say();
  settle();
  expect([heard(), asked.length]).toEqual([[], 0]);
});
