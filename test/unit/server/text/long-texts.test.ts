import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { loadModel } from '../../../../models/model.ts';
import type { EncodeMode } from '../../../../models/tokenizer/tokenizer.ts';
import { type Encoded, LongTexts, type RenderedElsewhere } from '../../../../server/text/long-texts.ts';
import { TextThread } from '../../../../server/text/text-thread.ts';
import { encodeBytes } from '../../../byte-text.ts';
import { httpServer, wholeByteModel } from '../../../http-world.ts';
import { type MemoryRequest, MemoryTransport } from '../../../memory-transport.ts';

const long = 'all work and no play '.repeat(1000);

/** Tokenises when told to. */
class Elsewhere {
  readonly asked: { text: string; mode: EncodeMode; done: (encoded: Encoded) => void }[] = [];

  encode(text: string, mode: EncodeMode, done: (encoded: Encoded) => void): void {
    this.asked.push({ text, mode, done });
  }

  answer(): void {
    const { text, done } = this.asked.shift()!;
    done({ ok: true, tokens: Int32Array.from(encodeBytes(text)) });
  }

  fail(): void {
    this.asked.shift()!.done({ ok: false, error: new Error('the thread has ended') });
  }
}

function setup() {
  const elsewhere = new Elsewhere();
  const texts = new LongTexts(wholeByteModel.tokenizer, elsewhere);
  const log: string[] = [];
  const end = {
    over: () => log.includes('over'),
    failed: (error: unknown) => void log.push(`failed: ${(error as Error).message}`),
    ended: () => void log.push('ended'),
  };
  return { elsewhere, texts, log, end };
}

describe('run', () => {
  test('short texts are tokenised on the spot, a long one elsewhere, and what follows it happens once', () => {
    const { elsewhere, texts, log, end } = setup();
    const part = (text: string) => () => void log.push(`${texts.tokenizer.encode(text).length} tokens`);
    expect(texts.run(part('short'), end)).toBe(true);
    expect(log.splice(0)).toEqual(['5 tokens', 'ended']);
    expect(texts.run(part(long), end)).toBe(false);
    expect([log, elsewhere.asked.length]).toEqual([[], 1]);
    elsewhere.answer();
    expect(log).toEqual(['21000 tokens', 'ended']);
  });

  test('several long texts are waited for one after the other, in their modes', () => {
    const { elsewhere, texts, log, end } = setup();
    texts.run(() => {
      const counts = (['raw', 'plain'] as const).map((mode) => texts.tokenizer.encode(long, mode).length);
      log.push(counts.join(' '));
    }, end);
    expect(elsewhere.asked.map(({ mode }) => mode)).toEqual(['raw']);
    elsewhere.answer();
    expect(elsewhere.asked.map(({ mode }) => mode)).toEqual(['plain']);
    elsewhere.answer();
    expect(log).toEqual(['21000 21000', 'ended']);
  });

  test('what follows a text that was waited for throws: it has failed, and nobody else hears of it', () => {
    const { elsewhere, texts, log, end } = setup();
    const part = () => void texts.tokenizer.encode(long);
    const ended = () => {
      throw new Error('broken');
    };
    texts.run(part, { ...end, ended });
    elsewhere.answer();
    expect(log).toEqual(['failed: broken']);
  });

  test('what is made once is not made again when the part is run again, but by the next run', () => {
    const { elsewhere, texts, log, end } = setup();
    let count = 0;
    const part = () => {
      const made = texts.once('number', () => ++count);
      log.push(`${made} ${texts.tokenizer.encode(`${long}${count}`).length}`);
    };
    for (let run = 0; run < 2; run++) {
      texts.run(part, end);
      elsewhere.answer();
    }
    expect(log).toEqual(['1 21001', 'ended', '2 21001', 'ended']);
    expect([texts.once('number', () => 5), texts.once('number', () => 6)]).toEqual([5, 6]);
  });

  test('a run within a run waits for its own texts only: the outer one is not run again', () => {
    const { elsewhere, texts, log, end } = setup();
    texts.run(() => {
      log.push('outer');
      texts.run(() => void log.push(`inner ${texts.tokenizer.encode(long).length}`), end);
    }, end);
    elsewhere.answer();
    expect(log).toEqual(['outer', 'ended', 'inner 21000', 'ended']);
  });

  test('nobody who has left is run again; a failure elsewhere and one of its own are told', () => {
    const { elsewhere, texts, log, end } = setup();
    const part = (text: string) => () => void texts.tokenizer.encode(text);
    texts.run(part(long), end);
    elsewhere.fail();
    expect(log.splice(0)).toEqual(['failed: the thread has ended']);
    texts.run(part(long), end);
    log.push('over');
    elsewhere.answer();
    expect(log.splice(0)).toEqual(['over']);
    texts.run(() => {
      throw new Error('mine');
    }, end);
    expect(log).toEqual(['failed: mine']);
  });

  test('outside of a run a long text is tokenised on the spot, unless it is known', () => {
    const { elsewhere, texts } = setup();
    expect(texts.tokenizer.encode(long).length).toBe(21_000);
    expect(elsewhere.asked).toEqual([]);
  });
});

