// The package as its users get it: packed, installed offline into an empty folder, run. The quick form (make test) leaves the
// large default model out and runs no scripts; `make package` (PACKAGE=whole) takes the tarball that it has made, with the
// model, and installs with scripts, too. npm's cache has the packages that this repository was set up with; where it does not say
// which versions there are, the lock file does (PACKAGE=locked). Where it lacks a package, this skips and says so.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { text } from 'node:stream/consumers';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = join(import.meta.dirname, '../..');
const whole = env['PACKAGE'] === 'whole';
const locked = env['PACKAGE'] === 'locked'; // .ci/run: most of a minute on two cores
const directory = temporaryDirectory();
const home = join(directory, 'empty');
const children: ChildProcess[] = [];
const SETUP_TIMEOUT_MS = 400_000;
const INSTALL_FLAGS = ['--offline', '--no-audit', '--no-fund', '--loglevel=error'];
const MODEL = 'models/smollm2-135m-instruct';
const BUNDLE_SIZE_MAX = 60_000; // bytes, minified: the client of a web page

interface Manifest {
  readonly version: string;
  readonly files: readonly string[];
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
let installed = false;
let packed: readonly string[] = [];

beforeAll(async () => {
  const tarball = whole ? join(root, `sparklane-${manifest.version}.tgz`) : await packedWithoutModel();
  packed = (await run('tar', ['-tzf', tarball])).out.trim().split('\n');
  mkdirSync(home);
  writeFileSync(join(home, 'package.json'), '{"type":"module"}');
  let { code, errors } = await install(tarball, '--ignore-scripts');
  if (locked && errors.includes('ENOTCACHED')) ({ code, errors } = await installLocked(tarball));
  installed = code === 0;
  if (!installed && !errors.includes('ENOTCACHED')) throw new Error(errors);
  if (!installed)
    console.log(`skipped: npm's cache lacks a package: ${/request to (\S+)/.exec(errors)?.[1]}`);
}, SETUP_TIMEOUT_MS);

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

test('it holds what runs, its types, and no maps or sources', () => {
  expect(packed.length).toBeGreaterThan(500);
  expect(packed.filter((name) => name.endsWith('.map'))).toEqual([]);
  expect(packed.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))).toEqual([]);
  expect(packed.filter((name) => name.includes('/test/') || name.includes('/.'))).toEqual([]);
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  );
  for (const target of ['./dist/sparklane.js', './README.md', './LICENSE', ...targets]) {
    expect(packed).toContain(target.replace('./', 'package/'));
  }
  expect(packed.some((name) => name.endsWith('.gguf'))).toBe(whole);
});

test('the program runs, and says its version', async ({ skip }) => {
  skip(!installed);
  const { out } = await run(bin(), ['--version']);
  expect(out.trim()).toBe(manifest.version);
});

