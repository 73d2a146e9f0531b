// The program as a user starts it: its own process, signals, standard streams. The simulated device keeps it quick.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { programFile } from '../built-program.ts';
import { servedEnv } from '../served-env.ts';

const root = join(import.meta.dirname, '../..');
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

interface Run {
  readonly child: ChildProcess;
  out: string;
  err: string;
  /** Resolves with the exit code. */
  readonly exit: Promise<number | null>;
}

const DEVICE = [
  '--model',
  'spark-nano',
  '--backend',
  'sim',
  '--kv-cache-size',
  '64MiB',
  '--log-level',
  'warn',
];

function sparklane(...args: string[]): Run {
  return program('sparklane.ts', ...args);
}

function program(source: string, ...args: string[]): Run {
  const child = spawn(process.execPath, [programFile(source), ...args], {
    cwd: root,
    env: { ...servedEnv, PATH: process.env['PATH'], HOME: process.env['HOME'] },
  });
  started.push(child);
  const exit = once(child, 'close').then(([code]) => code as number | null);
  const run: Run = { child, out: '', err: '', exit };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    run.out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    run.err += text;
  });
  return run;
}

/** Waits for what the program writes. */
async function until(run: Run, condition: () => boolean): Promise<void> {
  const { stdout, stderr } = run.child;
  const ended = run.exit.then(() => true);
  while (!condition()) {
    const written = [once(stdout!, 'data'), once(stderr!, 'data')].map((data) => data.then(() => false));
    if ((await Promise.race([ended, ...written])) && !condition()) {
      throw new Error(`the program ended early: ${run.err}`);
    }
  }
}

async function serving(...args: string[]): Promise<Run & { readonly url: string }> {
  const run = sparklane('serve', '--port', '0', ...DEVICE, ...args);
  await until(run, () => run.out.includes('try '));
  return Object.assign(run, { url: /url\s+(\S+)/.exec(run.out)![1]! });
}

test('serve says where it is and what to try; the line works; SIGTERM ends it', async () => {
  const run = await serving();
  expect(run.out).toMatch(/model\s+spark-nano/);
  expect(run.out).toMatch(/device\s+sim/);
  const line = /try\s+(.*)/.exec(run.out)![1]!;
  const curl = spawn('sh', ['-c', line]);
  const chunks: Buffer[] = [];
  curl.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(curl, 'close');
  const answer = JSON.parse(Buffer.concat(chunks).toString()) as { choices: { text: string }[] };
  expect(answer.choices[0]!.text.length).toBeGreaterThan(0);
  run.child.kill('SIGTERM');
  expect(await run.exit).toBe(0);
  expect(run.err).toContain('sparklane has stopped');
});

test('SIGTERM lets an open answer end; a second signal does not wait', async () => {
  const run = await serving('--drain-timeout-ms', '3600000');
  const body = JSON.stringify({
    model: 'spark-nano',
    prompt: 'x',
    max_tokens: 200,
    ignore_eos: true,
    stream: true,
  });
  const ask = () =>
    fetch(`${run.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
  const answer = await ask();
  run.child.kill('SIGTERM');
  expect(await answer.text()).toMatch(/\[DONE\]\s*$/);
  expect(await run.exit).toBe(0);

  const impatient = await serving('--drain-timeout-ms', '3600000');
  const slow = JSON.stringify({
    model: 'spark-nano',
    prompt: 'x',
    max_tokens: 16_000,
    ignore_eos: true,
    stream: true,
  });
  const headers = { 'content-type': 'application/json' };
  const open = await fetch(`${impatient.url}/v1/completions`, { method: 'POST', headers, body: slow });
  impatient.child.kill('SIGINT');
  await until(impatient, () => impatient.err.includes('shutting down'));
  impatient.child.kill('SIGINT');
  expect(await impatient.exit).toBeNull();
  await open.text().catch(() => undefined);
});

test('chat talks to a running server line by line', async () => {
  const server = await serving('--api-key', 'a-key-for-chat');
  const chat = sparklane('chat', '--url', server.url, '--api-key', 'a-key-for-chat', '--max-tokens', '5');
  chat.child.stdin!.end('hello\nagain\n');
  expect(await chat.exit).toBe(0);
  expect(chat.err.match(/TTFT .* 5 tokens/g)?.length).toBe(2);
  const stranger = sparklane('chat', '--url', server.url);
  stranger.child.stdin!.end();
  expect(await stranger.exit).toBe(1);
  expect(stranger.err).toContain('an API key is needed');
});

test('complete reads standard input and writes only the completion', async () => {
  const run = sparklane('complete', '-', '--max-tokens', '5', ...DEVICE);
  run.child.stdin!.end('const a = ');
  expect(await run.exit).toBe(0);
  expect(run.out.length).toBeGreaterThan(0);
  expect(run.out).not.toContain('TTFT');
  expect(run.err).toMatch(/TTFT .* 5 tokens/);
});

test('a mistake is one sentence and exit code 1', async () => {
  const run = sparklane('serve', '--port', 'http');
  expect(await run.exit).toBe(1);
  expect(run.err).toBe('sparklane: port = "http" (--port): must be an integer from 0 to 65535\n');
});

test('who reads its output may leave before the end', async () => {
  const run = sparklane('devices', '--model', 'llama-3.1-8b');
  run.child.stdout!.destroy();
  expect(await run.exit).toBe(0);
  expect(run.err).toBe('');
});

test('what starts the server’s own file, as before it had another name, gets its commands', async () => {
  const run = program('server/main.ts', 'serve', '--port', '-1');
  expect(await run.exit).toBe(1);
  expect(run.err).toContain('must be an integer from 0 to 65535');
});
