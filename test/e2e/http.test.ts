// The whole HTTP side over real sockets, called by the `openai` package: what its users do, whole and as streams, and
// what happens when they are refused, slow or gone. The engine is scripted: nothing depends on what a model says.
import { once } from 'node:events';
import { connect } from 'node:net';
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import type { Transport } from '../../server/listeners/transport.ts';
import { byteLogprobs, type HttpServer, type HttpWorldOptions, httpServer } from '../http-world.ts';
import { testListener } from '../listeners.ts';

const listeners: Transport[] = [];

afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close();
});

interface World extends HttpServer {
  readonly port: number;
  readonly client: OpenAI;
}

async function serve(options: Omit<HttpWorldOptions, 'clock'> = {}): Promise<World> {
  const server = httpServer({ clock: new WallClock(), ...options });
  const listener = await testListener(server.config);
  listeners.push(listener);
  const { port } = await listener.listen('127.0.0.1', 0, server.app.handlers);
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'first-key', maxRetries: 0 });
  return { ...server, port, client };
}

const endless = { script: () => ({ tokens: new Array(4000).fill(65) }) };
const messages = [{ role: 'user' as const, content: 'hello' }];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

async function failure(promise: Promise<unknown>): Promise<APIError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(APIError);
  return error as APIError;
}

describe('chat completions', () => {
  test('whole', async () => {
    const { client } = await serve();
    const answer = await client.chat.completions.create({ model: 'bytes', messages, logprobs: true, n: 2 });
    expect(answer.choices.map(({ message }) => message.content)).toEqual([
      'USER: HELLO\nASSISTANT: ',
      'USER: HELLO\nASSISTANT: ',
    ]);
    expect(answer.choices[0]!.logprobs!.content!.map(({ token }) => token).join('')).toBe(
      'USER: HELLO\nASSISTANT: ',
    );
    expect(answer._request_id).toMatch(/^req_/);
  });

  test('as a stream, put together by the package’s own accumulator', async () => {
    const { client } = await serve();
    const stream = client.chat.completions.stream({
      model: 'bytes',
      messages,
      stream_options: { include_usage: true },
    });
    const deltas: string[] = [];
    stream.on('content', (delta) => void deltas.push(delta));
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]!.message.content).toBe('USER: HELLO\nASSISTANT: ');
    expect(final.choices[0]!.finish_reason).toBe('stop');
    expect(final.usage).toMatchObject({ prompt_tokens: 24, completion_tokens: 24 });
    expect(deltas.length).toBeGreaterThan(20);
  });

  test('a stream without options ends with its usage', async () => {
    const { client } = await serve();
    const stream = await client.chat.completions.create({ model: 'bytes', messages, stream: true });
    let usage: unknown;
    for await (const chunk of stream) usage = chunk.usage ?? usage;
    expect(usage).toMatchObject({ completion_tokens: 24 });
  });
});

describe('text completions', () => {
  test('whole, batched, and in the middle', async () => {
    const { client } = await serve();
    const batch = await client.completions.create({ model: 'bytes', prompt: ['ab', 'c'], max_tokens: 8 });
    expect(batch.choices.map(({ text }) => text)).toEqual(['AB', 'C']);
    const middle = await client.completions.create({
      model: 'bytes',
      prompt: 'a',
      suffix: 'b',
      max_tokens: 8,
    });
    expect(middle.choices[0]!.text).toBe('AB');
  });

  test('as a stream', async () => {
    const { client } = await serve();
    const stream = await client.completions.create({
      model: 'bytes',
      prompt: 'ab',
      stream: true,
      echo: true,
    });
    let text = '';
    for await (const { choices } of stream) text += choices[0]!.text;
    expect(text).toBe('abAB');
  });

  test('many streams at once each get what they get alone', async () => {
    const { client } = await serve({ engine: { slotCount: 8, queueLengthMax: 64 } });
    const prompts = Array.from({ length: 32 }, (_, i) => `prompt number ${i}`);
    const texts = await Promise.all(
      prompts.map(async (prompt) => {
        const stream = await client.completions.create({
          model: 'bytes',
          prompt,
          stream: true,
          max_tokens: 64,
        });
        let text = '';
        for await (const { choices } of stream) text += choices[0]!.text;
        return text;
      }),
    );
    expect(texts).toEqual(prompts.map((prompt) => prompt.toUpperCase()));
  });
});

describe('models', () => {
  test('are listed and retrieved', async () => {
    const { client } = await serve();
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual(['bytes']);
    expect((await client.models.retrieve('bytes')).owned_by).toBe('sparklane');
    expect(await failure(client.models.retrieve('gpt-5'))).toBeInstanceOf(NotFoundError);
  });
});

