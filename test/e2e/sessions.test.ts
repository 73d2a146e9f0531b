// Sessions over real sockets, files and processes: a lost connection, the command line, and a server that is killed
// while it writes KV to disk. The model is a tiny random one, so that the reference decoder can say what is right.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { HEADER_SIZE } from '../../server/archive/record.ts';
import { runProgram } from '../../server/cli/program.ts';
import { NativeClient } from '../../server/client/client.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import { programFile } from '../built-program.ts';
import { writeTinyModel } from '../golden/tiny-model.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { createReferenceDecoder, type ReferenceDecoder } from '../reference-decoder.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const kv = join(directory, 'kv');
const KEYS = ['key-of-ada', 'key-of-bob'] as const;
let model: string;
let reference: ReferenceDecoder;
let running: ChildProcess[] = [];

beforeAll(() => {
  model = writeTinyModel(join(directory, 'model'), { stops: false });
  reference = createReferenceDecoder(loadCheckpoint(model));
});

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A server in a process of its own; `keys` in the order it is told them. */
async function start(keys: readonly string[] = KEYS) {
  const flags = {
    ...{ port: '0', model, precision: 'fp32', 'kv-cache-size': '16MiB', 'log-level': 'warn' },
    ...{ 'cache-directory': join(directory, 'cache'), 'kv-disk-size': '64MiB', 'kv-disk-directory': kv },
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const keyArgs = keys.flatMap((key) => ['--api-key', key]);
  const child = spawn(process.execPath, [programFile('sparklane.ts'), 'serve', ...args, ...keyArgs]);
  running.push(child);
  const url = await new Promise<string>((resolve, reject) => {
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        const match = /^\s*url\s+(\S+)/.exec(line);
        if (match !== null) resolve(match[1]!);
      });
    }
    child.once('exit', () => reject(new Error(said.join('\n'))));
  });
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    running = running.filter((other) => other !== child);
    child.kill(signal);
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return { url, end };
}

function connect(url: string, apiKey: string = KEYS[0]): Promise<NativeClient> {
  return NativeClient.connect(webSocketTo(url, { apiKey, frameSizeMax: 2 ** 20, connectTimeoutMs: 180_000 }));
}

const promptOf = (count: number, seed: number) =>
  Array.from({ length: count }, (_, index) => (index * 31 + seed * 17) % 250);

async function ask(url: string, tokens: readonly number[], apiKey?: string) {
  const client = await connect(url, apiKey);
  const session = client.open({ temperature: 0 });
  void session.append({ tokens });
  const answer = session.generate({ maxTokens: 4 });
  const got: number[] = [];
  for await (const frame of answer) got.push(...frame.tokens);
  const { usage } = await answer.end;
  client.close();
  return { got, cachedTokens: usage.cachedTokens };
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise(setImmediate);
}

/** Bytes of the first record on disk, by its header; infinite before there is one. */
function recordSize(): number {
  const [name] = readdirSync(kv);
  const bytes = name === undefined ? Buffer.alloc(0) : readFileSync(join(kv, name));
  return bytes.length < HEADER_SIZE ? Number.POSITIVE_INFINITY : HEADER_SIZE + bytes.readUInt32LE(4);
}

const filesSize = () => readdirSync(kv).reduce((sum, name) => sum + statSync(join(kv, name)).size, 0);

describe('a lost socket', () => {
  test('is replaced by another one, which goes on with the very next token', async () => {
    const { url, end } = await start();
    const first = await connect(url);
    const prompt = promptOf(40, 1);
    const session = first.open({ temperature: 0 });
    await session.append({ tokens: prompt });
    const { id } = await session.opened;
    const got: number[] = [];
    const answer = session.generate({ maxTokens: 64, ignoreStopTokens: true });
    for await (const frame of answer) {
      got.push(...frame.tokens);
      if (got.length >= 20) break;
    }
    first.close({ keepSessions: true });
    const second = await connect(url);
    const again = second.resume(id, { generation: answer.generation, index: got.length });
    const rest = again.continued(answer.generation);
    for await (const frame of rest) got.push(...frame.tokens);
    expect(got).toEqual(reference.greedy(prompt, 64));
    expect((await rest.end).position).toBe(104);
    const stranger = await connect(url, KEYS[1]);
    await expect(stranger.resume(id).opened).rejects.toMatchObject({ code: 'unknown_session' });
    for (const client of [second, stranger]) client.close();
    await end('SIGTERM');
  });

  test('the command line lists, shows and drops what it left behind', async () => {
    const { url, end } = await start();
    const client = await connect(url);
    const session = client.open();
    await session.append({ text: 'let a = 1;' });
    const { id } = await session.opened;
    client.close({ keepSessions: true });
    const run = async (...args: string[]) => {
      const terminal = new MemoryTerminal();
      const host = { terminal, env: {}, clock: new WallClock(), epochMs: Date.now };
      const code = await runProgram(['sessions', ...args, '--url', url, '--api-key', KEYS[0]], host);
      return { code, out: terminal.written, err: terminal.notes };
    };
    expect((await run('list')).out).toContain(id);
    expect(await run('show', id)).toMatchObject({ code: 0, out: expect.stringContaining('let a = 1;') });
    expect(await run('drop', id)).toMatchObject({ code: 0 });
    expect(await run('drop', id)).toMatchObject({ code: 1, err: expect.stringContaining('no session') });
    expect(await run('list')).toMatchObject({ out: '', err: 'no sessions\n' });
    await end('SIGTERM');
  });
});

describe('KV on disk', () => {
  test('is found after kill -9, follows the API key, and a torn file costs only what was torn', async () => {
    const prompt = promptOf(240, 5);
    const expected = reference.greedy(prompt, 4);
    rmSync(kv, { recursive: true, force: true }); // what the tests above have left
    const before = await start();
    expect(await ask(before.url, prompt)).toEqual({ got: expected, cachedTokens: 0 });
    // Killed while it is still writing, or just after: anything from one record on.
    await until(() => filesSize() >= recordSize());
    await before.end('SIGKILL');

    const again = await start();
    const found = await ask(again.url, prompt);
    expect(found.got).toEqual(expected);
    expect(found.cachedTokens).toBeGreaterThan(0);
    // The other key's prompt is its own.
    expect(await ask(again.url, prompt, KEYS[1])).toEqual({ got: expected, cachedTokens: 0 });
    await again.end('SIGTERM'); // writes what waits

    const files = readdirSync(kv).map((name) => join(kv, name));
    for (const file of files) truncateSync(file, statSync(file).size - 100);
    const swapped = await start([KEYS[1], KEYS[0]]);
    const torn = await ask(swapped.url, prompt);
    expect(torn.got).toEqual(expected);
    expect(torn.cachedTokens).toBeGreaterThan(0); // although Ada's key has another place in the list
    expect(await ask(swapped.url, promptOf(240, 6), KEYS[1])).toMatchObject({ cachedTokens: 0 });
    await swapped.end('SIGTERM');
  });
});