test('the example for Node talks to the server of the package', async ({ skip }) => {
  skip(!installed);
  const url = await serving();
  const { code, out, errors } = await run(process.execPath, [example('session.js'), url]);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  expect(out).toMatch(/^\[spark-nano, \d+ tokens of context\]\n/);
  expect(out).toMatch(/\[\d+ tokens ahead of the question/);
  const [, told, before] = /\[(\d+) tokens, (\d+) of them before/.exec(out)!;
  expect(Number(told)).toBeGreaterThan(0);
  expect(Number(before)).toBeLessThanOrEqual(Number(told));
});

test('the example for a browser is small, has nothing of Node, and talks to it', async ({ skip }) => {
  skip(!installed);
  const bundled = await build({
    entryPoints: [example('browser/chat.js')],
    outfile: join(home, 'bundle.mjs'),
    ...{ bundle: true, format: 'esm', platform: 'browser', minify: true, metafile: true, logLevel: 'silent' },
  });
  const inputs = Object.keys(bundled.metafile.inputs).join('\n');
  expect(inputs).toContain('published-browser.js');
  expect(inputs).not.toMatch(/node_modules\/(zod|ws|onnxruntime|koffi|msgpackr-extract)/);
  expect(readFileSync(join(home, 'bundle.mjs')).length).toBeLessThan(BUNDLE_SIZE_MAX);
  writeFileSync(join(home, 'page.mjs'), PAGE);
  const { code, out, errors } = await run(process.execPath, [
    'page.mjs',
    await serving(),
    example('browser/index.html'),
  ]);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  expect(JSON.parse(out)).toEqual({
    title: 'spark-nano',
    done: expect.stringMatching(/stop|length/),
    length: expect.any(Number),
  });
});

test('what the page imports without a bundler is there', ({ skip }) => {
  skip(!installed);
  const page = readFileSync(example('browser/index.html'), 'utf8');
  const { imports } = JSON.parse(/<script type="importmap">([\s\S]*?)<\/script>/.exec(page)![1]!) as {
    imports: Record<string, string>;
  };
  for (const path of Object.values(imports)) expect(existsSync(join(home, path)), path).toBe(true);
});

test('its server has the page for people, with every file that it names', async ({ skip }) => {
  skip(!installed);
  const url = await serving();
  const shell = await (await fetch(`${url}/`, { headers: { accept: 'text/html' } })).text();
  const { imports } = JSON.parse(/<script type="importmap">(.*?)<\/script>/.exec(shell)![1]!) as {
    imports: Record<string, string>;
  };
  const named = [...shell.matchAll(/(?:src|href)="(\.\/[^"]+)"/g)].map(([, path]) => path!);
  expect(named.length).toBeGreaterThan(4);
  for (const path of [...named, ...Object.values(imports)]) {
    expect([path, (await fetch(new URL(path, `${url}/`))).status]).toEqual([path, 200]);
  }
});

test('the types of every export are found', async ({ skip }) => {
  skip(!installed);
  writeFileSync(join(home, 'user.ts'), USER);
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2023',
    strict: true,
    noEmit: true,
    types: [],
    lib: ['es2023', 'dom'],
  };
  writeFileSync(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['user.ts'] }));
  const { code, out } = await run(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    home,
  ]);
  expect(out).toBe('');
  expect(code).toBe(0);
});

test('the load tester runs from code', async ({ skip }) => {
  skip(!installed);
  const workload = ['--workload', 'mooncake', '--sessions', '4', '--warmup', '0s'];
  const flags = ['--in-process', ...workload, '--out', join(home, 'report')];
  const script = `import { processIo, runLoadtest } from 'sparklane/loadtest'; await runLoadtest(${JSON.stringify(flags)}, processIo());`;
  const { code, errors } = await run(process.execPath, ['--input-type=module', '-e', script]);
  expect(code, errors).toBe(0);
});

test.runIf(whole)(
  'with scripts it installs as well, and serves its default model',
  async ({ skip }) => {
    skip(!installed);
    const tarball = join(root, `sparklane-${manifest.version}.tgz`);
    expect(await install(tarball, '--ignore-scripts=false')).toMatchObject({ code: 0 });
    const url = await serving([]);
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        messages: [{ role: 'user', content: 'What is the capital of France?' }],
        temperature: 0,
        max_tokens: 12,
      }),
    });
    expect(await answer.text()).toContain('Paris');
  },
  SETUP_TIMEOUT_MS,
);

// A page for the bundle: a document with the example's form, a WebSocket, an address with the server in it.
const PAGE = `
import { readFileSync } from 'node:fs';
import { parseHTML } from 'linkedom';
import { WebSocket } from 'ws';
const [, , url, page] = process.argv;
const { document, Event } = parseHTML(readFileSync(page, 'utf8'));
Object.assign(globalThis, { document, WebSocket, location: new URL('http://localhost/?url=' + encodeURIComponent(url)) });
await import('./bundle.mjs');
const answer = document.querySelector('#answer');
const asked = new Promise((resolve) => {
  const show = answer.append.bind(answer);
  let length = 0;
  answer.append = (text) => { length += text.length; show(text); };
  Object.defineProperty(answer, 'dataset', { value: new Proxy({}, { set: (_, __, done) => { resolve({ title: document.title, done, length }); return true; } }) });
});
document.querySelector('#form').dispatchEvent(new Event('submit'));
process.stdout.write(JSON.stringify(await asked));
process.exit(0);
`;

