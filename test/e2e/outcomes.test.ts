// Recorded tasks as their user has them: a server that records, dies and comes back, and the commands that read its file
// while it serves. The simulated device keeps it quick; nothing depends on what it says.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { programFile } from '../built-program.ts';
import { servedEnv } from '../served-env.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = join(import.meta.dirname, '../..');
const directory = temporaryDirectory();
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

const LANES = join(directory, 'lanes.json');
const price = { inputPerMillion: 1, outputPerMillion: 2 };
writeFileSync(
  LANES,
  JSON.stringify({ lanes: { spark: { model: 'local', price }, reliability: { model: 'local', price } } }),
);

function run(...args: string[]): {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
} {
  const child = spawn(process.execPath, [programFile('sparklane.ts'), ...args], {
    cwd: root,
    env: { ...servedEnv, PATH: process.env['PATH'], HOME: directory },
  });
  started.push(child);
  let out = '';
  let err = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  return { child, out: () => out, err: () => err };
}

async function serving(path: string, ...more: string[]) {
  const flags = [
    '--model',
    'spark-nano',
    '--backend',
    'sim',
    '--kv-cache-size',
    '64MiB',
    '--log-level',
    'warn',
    '--port',
    '0',
  ];
  const server = run('serve', ...flags, '--lanes', LANES, '--outcomes-db', path, ...more);
  while (!server.out().includes('try ')) {
    await Promise.race([once(server.child.stdout!, 'data'), once(server.child, 'close')]);
    if (server.child.exitCode !== null) throw new Error(server.err());
  }
  return { ...server, url: /url\s+(\S+)/.exec(server.out())![1]! };
}

async function finished(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const { child, out, err } = run(...args);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out: out(), err: err() };
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely
async function ask(url: string, path: string, body?: object): Promise<any> {
  const response = await fetch(url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return await response.json();
}

test('a server records tasks, dies, comes back with them, and its file is reported and replayed meanwhile', async () => {
  const path = join(directory, 'outcomes.db');
  const first = await serving(path);
  const metadata = { task_id: 'T-1' };
  const messages = [{ role: 'user', content: 'Rename x in a.ts' }];
  await ask(first.url, '/v1/tasks', { id: 'T-1', task_class: 'rename' });
  const answer = await ask(first.url, '/v1/chat/completions', {
    model: 'auto',
    messages,
    metadata,
    max_tokens: 8,
  });
  expect(answer.object).toBe('chat.completion');
  const events = [
    { id: 'e1', type: 'tool_run', duration_ms: 210_000, exit_code: 0 },
    { id: 'e2', type: 'accepted' },
  ];
  await ask(first.url, '/v1/tasks/T-1/events', { events });
  first.child.kill('SIGKILL');
  await once(first.child, 'close');

  const second = await serving(path);
  const task = await ask(second.url, '/v1/tasks/T-1');
  expect(task).toMatchObject({ task_class: 'rename', outcome: 'accepted', request_count: 1, event_count: 2 });
  expect(task.requests[0].end.output_tokens).toBeGreaterThan(0);
  expect(JSON.stringify(task)).not.toContain('Rename x');

  const report = await finished('report', '--outcomes-db', path, '--html', join(directory, 'r.html'));
  expect(report).toMatchObject({ code: 0 });
  expect(report.out).toMatch(/rename +1 .*210 s/);
  expect(readFileSync(join(directory, 'r.html'), 'utf8')).toContain('<h2>Where the time goes</h2>');
  const replayed = await finished('whatif', '--outcomes-db', path, '--policy', 'policies/default.json');
  expect(replayed).toMatchObject({ code: 0 });
  expect(replayed.out).toContain('over 1 requests of 1 tasks, recorded under');
  second.child.kill('SIGTERM');
  await once(second.child, 'close');
  expect(second.child.exitCode).toBe(0);
});

test('a broken record is put aside, and the server serves', async () => {
  const path = join(directory, 'broken.db');
  writeFileSync(path, 'no database '.repeat(1000));
  const server = await serving(path);
  expect(server.err()).toContain('the record of tasks was broken');
  expect((await ask(server.url, '/v1/tasks', { id: 'a' })).id).toBe('a');
  expect(readdirSync(directory).filter((name) => name.startsWith('broken.db.broken-'))).toHaveLength(1);
});

test('a record that cannot be written refuses to start, by name', async () => {
  const path = join(LANES, 'outcomes.db'); // below a file
  await expect(serving(path)).rejects.toThrow(/lanes\.json\/outcomes\.db: /);
});

test('the command of the README runs', async () => {
  const page = join(directory, 'example.html');
  const example = ['--import', 'server/outcomes/example-tasks.json', '--faster', '10/3'];
  const { code, out } = await finished('report', ...example, '--html', page);
  expect(code).toBe(0);
  expect(out).toContain('T_total 520 s to 457 s: 12.1 % shorter');
});