describe('refusals become the package’s errors', () => {
  test('a wrong key', async () => {
    const { client } = await serve({ flags: { apiKeys: ['another-key'] } });
    expect(await failure(client.models.list())).toBeInstanceOf(AuthenticationError);
  });

  test('a field out of bounds, with its name', async () => {
    const { client } = await serve();
    const error = await failure(
      client.chat.completions.create({ model: 'bytes', messages, temperature: -1 }),
    );
    expect(error).toBeInstanceOf(BadRequestError);
    expect([error.param, error.code]).toEqual(['temperature', 'invalid_request']);
  });

  test('a full queue, with the time to wait', async () => {
    const { client } = await serve({ engine: { slotCount: 1, queueLengthMax: 1 } });
    const error = await failure(client.chat.completions.create({ model: 'bytes', messages, n: 3 }));
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error.headers!.get('retry-after')).toBe('2');
  });

  test('a body over the bound, small pieces and large ones', async () => {
    const { client } = await serve({ flags: { bodySizeMax: '64KiB' } });
    for (const length of [70_000, 200_000, 3_000_000]) {
      const sent = client.completions.create({ model: 'bytes', prompt: 'x'.repeat(length) });
      const error = await sent.then(
        () => null,
        (reason: unknown) => reason,
      );
      // A body far over the bound may see its connection closed before the answer is read.
      if (length < 64 * 1024 * 4) expect(error).toMatchObject({ status: 413, code: 'body_too_large' });
      else expect(error).toBeInstanceOf(APIError);
    }
  });

  test('a body that is not JSON', async () => {
    const { port } = await serve();
    const answer = await fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"prompt"',
    });
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: 'invalid_json' } }]);
  });

  test('a worker that dies: 500 for a whole answer, an exception in a stream', async () => {
    const died = { code: 'worker-died', message: 'replica 0 lost its worker' } as const;
    const { client } = await serve({ engine: { script: () => ({ tokens: [65, 66], failure: died }) } });
    const whole = await failure(client.chat.completions.create({ model: 'bytes', messages }));
    expect([whole.status, whole.code]).toEqual([500, 'worker_died']);
    const stream = await client.chat.completions.create({ model: 'bytes', messages, stream: true });
    let text = '';
    const read = async () => {
      for await (const { choices } of stream) text += choices[0]!.delta.content ?? '';
    };
    expect((await failure(read())).code).toBe('worker_died');
    expect(text).toBe('AB');
  });
});

describe('callers that leave or are slow', () => {
  test('an aborted stream and an aborted request free their sequences', async () => {
    const { client, engine } = await serve({ engine: endless });
    const stream = await client.chat.completions.create({ model: 'bytes', messages, stream: true });
    for await (const { choices } of stream) if (choices[0]!.delta.content) break; // leaves: the package aborts
    await until(() => engine.activeCount === 0);
    const controller = new AbortController();
    const whole = client.chat.completions.create({ model: 'bytes', messages }, { signal: controller.signal });
    const settled = whole.catch(() => 'aborted');
    await until(() => engine.activeCount === 1);
    controller.abort();
    expect(await settled).toBe('aborted');
    await until(() => engine.activeCount === 0);
  });

  test('a slow reader pauses only itself and gets everything in the end', async () => {
    const flags = { streamBufferSizeMax: '16KiB', requestTimeoutMs: 60_000 };
    const tokens = new Array(60_000).fill(65);
    const script = () => ({ tokens, logprobs: byteLogprobs });
    const { client, engine, port } = await serve({
      flags,
      engine: { script, tokensPerStep: 50, contextTokensMax: 200_000, stepMs: 0 },
    });
    const body = JSON.stringify({ messages, stream: true, logprobs: true, top_logprobs: 2 });
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    let size = 0;
    let tail = '';
    socket.on('data', (data: Buffer) => {
      size += data.length;
      tail = (tail + data.toString('latin1')).slice(-100);
    });
    socket.pause();
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => engine.pausedCount === 1); // more than the kernel's buffers hold: about 9 MB
    const other = await client.completions.create({ model: 'bytes', prompt: 'b', max_tokens: 500 });
    expect(other.usage!.completion_tokens).toBe(500);
    socket.resume();
    await until(() => tail.includes('[DONE]'));
    expect(size).toBeGreaterThan(5_000_000);
    expect(engine.activeCount).toBe(0);
    socket.destroy();
  });

  test('a drain lets open streams end and refuses new requests', async () => {
    const { client, app } = await serve({ engine: { ...endless, stepMs: 1 } });
    const stream = await client.chat.completions.create({
      model: 'bytes',
      messages,
      stream: true,
      max_tokens: 50,
    });
    const drained = app.drain();
    const error = await failure(client.chat.completions.create({ model: 'bytes', messages }));
    expect([error.status, error.code]).toEqual([503, 'draining']);
    let count = 0;
    for await (const { choices } of stream) count += choices[0]?.delta.content ? 1 : 0;
    expect(count).toBe(50);
    await drained;
  });
});