const USER = `
import { connect, NativeError, type ClientSession, type ServerHello, type TokensFrame } from 'sparklane/client';
import { decodeClientFrame, encodeServerMessage, PROTOCOL_VERSION, type ServerMessage } from 'sparklane/protocol';
import { processIo, runLoadtest } from 'sparklane/loadtest';
export async function use(): Promise<ServerHello> {
  const client = await connect('http://127.0.0.1:8080', { apiKey: 'k' });
  const session: ClientSession = client.open({ temperature: 0 });
  await session.append({ messages: [{ role: 'user', content: 'Hi' }] });
  for await (const frame of session.generate({ maxTokens: 3 })) { const { text }: TokensFrame = frame; console.log(text); }
  // @ts-expect-error: there is no such field
  session.generate({ maxToken: 3 });
  return client.hello;
}
export const pong: ServerMessage = { type: 'pong', timeUs: PROTOCOL_VERSION };
export const frame: Uint8Array = encodeServerMessage(pong);
export const fault = (error: NativeError): number | null => error.retryAfterMs;
export const decoded = decodeClientFrame(frame);
export const tested: Promise<void> = runLoadtest(['--help'], processIo());
`;

async function packedWithoutModel(): Promise<string> {
  const source = join(directory, 'source');
  mkdirSync(source);
  const files = manifest.files.filter((name) => name !== MODEL);
  for (const name of files) {
    const folder = name.replace(/\/\*.*$/, '');
    if (name.startsWith('!') || name === '*.md' || name === 'dist') continue;
    cpSync(join(root, folder), join(source, folder), { recursive: true });
  }
  for (const name of ['README.md', 'LICENSE']) cpSync(join(root, name), join(source, name));
  writeFileSync(join(source, 'package.json'), JSON.stringify({ ...manifest, files }));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  for (const project of ['tsconfig.build.json', 'server/ui/page/tsconfig.json']) {
    const flags = [
      '--outDir',
      join(source, 'dist'),
      '--tsBuildInfoFile',
      join(source, `dist/.${project.length}`),
    ];
    const compiled = await run(process.execPath, [tsc, '-p', join(root, project), ...flags], source);
    expect(compiled).toMatchObject({ code: 0, out: '' });
  }
  const { code, errors } = await run('npm', ['pack', '--ignore-scripts', '--loglevel=error'], source);
  expect(code, errors).toBe(0);
  return join(source, `sparklane-${manifest.version}.tgz`);
}

function install(tarball: string, scripts: string) {
  return run('npm', ['install', ...INSTALL_FLAGS, scripts, tarball]);
}

/** With the versions of this repository's lock file, of which npm needs to know nothing more. */
function installLocked(tarball: string) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  };
  const needed = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  const { devDependencies: _, ...own } = packages['']!;
  const dependencies = { sparklane: `file:${tarball}` };
  const locked = {
    ...{ name: 'empty', lockfileVersion: 3, requires: true },
    packages: {
      '': { dependencies },
      'node_modules/sparklane': { ...own, resolved: dependencies.sparklane },
      ...Object.fromEntries(needed),
    },
  };
  writeFileSync(join(home, 'package.json'), JSON.stringify({ type: 'module', dependencies }));
  writeFileSync(join(home, 'package-lock.json'), JSON.stringify(locked));
  return run('npm', ['ci', ...INSTALL_FLAGS, '--ignore-scripts']);
}

let server: Promise<string> | null = null;

/** Address of the package's own server, started once for the simulated device, or as told. */
function serving(
  flags = ['--backend', 'sim', '--model', 'spark-nano', '--kv-cache-size', '64MiB'],
): Promise<string> {
  if (flags.length === 0) return start(flags);
  server ??= start(flags);
  return server;
}

async function start(flags: readonly string[]): Promise<string> {
  const child = spawn(bin(), ['serve', '--port', '0', '--log-level', 'warn', ...flags], {
    cwd: home,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let out = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    out += chunk;
    const url = /url\s+(\S+)/.exec(out)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error(`the server ended early: ${out}`);
}

async function run(command: string, args: readonly string[], cwd = home) {
  const child = spawn(command, args, {
    cwd: existsSync(cwd) ? cwd : directory,
    env: { ...env, ONNXRUNTIME_NODE_INSTALL: 'skip' }, // CUDA's libraries, which nobody here uses
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const [out, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { out, errors, code: code as number };
}

function bin(): string {
  return join(home, 'node_modules/.bin/sparklane');
}

function example(name: string): string {
  return join(home, 'node_modules/sparklane/examples', name);
}
