// `sparklane codex`: what it prints and writes, and what it leaves alone.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { codexConfig } from '../../../../server/cli/codex.ts';
import { runProgram } from '../../../../server/cli/program.ts';
import { MemoryTerminal } from '../../../memory-terminal.ts';

async function run(args: string[], env: Record<string, string> = {}) {
  const terminal = new MemoryTerminal();
  const host = { terminal, env, clock: new VirtualClock(), epochMs: () => 0 };
  const code = await runProgram(['codex', ...args], host);
  return { code, out: terminal.written, err: terminal.notes };
}

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'sparklane-codex-'));
}

describe('sparklane codex', () => {
  test('prints a config of this server and writes nothing', async () => {
    const directory = folder();
    const { code, out } = await run(['--port', '9001', '--directory', directory]);
    expect(code).toBe(0);
    expect(out).toContain('base_url = "http://127.0.0.1:9001/v1"');
    expect(out).toContain('model = "smollm2-135m-instruct"');
    expect(() => readFileSync(join(directory, 'config.toml'))).toThrow('ENOENT');
  });

  test('writes both files where Codex looks for them, again and again', async () => {
    const directory = join(folder(), 'new');
    for (let i = 0; i < 2; i++) {
      const { code, out } = await run(['--write'], { CODEX_HOME: directory });
      expect([code, out]).toEqual([0, expect.stringContaining(join(directory, 'config.toml'))]);
    }
    const toml = readFileSync(join(directory, 'config.toml'), 'utf8');
    const [, path] = /^model_catalog_json = "(.*)"$/m.exec(toml)!;
    const catalog = JSON.parse(readFileSync(path!, 'utf8')) as { models: { slug: string }[] };
    expect(catalog.models.map(({ slug }) => slug)).toEqual(['smollm2-135m-instruct']);
  });

  test('does not overwrite what a person wrote, unless told to', async () => {
    const directory = folder();
    const file = join(directory, 'config.toml');
    writeFileSync(file, 'model = "mine"\n');
    const refused = await run(['--write', '--directory', directory]);
    expect([refused.code, readFileSync(file, 'utf8')]).toEqual([1, 'model = "mine"\n']);
    expect(refused.err).toContain('--force');
    expect((await run(['--write', '--force', '--directory', directory])).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('Sparklane');
  });
});

test('the config names the key’s variable and the transport as the server has them', () => {
  const facts = {
    url: 'http://127.0.0.1:1',
    model: 'm"1',
    contextTokens: 1,
    catalogPath: '/x',
    needsKey: true,
    webSockets: false,
  };
  const toml = codexConfig(facts);
  expect(toml).toContain('env_key = "SPARKLANE_API_KEY"');
  expect(toml).toContain('supports_websockets = false');
  expect(toml).toContain('model = "m\\"1"');
});
