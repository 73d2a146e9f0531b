// Native sessions of several nodes: two servers in virtual time with one store between them. What has been said to its end is told by
// the store, not drawn again; what has not is drawn again, as far as its client has it.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { ServerMessage } from '../../../../server/client/messages.ts';
import { decodeServerFrame } from '../../../../server/client/protocol.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { byteLogprobs } from '../../../http-world.ts';
import { MemorySessions } from '../../../memory-sessions.ts';
import type { Script } from '../../../scripted-engine.ts';
import {
  ALL_MS,
  ask,
  back,
  endOf,
  heard,
  KEEP_MS,
  letters,
  Node,
  opened,
  pass,
  STEP_MS,
  say,
  textOf,
  tokensOf,
  world,
} from '../../../session-nodes.ts';

describe('an answer that has ended', () => {
  test.each([0, 1, 57, 299, 300])(
    'is told by another node from token %i on, at once: nothing is drawn',
    async (index) => {
      const { a, b, pass } = world({ session: { replayTokensMax: 4096 } });
      const first = a.greeted();
      say(first, ...opened, ask);
      await pass(ALL_MS);
      const whole = heard(first);
      a.view.isCut = true;
      first.disconnect();
      const second = b.greeted();
      say(second, { ...back, index });
      await pass(1);
      const messages = heard(second);
      expect(messages[1]).toMatchObject({
        ...{ type: 'session.resumed', position: 301, generation: 0, nextIndex: 300, running: false },
      });
      expect(tokensOf(messages)).toEqual(letters.slice(index));
      expect(textOf(messages)).toBe(textOf(whole).slice(index));
      expect(endOf(messages)).toEqual({ ...endOf(whole), session: 5 });
      expect(b.asked).toEqual([]);
      // And it goes on as it would have where it was.
      say(second, { ...ask, session: 5, generation: 1 });
      await pass(ALL_MS);
      expect(b.asked).toEqual([[...encodeBytes('x'), ...letters]]);
      expect(tokensOf(heard(second), 1)).toEqual(letters);
    },
  );

  test('is told with its logprobs, what it thought and what was held back', async () => {
    const said = [...encodeBytes('why not? yes'), BYTE_EOS];
    const newSplit = () => {
      let thought = 0;
      return {
        get answering() {
          return thought >= 8;
        },
        push: (text: string) => {
          const reasoning = text.slice(0, Math.max(0, 8 - thought));
          thought += text.length;
          return { reasoning, text: text.slice(reasoning.length) };
        },
        end: () => ({ reasoning: '', text: '.' }),
      };
    };
    const script = () => ({ tokens: said, logprobs: byteLogprobs });
    const { a, b, pass } = world({ script, newSplit });
    const first = a.greeted();
    say(first, ...opened, { ...ask, logprobs: 2, reasoning: true });
    await pass(ALL_MS);
    const whole = heard(first);
    first.disconnect();
    const second = b.greeted();
    say(second, { ...back, index: 3 });
    await pass(1);
    const messages = heard(second);
    const partsOf = (all: readonly ServerMessage[]) =>
      all.flatMap((m) => (m.type === 'tokens' ? [m.text, m.reasoning ?? '', m.logprobs] : []));
    const [text, reasoning, logprobs] = partsOf(messages);
    const told = whole.filter((m) => m.type === 'tokens').filter(({ index }) => index >= 3);
    expect(reasoning).toBe(told.map((m) => m.reasoning ?? '').join(''));
    expect(reasoning).toBe(' not?'.slice(0, 5));
    expect(text).toBe(told.map((m) => m.text).join(''));
    expect(logprobs).toEqual(told.flatMap((m) => m.logprobs!));
    expect(endOf(messages)).toEqual({ ...endOf(whole), session: 5 });
    expect(b.asked).toEqual([]);
  });

  test('is told after what came since: an append, a question that is running', async () => {
    const { a, b, pass } = world({ session: { replayTokensMax: 4096 } });
    const first = a.greeted();
    say(first, ...opened, ask);
    await pass(ALL_MS);
    say(first, { type: 'session.append', session: 0, text: 'y' }, { ...ask, generation: 1 });
    await pass(10 * STEP_MS);
    a.view.isCut = true;
    const second = b.greeted();
    say(second, { ...back, index: 290 });
    await pass(ALL_MS);
    const messages = heard(second);
    expect(tokensOf(messages, 0)).toEqual(letters.slice(290));
    expect(tokensOf(messages, 1)).toEqual(letters);
    expect(b.asked).toEqual([[...encodeBytes('x'), ...letters, ...encodeBytes('y')]]);
  });

  test('and was cancelled, or has failed, is as it was', async () => {
    const failure = { code: 'sampling-failed', message: 'it cannot be drawn' } as const;
    for (const fails of [false, true]) {
      const script = (): Script => (fails ? { tokens: letters.slice(0, 7), failure } : { tokens: letters });
      const { a, b, pass } = world({ script });
      const first = a.greeted();
      say(first, ...opened, ask);
      await pass(5 * STEP_MS);
      if (!fails) say(first, { type: 'cancel', session: 0, generation: 0 });
      await pass(10 * STEP_MS);
      const whole = heard(first);
      first.disconnect();
      const second = b.greeted();
      say(second, { ...back, index: 2 });
      await pass(1);
      const messages = heard(second);
      expect(tokensOf(messages)).toEqual(tokensOf(whole).slice(2));
      expect(endOf(messages)).toEqual({ ...endOf(whole)!, session: 5 });
      expect(endOf(messages)!.reason).toBe(fails ? 'failed' : 'cancelled');
      expect(b.asked).toEqual([]);
    }
  });

  test('is kept as far as it would have been where it was, and no longer than the session', async () => {
    const { a, b, pass } = world({ session: { replayTokensMax: 20, unsentTokensMax: 16 } });
    const first = a.greeted();
    say(first, ...opened, ask);
    await pass(ALL_MS);
    first.disconnect();
    const second = b.greeted();
    say(second, { ...back, index: 3 });
    await pass(1);
    expect(heard(second)[1]).toMatchObject({ type: 'error', code: 'replay_gone', param: 'index' });
    say(second, { ...back, index: 295 });
    await pass(1);
    expect(tokensOf(heard(second))).toEqual(letters.slice(295));
    second.disconnect();
    await pass(2 * KEEP_MS);
    const third = a.greeted();
    say(third, { ...back, index: 295 });
    await pass(1);
    expect(heard(third)[1]).toMatchObject({ type: 'error', code: 'unknown_session' });
  });

  test('costs the store what it says once, and a turn after it what that adds', async () => {
    const { store, a, pass } = world();
    const first = a.greeted();
    say(first, ...opened, { type: 'session.append', session: 0, tokens: new Array(3000).fill(65) }, ask);
    await pass(ALL_MS);
    const before = store.sizeTold;
    for (let turnIndex = 1; turnIndex <= 5; turnIndex++) {
      say(
        first,
        { type: 'session.append', session: 0, text: 'y' },
        { ...ask, generation: turnIndex, maxTokens: 2 },
      );
      await pass(ALL_MS);
    }
    expect(store.sizeTold - before).toBeLessThan(5 * 3000);
  });

  test('nobody says twice: who had it hears that another has', async () => {
    const { a, b, pass } = world();
    const first = a.greeted();
    say(first, ...opened, ask);
    await pass(ALL_MS);
    heard(first);
    const second = b.greeted();
    say(second, { ...back, index: 300 }, { type: 'session.append', session: 5, text: 'y' });
    await pass(1);
    expect(heard(second).at(-1)).toMatchObject({ type: 'session.appended', position: 302 });
    say(first, { type: 'session.append', session: 0, text: 'z' });
    await pass(1);
    expect(heard(first).at(-1)).toMatchObject({ type: 'session.taken', session: 0 });
  });
});

