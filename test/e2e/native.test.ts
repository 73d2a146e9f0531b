// The native protocol from end to end: real sockets, real weights on real worker threads, the composition of `serve`.
// The model is a tiny random one, so that the reference decoder can say what every token must be.
import { join } from 'node:path';
import { pack } from 'msgpackr';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { WallClock } from '../../kernels/clock.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { NativeClient } from '../../server/client/client.ts';
import type { ServerMessage } from '../../server/client/messages.ts';
import { decodeServerFrame } from '../../server/client/protocol.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import { loadConfig } from '../../server/config/config.ts';
import { writeTinyModel } from '../golden/tiny-model.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { createReferenceDecoder, type ReferenceDecoder } from '../reference-decoder.ts';
import { servedEnv } from '../served-env.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const KEY = 'a-key-for-tests';
let server: LocalServer;
let reference: ReferenceDecoder;

beforeAll(async () => {
  const model = writeTinyModel(join(directory, 'model'), { stops: false });
  reference = createReferenceDecoder(loadCheckpoint(model));
  const flags = {
    model,
    port: 0,
    precision: 'fp32',
    kvCacheSizeMax: '16MiB',
    cacheDirectory: join(directory, 'cache'),
    frameSizeMax: '64KiB',
    streamBufferSizeMax: '16KiB',
    unsentTokensMax: 50,
    logLevel: 'warn',
    apiKeys: [KEY],
  };
  const terminal = new MemoryTerminal();
  server = await startLocalServer(loadConfig({ flags, env: servedEnv }), {
    terminal,
    env: {},
    clock: new WallClock(),
    epochMs: Date.now,
  });
});

afterAll(() => server?.stop());

const socketOptions = { frameSizeMax: 2 ** 20, connectTimeoutMs: 180_000 };

function connect(apiKey: string | null = KEY): Promise<NativeClient> {
  return NativeClient.connect(webSocketTo(server.url, { ...socketOptions, apiKey }));
}