describe('long conversations', () => {
  const said = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ role: 'user', content: `${i}` }));
  const template = {
    render: (messages: readonly { role: string; content?: unknown }[]) =>
      messages.map(({ content }) => content).join(' '),
  };

  test('are laid out elsewhere, short ones here; the template refuses in its own words', () => {
    const asked: { count: number; done: (rendered: RenderedElsewhere) => void }[] = [];
    const elsewhere = {
      encode: () => {},
      render: (messages: readonly object[], _: object, done: (rendered: RenderedElsewhere) => void) =>
        void asked.push({ count: messages.length, done }),
    };
    const texts = new LongTexts(wholeByteModel.tokenizer, elsewhere, template);
    const log: string[] = [];
    const end = { over: () => false, failed: (error: unknown) => void log.push(`${error}`) };
    const part = (count: number) => () =>
      void log.push(texts.chatTemplate!.render(said(count), { addGenerationPrompt: true }).slice(0, 5));
    texts.run(part(200), end);
    expect([log.splice(0), asked.length]).toEqual([['0 1 2'], 0]);
    texts.run(part(3000), end);
    expect([log, asked.map(({ count }) => count)]).toEqual([[], [3000]]);
    asked.shift()!.done({ ok: true, text: 'from there' });
    expect(log.splice(0)).toEqual(['from ']);
    texts.run(part(3000), end);
    asked.shift()!.done({ ok: false, refused: 'messages: not so' });
    expect(log.splice(0)).toEqual(['ChatTemplateError: messages: not so']);
    texts.run(part(3000), end);
    asked.shift()!.done({ ok: false, error: new Error('the thread has ended') });
    expect(log).toEqual(['Error: the thread has ended']);
  });
});

describe('requests with long texts', () => {
  const request = (path: string, body: object): MemoryRequest => ({ method: 'POST', path, body });
  const requests = [
    request('/v1/completions', { prompt: [long, 'short', `${long}again`], max_tokens: 3, seed: 1 }),
    request('/tokenize', { content: long }),
    request('/v1/completions', {
      prompt: 'short',
      max_tokens: 3,
      prediction: { type: 'content', content: long },
    }),
  ];

  async function answers(elsewhere: Elsewhere | null) {
    const clock = new VirtualClock();
    const { app, submitted } = httpServer({
      clock,
      flags: { contextTokens: 65_536, logLevel: 'silent' },
      engine: { contextTokensMax: 65_536 },
      app: elsewhere === null ? {} : { encodeElsewhere: elsewhere },
    });
    const transport = new MemoryTransport({ clock });
    await transport.listen('127.0.0.1', 0, app.handlers);
    const told: unknown[] = [];
    for (const asked of requests) {
      const call = transport.call(asked);
      clock.run();
      while (elsewhere !== null && elsewhere.asked.length > 0) {
        const health = transport.call({ path: '/healthz' });
        clock.run();
        expect([call.ended, health.status]).toEqual([false, 200]);
        elsewhere.answer();
        clock.run();
      }
      const { choices, tokens } = call.json as { choices?: object; tokens?: object };
      told.push([call.status, choices ?? tokens]);
    }
    return { told, prompts: submitted.map(({ tokens }) => tokens.length) };
  }

  test('have the answers that they have where nothing goes elsewhere, and others are answered meanwhile', async () => {
    const here = await answers(null);
    expect(await answers(new Elsewhere())).toEqual(here);
    expect(here.prompts).toEqual([21_000, 5, 21_005, 5]);
  });

  test('a caller who leaves meanwhile costs nothing more', async () => {
    const clock = new VirtualClock();
    const elsewhere = new Elsewhere();
    const { app, submitted } = httpServer({ clock, app: { encodeElsewhere: elsewhere } });
    const transport = new MemoryTransport({ clock });
    await transport.listen('127.0.0.1', 0, app.handlers);
    const call = transport.call(request('/v1/completions', { prompt: long }));
    clock.run();
    call.leave();
    clock.run();
    elsewhere.answer();
    clock.run();
    expect([submitted.length, elsewhere.asked.length]).toEqual([0, 0]);
  });
});

describe('the thread', () => {
  const encoded = (thread: TextThread, text: string, mode: EncodeMode = 'raw') =>
    new Promise<Encoded>((resolve) => thread.encode(text, mode, resolve));

  test('tokenises as the model does here, in the order of the calls, and starts again after its end', async () => {
    const { tokenizer } = loadModel('spark-nano');
    const thread = new TextThread({ model: 'spark-nano' }, () => 0);
    const texts = ['const x = 1;\n'.repeat(2000), ' '.repeat(9000), '<|im_end|> plain'];
    const both = await Promise.all([encoded(thread, texts[0]!), encoded(thread, texts[1]!)]);
    expect(both.map((it) => it.ok && it.tokens)).toEqual(
      texts.slice(0, 2).map((text) => tokenizer.encode(text)),
    );
    const waiting = encoded(thread, texts[0]!);
    await thread.close();
    expect(await waiting).toMatchObject({ ok: false });
    const again = await encoded(thread, texts[2]!, 'plain');
    expect(again.ok && again.tokens).toEqual(tokenizer.encode(texts[2]!, 'plain'));
    await thread.close();
  });

  test('lays a conversation out as the model does here, and tells why it cannot', async () => {
    const { chatTemplate } = loadModel('spark-nano');
    const thread = new TextThread({ model: 'spark-nano' }, () => 0);
    const laidOut = (messages: readonly { role: string; content: string }[], variables = {}) =>
      new Promise((resolve) => thread.render(messages, { addGenerationPrompt: true, variables }, resolve));
    const messages = Array.from({ length: 400 }, (_, i) => ({
      role: i % 2 === 0 ? 'user' : 'assistant',
      content: `${i}`,
    }));
    const text = chatTemplate!.render(messages, { addGenerationPrompt: true });
    expect(await laidOut(messages)).toEqual({ ok: true, text });
    expect(await laidOut(messages, { nothing: 1 })).toMatchObject({
      ok: false,
      refused: expect.stringContaining('chat_template_kwargs.nothing'),
    });
    await thread.close();
  });

  test('a model that cannot be loaded fails whoever asks', async () => {
    const thread = new TextThread({ model: './no-such-model' }, () => 0);
    expect(await encoded(thread, 'text')).toMatchObject({ ok: false });
  });
});