describe('an answer that has not ended', () => {
  test.each([0, 1, 40])('is drawn again from its question as far as token %i, then heard', async (index) => {
    const { a, b, pass } = world();
    const first = a.greeted();
    say(first, ...opened, ask);
    await pass(50 * STEP_MS);
    a.view.isCut = true;
    const second = b.greeted();
    say(second, { ...back, index });
    await pass(ALL_MS);
    const messages = heard(second);
    expect(tokensOf(messages)).toEqual(letters.slice(index));
    expect(endOf(messages)).toMatchObject({ reason: 'stop', usage: { outputTokens: 300 } });
    expect(b.asked).toEqual([[...encodeBytes('x')]]);
  });

  test('is guessed from what was told of it, as many tokens a step as the device takes', async () => {
    const { a, b, pass } = world();
    const first = a.greeted();
    say(first, ...opened, ask);
    await pass(50 * STEP_MS);
    a.view.isCut = true;
    const second = b.greeted();
    say(second, { ...back, index: 40 });
    await pass(1);
    const [{ speculation } = { speculation: null }] = b.requests;
    const guessed = [...speculation!.prediction!];
    expect(guessed).toEqual(letters.slice(0, guessed.length));
    expect(guessed.length).toBeGreaterThanOrEqual(32);
    expect(speculation!.draftTokensMax).toBeGreaterThanOrEqual(32);
    // Of the next one nothing is known, and of this one what the third node is told is from its beginning, too.
    await pass(25 * STEP_MS);
    b.view.isCut = true;
    const third = a.greeted();
    a.view.isCut = false;
    say(third, { ...back, index: 20 });
    await pass(ALL_MS);
    const again = [...a.requests.at(-1)!.speculation!.prediction!];
    expect(again).toEqual(letters.slice(0, again.length));
    expect(again.length).toBeGreaterThanOrEqual(16);
    expect(tokensOf(heard(third))).toEqual(letters.slice(20));
    say(third, { ...ask, session: 5, generation: 1 });
    await pass(1);
    expect(a.requests.at(-1)!.speculation).toBeNull();
  });

  test('is told to the store before its client hears of its end', async () => {
    const { a, b, pass } = world({ script: () => ({ tokens: letters.slice(0, 3) }) });
    const first = a.greeted();
    say(first, ...opened, ask);
    const send = first.send.bind(first);
    first.send = (frame) => {
      if (endOf([decodeServerFrame(frame as Uint8Array)!]) !== undefined) a.view.isCut = true;
      return send(frame);
    };
    await pass(ALL_MS);
    expect(a.view.isCut).toBe(true);
    const second = b.greeted();
    say(second, { ...back, index: 3 });
    await pass(1);
    expect(endOf(heard(second))).toMatchObject({ reason: 'stop' });
    expect(b.asked).toEqual([]);
  });

  test('of a server that goes is left to others', async () => {
    const shutdown = { code: 'shutdown', message: 'the server goes' } as const;
    const clock = new VirtualClock();
    const store = new MemorySessions(clock);
    const goes = new Node(clock, store, {
      script: () => ({ tokens: letters.slice(0, 9), failure: shutdown }),
    });
    const stays = new Node(clock, store);
    const first = goes.greeted();
    say(first, ...opened, ask);
    await pass(clock, 20 * STEP_MS);
    expect(endOf(heard(first))).toMatchObject({ reason: 'failed' });
    const second = stays.greeted();
    say(second, { ...back, index: 9 });
    await pass(clock, ALL_MS);
    expect(tokensOf(heard(second))).toEqual(letters.slice(9));
  });
});
