// What happens to a whole process: file descriptors that run out, a disk that is full, kill -9 under load. The servers are
// processes of their own, beside the one whose streams are compared.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pid, platform } from 'node:process';
import { expect } from 'vitest';
import type { NativeError } from '../../server/client/native-error.ts';
import { Arena, BOB, until } from './arena.ts';
import { type ChildServer, startChild } from './child-server.ts';
import type { Family } from './fault.ts';

const PROMPT = `// of a file\n${'export const held = [1, 2, 3];\n'.repeat(40)}`;
const ASK = { prompt: PROMPT, max_tokens: 12, seed: 5, ignore_eos: true };

const LIVES = 2;

// Loading the program, Node reads hundreds of modules at a time, and a busy machine has them open for longer; beyond them the
// kernel keeps 512 connections that nobody has taken.
const FILES = 640;
const SOCKETS = 900;

const FLAGS = {
  ...{ model: 'spark-nano', port: '0', 'api-key': BOB, 'kv-cache-size': '16MiB', threads: '1' },
  ...{ 'log-level': 'warn' },
};

export const processes: Family = {
  name: 'File descriptors, disks and processes that end',
  faults: [
    {
      id: 'processes/descriptors',
      does: `${SOCKETS} connections to a server that may have ${FILES} files open, beside a caller who is connected`,
      promise:
        'whoever is connected is served; it says in the log what is short; afterwards it takes new ones',
      pace: 'slow',
      inject: () => (platform === 'linux' ? descriptors() : skipped('descriptors are counted on Linux only')),
    },
    {
      id: 'processes/disk-full',
      does: 'a server whose --kv-disk-directory lies on a disk of 1 MiB, asked for more than that',
      promise: 'every answer is that of a server without a disk; the log says that KV cannot be written',
      pace: 'slow',
      inject: diskFull,
    },
    {
      id: 'processes/kill',
      does: 'kill -9 of a server in the middle of eight streams that writes KV to disk',
      promise:
        'the port is free at once; the next one answers the same, finds KV on disk, knows no session of the last one',
      pace: 'slow',
      inject: kills,
    },
  ],
};

function skipped(reason: string): Promise<number> {
  console.log(`skipped: ${reason}`);
  return Promise.resolve(1);
}

async function descriptors(): Promise<number> {
  const child = await startChild({ ...FLAGS, 'log-level': 'warn' }, FILES);
  const arena = Arena.at(child.url);
  try {
    const client = await arena.native();
    const session = client.open({ temperature: 0 });
    await session.append({ text: PROMPT });
    const quiet = await session.generate({ maxTokens: 12, ignoreStopTokens: true, seed: 5 }).text();
    const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => arena.socket())); // the kernel takes them
    await until(() => child.lines.some((line) => /file descriptors run out/.test(line)));
    const other = client.open({ temperature: 0 });
    await other.append({ text: PROMPT });
    const text = await other.generate({ maxTokens: 12, ignoreStopTokens: true, seed: 5 }).text();
    expect(text).toBe(quiet);
    for (const socket of sockets) socket.destroy();
    // Until it has noticed, new ones may be cut off.
    await until(() =>
      arena.post('/v1/completions', ASK).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    client.close();
    expect(child.lines.filter((line) => /^\s+at /.test(line))).toEqual([]); // no stack
    return sockets.length;
  } finally {
    arena.hangUp();
    await child.end('SIGTERM');
  }
}

async function diskFull(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-test-'));
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' });
  } catch {
    rmSync(directory, { recursive: true });
    return skipped('a small disk cannot be mounted here');
  }
  const child = await startChild({
    ...FLAGS,
    'kv-disk-size': '64MiB',
    'kv-disk-directory': join(disk, 'kv'),
  });
  const arena = Arena.at(child.url);
  try {
    const ask = (name: number) => arena.post('/v1/completions', { ...ASK, prompt: `// ${name}\n${PROMPT}` });
    const first = await ask(0);
    for (let name = 1; name <= 8; name++) expect((await ask(name)).status).toBe(200);
    await until(() => child.lines.some((line) => /ENOSPC|no space/i.test(line)));
    const again = await ask(0);
    expect(again.json.choices).toEqual(first.json.choices);
    expect((await arena.get('/readyz')).status).toBe(200);
    return 8;
  } finally {
    await child.end('SIGTERM');
    execFileSync('umount', [disk]);
    rmSync(directory, { recursive: true });
  }
}

async function kills(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-test-'));
  const disk = join(directory, 'kv');
  // The same port each time, and none that the system gives to those who connect.
  const port = `${20_000 + (pid % 10_000)}`;
  const flags = { ...FLAGS, port, 'kv-disk-size': '64MiB', 'kv-disk-directory': disk };
  let expected: unknown = null;
  let session: string | null = null;
  let child: ChildServer | null = null;
  try {
    for (let life = 0; life < LIVES; life++) {
      child = await startChild(flags);
      const arena = Arena.at(child.url);
      const { json } = await arena.post('/v1/completions', ASK);
      expected ??= json.choices;
      expect(json.choices).toEqual(expected);
      if (life > 0) expect(json.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(0);
      const client = await arena.native();
      if (session !== null) {
        const code = await client.resume(session).opened.catch((error: NativeError) => error.code);
        expect(code).toBe('unknown_session');
      }
      session = ((await client.open().opened) as { id: string }).id;
      const streams = Array.from({ length: 8 }, (_, name) => streamed(arena, name));
      await Promise.all(streams.map(({ begun }) => begun));
      // In the order in which they came: what ASK has computed is there before anything of the streams.
      await until(async () => (await arena.metric('sparklane_kv_disk_bytes_total{way="written"}')) > 0);
      await child.end('SIGKILL');
      await Promise.all(streams.map(({ over }) => over));
      arena.hangUp();
    }
    return LIVES - 1;
  } finally {
    await child?.end('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** An answer that is still being told when its server is killed. */
function streamed(
  arena: Arena,
  name: number,
): { readonly begun: Promise<unknown>; readonly over: Promise<unknown> } {
  const body = { ...ASK, prompt: `// ${name}\n${PROMPT}`, max_tokens: 1000, stream: true };
  const answer = arena.fetch('/v1/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${BOB}` },
    body: JSON.stringify(body),
  });
  return { begun: answer, over: answer.then((it) => it.text()).catch(() => '') };
}
