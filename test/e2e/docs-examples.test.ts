// The examples of the documents, run as they stand but for the port: every block of shell whose commands are curl or a script of Node's, and
// every block of JavaScript that uses the openai package, against a server with a simulated device. What an example answers is
// held elsewhere; here it must be an answer, not a refusal.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, expect, test } from 'vitest';
import { programFile } from '../built-program.ts';
import { servedEnv } from '../served-env.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = join(import.meta.dirname, '../..');
const ADDRESS = '127.0.0.1:8080';
const directory = temporaryDirectory();
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

interface Example {
  readonly name: string;
  readonly model: string;
  readonly code: string;
}

const pages = ['README.md', 'docs/clients.md', ...pagesOf('docs/protocol'), 'PROTOCOL.md'];
const shell = pages.flatMap((page) => examplesOf(page, 'sh')).filter(({ code }) => runsByItself(code));
const scripts = pages.flatMap((page) => examplesOf(page, 'ts'));
const hasCurl = (await exitOf('curl', ['--version'])) === 0;
const servers = new Map<string, Promise<string>>();

test('the documents have examples', () => {
  expect(shell.length).toBeGreaterThan(14);
  expect(scripts.length).toBeGreaterThan(0);
});

for (const { name, model, code } of shell) {
  test.skipIf(!hasCurl)(`${name}${hasCurl ? '' : ' (skipped: no curl here)'}`, async () => {
    const address = await serverOf(model);
    const out = await run('sh', ['-c', `set -e\n${FAILING_CURL}\n${code.replaceAll(ADDRESS, address)}`]);
    expect(out.text.length).toBeGreaterThan(0);
    expect(out.text).not.toMatch(/"error":\s*\{\s*"message"/);
    expect(out).toMatchObject({ code: 0 });
  });
}

for (const { name, model, code } of scripts) {
  test(name, async () => {
    const address = await serverOf(model);
    const out = await run(process.execPath, ['--input-type=module', '-e', code.replaceAll(ADDRESS, address)]);
    expect(out).toMatchObject({ code: 0, errors: '' });
    expect(out.text.length).toBeGreaterThan(0);
  });
}

// Refusals end curl with a status; ids that stand for ones of the reader's (resp_…) cannot be asked for.
const FAILING_CURL = `curl() { case "$*" in *…*) return 0;; esac; command curl -sS --fail-with-body "$@"; }`;

function runsByItself(code: string): boolean {
  const lines = code
    .replace(/\\\n/g, ' ')
    .replace(/'[^']*'/g, "''")
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  return lines.every((line) => /^(curl|node --input-type=module) /.test(line));
}

/** Blocks of a language, by the heading above them; a comment `# make serve MODEL=…` on top says which model it needs. */
function examplesOf(page: string, language: string): Example[] {
  const examples: Example[] = [];
  let heading = '';
  const parts = readFileSync(join(root, page), 'utf8').matchAll(/^#+ (.*)$|^```(\w*)\n([\s\S]*?)^```$/gm);
  for (const [, title, found, code] of parts) {
    if (title !== undefined) heading = title;
    else if (found === language) {
      const model = /# make serve MODEL=(\S+)/.exec(code!)?.[1] ?? 'smollm2-135m-instruct';
      examples.push({ name: `${page}, ${heading}: ${code!.trim().split('\n')[0]}`, model, code: code! });
    }
  }
  return examples;
}

function serverOf(model: string): Promise<string> {
  if (!servers.has(model)) servers.set(model, startServer(model));
  return servers.get(model)!;
}

/** Resolves with host and port. */
async function startServer(model: string): Promise<string> {
  const given = ['--port', '0', '--model', model, '--backend', 'sim', '--kv-cache-size', '64MiB'];
  const kept = ['--lanes', 'policies/two-lanes.json', '--outcomes-db', join(directory, `tasks-${model}.db`)];
  const child = spawn(
    process.execPath,
    [programFile('sparklane.ts'), 'serve', ...given, ...kept, '--log-level', 'warn'],
    {
      cwd: root,
      env: { ...servedEnv, PATH: process.env['PATH'], HOME: process.env['HOME'] },
    },
  );
  children.push(child);
  let out = '';
  child.stdout!.setEncoding('utf8');
  child.stderr!.resume();
  for await (const chunk of child.stdout!) {
    out += chunk;
    const address = /url\s+http:\/\/(\S+)/.exec(out)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error(`the server ended early: ${out}`);
}

async function run(command: string, args: readonly string[]) {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const [out, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { text: out, errors, code: code as number };
}

async function exitOf(command: string, args: readonly string[]): Promise<number | null> {
  const child = spawn(command, args, { stdio: 'ignore' });
  return new Promise((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
}

function pagesOf(folder: string): string[] {
  return readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
}
