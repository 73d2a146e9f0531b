// `sparklane claude`: what it prints and writes, and what it leaves alone.
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { claudeSettings } from '../../../../server/cli/claude.ts';
import { runProgram } from '../../../../server/cli/program.ts';
import { MemoryTerminal } from '../../../memory-terminal.ts';

async function run(args: string[]) {
  const terminal = new MemoryTerminal();
  const host = { terminal, env: {}, clock: new VirtualClock(), epochMs: () => 0 };
  const code = await runProgram(['claude', ...args], host);
  return { code, out: terminal.written, err: terminal.notes };
}

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'sparklane-claude-'));
}

const env = (path: string) => (JSON.parse(readFileSync(path, 'utf8')) as { env: Record<string, string> }).env;

test('prints settings of this server and writes nothing', async () => {
  const directory = folder();
  const { code, out } = await run(['--port', '9001', '--directory', directory]);
  expect(code).toBe(0);
  expect((JSON.parse(out) as { env: object }).env).toMatchObject({
    ANTHROPIC_BASE_URL: 'http://127.0.0.1:9001',
    ANTHROPIC_MODEL: 'smollm2-135m-instruct',
  });
  expect(existsSync(join(directory, 'settings.local.json'))).toBe(false);
});

test('writes beside what a person has there, again and again', async () => {
  const directory = join(folder(), 'new');
  expect((await run(['--write', '--directory', directory])).code).toBe(0);
  const path = join(directory, 'settings.local.json');
  const written = JSON.parse(readFileSync(path, 'utf8')) as { env: object };
  const own = { permissions: { allow: ['Bash'] }, env: { ...written.env, EDITOR: 'ed' } };
  writeFileSync(path, JSON.stringify(own));
  expect((await run(['--write', '--directory', directory])).code).toBe(0);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(own);
});

test('replaces what a person has set to something else only when told to', async () => {
  const directory = folder();
  const path = join(directory, 'settings.local.json');
  writeFileSync(path, JSON.stringify({ env: { ANTHROPIC_MODEL: 'mine', EDITOR: 'ed' } }));
  const refused = await run(['--write', '--directory', directory]);
  expect([refused.code, env(path)['ANTHROPIC_MODEL']]).toEqual([1, 'mine']);
  expect(refused.err).toContain('ANTHROPIC_MODEL');
  expect((await run(['--write', '--force', '--directory', directory])).code).toBe(0);
  expect(env(path)).toMatchObject({ ANTHROPIC_MODEL: 'smollm2-135m-instruct', EDITOR: 'ed' });
});

test('leaves alone what it cannot read', async () => {
  const directory = folder();
  const path = join(directory, 'settings.local.json');
  writeFileSync(path, '{ // mine');
  expect((await run(['--write', '--force', '--directory', directory])).code).toBe(1);
  expect(readFileSync(path, 'utf8')).toBe('{ // mine');
});

test('the key stays out of the file: it is asked for', () => {
  const settings = claudeSettings({ url: 'http://[::1]:1', model: 'm', contextTokens: 4096, needsKey: true });
  expect(settings.apiKeyHelper).toBe('printenv SPARKLANE_API_KEY');
  expect(settings.env).not.toHaveProperty('ANTHROPIC_AUTH_TOKEN');
  expect(settings.env['CLAUDE_CODE_MAX_OUTPUT_TOKENS']).toBe('1024');
});
