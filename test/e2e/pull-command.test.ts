// The command line on a hub on loopback: what people type, what they are told, and what works without the network.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import { runProgram } from '../../server/cli/program.ts';
import { hubRig } from '../hub-rig.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const rig = hubRig(temporaryDirectory());
const NANO = join(import.meta.dirname, '../../models/spark-nano');
const COMPLETE = ['complete', '-', '--backend', 'sim', '--max-tokens', '5', '--kv-cache-size', '64MiB'];
let terminal: MemoryTerminal;

beforeEach(() => {
  const names = readdirSync(NANO);
  rig.mirror.put(
    'acme/nano',
    Object.fromEntries(names.map((name) => [name, readFileSync(join(NANO, name))])),
  );
  terminal = new MemoryTerminal();
});

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  terminal.written = '';
  terminal.notes = '';
  const hub = {
    HF_ENDPOINT: rig.mirror.endpoint,
    HF_HUB_CACHE: rig.cacheDirectory,
    HF_HOME: rig.cacheDirectory,
  };
  const host = { terminal, env: { ...hub, ...env }, clock: new WallClock(), epochMs: Date.now };
  const code = await runProgram(args, host);
  return { code, out: terminal.written, err: terminal.notes };
}

test('a pull prints the path to serve, and the list has it', async () => {
  const first = await run(['pull', 'acme/nano']);
  expect(first).toMatchObject({ code: 0, err: expect.stringMatching(/acme\/nano: 13\.\d MB fetched\n$/) });
  expect(readdirSync(first.out.trim())).toContain('model.safetensors');
  const again = await run(['pull', 'acme/nano']);
  expect(again).toMatchObject({
    code: 0,
    out: first.out,
    err: expect.stringMatching(/was there already\n$/),
  });
  expect((await run(['models'])).out).toMatch(/^acme\/nano\t13\.\d MB\tsafetensors\n$/);
});

test('a model asked for by name is pulled once, said so, and needs no network afterwards', async () => {
  terminal.type('const a = ');
  const first = await run([...COMPLETE, '--model', 'acme/nano']);
  expect(first.code).toBe(0);
  expect(first.err).toContain(
    `acme/nano is neither a path here nor in the cache: pulling it from ${rig.mirror.endpoint}`,
  );
  const { length } = rig.mirror.requests;
  terminal.type('const a = ');
  expect((await run([...COMPLETE, '--model', 'acme/nano'])).code).toBe(0);
  terminal.type('const a = ');
  const offline = { HF_ENDPOINT: 'http://127.0.0.1:9', HF_HUB_OFFLINE: '1' };
  expect((await run([...COMPLETE, '--model', 'acme/nano'], offline)).code).toBe(0);
  expect(rig.mirror.requests).toHaveLength(length);
  const pulled = await run(['pull', 'acme/nano'], offline);
  expect(pulled).toMatchObject({
    code: 0,
    err: expect.stringContaining('what the cache has of it is whole'),
  });
});

test('offline, what is not there is said in one sentence', async () => {
  const { code, err } = await run([...COMPLETE, '--model', 'acme/other'], { HF_HUB_OFFLINE: '1' });
  expect(code).toBe(1);
  expect(err).toMatch(/acme\/other is neither a path here nor in .*, and HF_HUB_OFFLINE is set\n$/);
});

test('Ctrl-C keeps what has arrived, and the next pull goes on', async () => {
  rig.mirror.beforePiece = (path, offset) => {
    if (path === 'model.safetensors' && offset > 0 && unfinishedSize() > 0) terminal.interrupt();
    return undefined;
  };
  const stopped = await run(['pull', 'acme/nano']);
  expect(stopped).toMatchObject({
    code: 1,
    err: expect.stringMatching(/sparklane: stopped; what has arrived is kept/),
  });
  expect(terminal.listenerCount).toBe(0);
  expect((await run(['models'])).out).toMatch(/of an unfinished pull/);
  rig.mirror.beforePiece = () => undefined;
  expect((await run(['pull', 'acme/nano'])).err).toMatch(/: 1\d\.\d MB fetched\n$/);
});

function unfinishedSize(): number {
  const blobs = join(rig.cacheDirectory, 'models--acme--nano/blobs');
  const names = readdirSync(blobs).filter((name) => name.endsWith('.incomplete'));
  return names.reduce((sum, name) => sum + statSync(join(blobs, name)).size, 0);
}

test('what cannot be served is refused before its weights', async () => {
  rig.mirror.put('acme/odd', {
    'config.json': '{"architectures":["OddForCausalLM"]}',
    'model.safetensors': 'x'.repeat(9000),
  });
  const settings = await run(['pull', 'acme/odd']);
  expect(settings).toMatchObject({
    code: 1,
    err: expect.stringContaining('acme/odd cannot be served, so its weights are not fetched'),
  });
  rig.mirror.architecture = 'mamba';
  rig.mirror.put('acme/odd-GGUF', { 'odd-Q8_0.gguf': 'x'.repeat(9000) });
  expect((await run(['pull', 'acme/odd-GGUF'])).err).toMatch(
    /mamba is not supported: it has layers without attention; .*\n$/,
  );
  expect((await run(['pull', 'nothing'])).err).toContain('expected OWNER/NAME');
});