/** Waits for what other threads and the kernel do. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

const promptOf = (count: number, seed: number) =>
  Array.from({ length: count }, (_, index) => (index * 31 + seed * 17) % 250);

describe('answers', () => {
  test('are the reference decoder’s, token by token, over several turns of one session', async () => {
    const client = await connect();
    const session = client.open({ temperature: 0 });
    const transcript: number[] = [];
    for (const turn of [1, 2, 3]) {
      const tokens = promptOf(20 + turn, turn);
      await session.append({ tokens });
      transcript.push(...tokens);
      const answer = session.generate({ maxTokens: 6 });
      const got: number[] = [];
      for await (const frame of answer) got.push(...frame.tokens);
      expect(got).toEqual(reference.greedy(transcript, 6));
      transcript.push(...got);
      const end = await answer.end;
      expect(end).toMatchObject({ reason: 'length', position: transcript.length });
      if (turn > 1) expect(end.usage.cachedTokens).toBeGreaterThan(15);
    }
    client.close();
  });

  test('of many sessions on one socket are what each gets alone', async () => {
    const client = await connect();
    const answers = Array.from({ length: 20 }, async (_, index) => {
      const session = client.open({ temperature: 0 });
      const tokens = promptOf(10 + index, index);
      void session.append({ tokens });
      const got: number[] = [];
      await session.generate({ maxTokens: 5 }, (frame) => got.push(...frame.tokens)).end;
      return { tokens, got };
    });
    for (const { tokens, got } of await Promise.all(answers))
      expect(got).toEqual(reference.greedy(tokens, 5));
    client.close();
  });

  test('find their prompt computed when it was appended before the question', async () => {
    const client = await connect();
    const session = client.open({ temperature: 0 });
    const prefilled = session.nextPrefilled();
    await session.append({ tokens: promptOf(200, 99) });
    expect(await prefilled).toMatchObject({ outcome: 'done', position: 192, computedTokens: 192 });
    const end = await session.generate({ maxTokens: 2 }).end;
    expect(end.usage).toMatchObject({ promptTokens: 200, cachedTokens: 192 });
    client.close();
  });
});

describe('access', () => {
  test('the key comes with the upgrade or with the hello', async () => {
    (await connect()).close();
    const later = await NativeClient.connect(webSocketTo(server.url, { ...socketOptions, apiKey: null }), {
      apiKey: KEY,
    });
    later.close();
  });

  test('a wrong key gets no socket, none gets no greeting', async () => {
    await expect(connect('some-wrong-key')).rejects.toThrow(/401/);
    await expect(connect(null)).rejects.toMatchObject({ code: 'invalid_api_key' });
  });
});

describe('peers that misbehave', () => {
  /** A socket without a client on it. */
  async function rawSocket() {
    const url = `${server.url.replace('http', 'ws')}/v1/sparklane`;
    const socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${KEY}` },
      perMessageDeflate: false,
    });
    const heard: ServerMessage[] = [];
    let closeCode = 0;
    socket.on('message', (data) => heard.push(decodeServerFrame(data as Buffer)!));
    socket.on('close', (code) => {
      closeCode = code;
    });
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send(pack({ type: 'hello', version: { min: 1, max: 1 } }));
    await until(() => heard.length > 0);
    return { socket, heard, closeCode: () => closeCode };
  }

  const ask = [
    { type: 'session.open', session: 0 },
    { type: 'session.append', session: 0, tokens: [1, 2, 3] },
    { type: 'generate', session: 0, generation: 0, temperature: 0 },
  ];

  test('nonsense is answered and then hung up on; a frame too large is closed at once', async () => {
    const { socket, heard, closeCode } = await rawSocket();
    for (let i = 0; i < 8; i++) socket.send(Buffer.from([0xc1, i]));
    await until(() => closeCode() !== 0);
    expect(closeCode()).toBe(1007);
    expect(heard.filter((message) => message.type === 'error').length).toBe(8);
    const large = await rawSocket();
    large.socket.send(Buffer.alloc(65 * 1024));
    await until(() => large.closeCode() !== 0);
    expect(large.closeCode()).toBe(1009);
  });

  test('one that vanishes in mid-answer leaves no seat and no block taken', async () => {
    const { socket, heard } = await rawSocket();
    for (const message of ask) socket.send(pack(message));
    await until(() => heard.some(({ type }) => type === 'tokens'));
    socket.terminate();
    await until(() => server.engine.load.runningCount === 0);
    expect(server.engine.load).toMatchObject({ waitingCount: 0, kv: { inUseCount: 0 } });
  });

  test('one that does not read pauses its own answer; its neighbour’s goes on; nothing is lost', async () => {
    const { socket, heard } = await rawSocket();
    for (const message of ask)
      socket.send(pack({ ...message, maxTokens: 900, ignoreStopTokens: true, logprobs: 20 }));
    await until(() => heard.some(({ type }) => type === 'tokens'));
    socket.pause();
    const client = await connect();
    const neighbour = client.open({ temperature: 0 });
    void neighbour.append({ tokens: [4, 5, 6] });
    const end = await neighbour.generate({ maxTokens: 900, ignoreStopTokens: true }).end;
    expect(end.usage.outputTokens).toBe(900);
    socket.resume();
    await until(() => heard.some(({ type }) => type === 'generation.end'));
    const frames = heard.filter((message) => message.type === 'tokens');
    const got = frames.flatMap(({ tokens }) => [...tokens]);
    expect(got.length).toBe(900);
    expect(got.slice(0, 4)).toEqual(reference.greedy([1, 2, 3], 4));
    frames.forEach(({ index }, i) => {
      const before = frames.slice(0, i).reduce((sum, { tokens }) => sum + tokens.length, 0);
      expect(index).toBe(before);
    });
    socket.terminate();
    client.close();
  });
});

test('a device that dies in mid-answer is a typed error; the session goes on', async () => {
  const client = await connect();
  const session = client.open({ temperature: 0 });
  void session.append({ tokens: promptOf(30, 5) });
  let tokenCount = 0;
  const answer = session.generate({ maxTokens: 900, ignoreStopTokens: true }, () => {
    if (++tokenCount === 3)
      (server.device.backend as unknown as { terminateWorker(r: number): void }).terminateWorker(0);
  });
  const end = await answer.end;
  expect(end).toMatchObject({ reason: 'failed', error: { retryable: true } });
  expect(end.error!.code).toMatch(/^(worker_died|step_failed)$/);
  const again = await session.generate({ maxTokens: 3 }).end;
  expect(again).toMatchObject({ reason: 'length', usage: { outputTokens: 3 } });
  await until(() => server.engine.load.runningCount === 0);
  server.engine.check();
  expect(server.engine.load.kv.inUseCount).toBe(0);
  client.close();
});
