import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { addConfigFlags, configFlags } from '../../../../server/cli/flags.ts';
import { runProgram } from '../../../../server/cli/program.ts';
import { type Config, loadConfig } from '../../../../server/config/config.ts';
import { OPTION_NAMES, OPTIONS } from '../../../../server/config/options.ts';
import { MemoryTerminal } from '../../../memory-terminal.ts';

async function run(args: string[], env: Record<string, string> = {}) {
  const terminal = new MemoryTerminal();
  const code = await runProgram(args, { terminal, env, clock: new VirtualClock(), epochMs: () => 0 });
  return { code, out: terminal.written, err: terminal.notes };
}

describe('flags', () => {
  const parsed = (...args: string[]): Config => {
    const command = addConfigFlags(new Command('test')).exitOverride();
    command.parse(args, { from: 'user' });
    return loadConfig({ flags: configFlags(command.opts()), env: {} });
  };

  test('every option of the table has its flag, and its value arrives under its name', () => {
    const command = addConfigFlags(new Command('test'));
    const given = OPTION_NAMES.flatMap((name) => [`--${OPTIONS[name].flag}`, `value-of-${name}`]);
    command.parse(given, { from: 'user' });
    const flags = configFlags(command.opts());
    for (const name of OPTION_NAMES) {
      const value = `value-of-${name}`;
      expect(flags[name]).toEqual(OPTIONS[name].repeatable ? [value] : value);
    }
  });

  test('what is not given is not there: environment and file may speak', () => {
    const command = addConfigFlags(new Command('test'));
    command.parse([], { from: 'user' });
    expect(configFlags(command.opts())).toEqual({});
  });

  test('the page is there unless it is switched off, in either way', () => {
    expect([parsed().ui, parsed('--no-ui').ui, parsed('--ui', 'off').ui]).toEqual(['on', 'off', 'off']);
  });

  test('values are read as the table says', () => {
    const config = parsed(
      '--port',
      '0',
      '--kv-cache-size',
      '64MiB',
      '--api-key',
      'first-key',
      '--api-key=second-key',
    );
    expect(config.port).toBe(0);
    expect(config.kvCacheSizeMax).toBe(64 * 1024 * 1024);
    expect(config.apiKeys).toEqual(['first-key', 'second-key']);
  });
});

describe('the program', () => {
  test('help names every command, and every flag of serve with bound and variable', async () => {
    const help = await run(['--help']);
    expect(help.code).toBe(0);
    for (const name of ['serve', 'chat', 'complete', 'build', 'codex'])
      expect(help.out).toContain(`  ${name}`);
    const { out } = await run(['serve', '--help']);
    for (const name of OPTION_NAMES) {
      expect(out).toContain(`--${OPTIONS[name].flag} `);
      expect(out).toContain(OPTIONS[name].env);
    }
  });

  test('the version is the package’s', async () => {
    const { out, code } = await run(['--version']);
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(code).toBe(0);
  });

  test.each([
    [['serve', '--port', '70000'], /port = "70000" \(--port\): must be an integer from 0 to 65535/],
    [['serve', '--host', '0.0.0.0'], /host.*unless --api-key/],
    [['serve', '--model', 'no-such-model'], /no-such-model.*no embedded model/],
    [['serve', '--backend', 'tpu', '--log-level', 'error'], /"tpu" is not known; known are cpu, webgpu, sim/],
    [['serve', 'extra'], /too many arguments/],
    [['fly'], /unknown command/],
    [['serve', '--wings'], /unknown option '--wings'/],
    [['complete'], /missing required argument 'file'/],
    [['complete', '/no/such/file'], /no such file/],
    [['complete', '-', '--column', '3'], /--column needs --line/],
    [['complete', '-', '--line', '0'], /--line 0: expected an integer of at least 1/],
    [['complete', '-', '--max-tokens', 'many'], /--max-tokens many: expected an integer/],
    [['chat', '--temperature', '-1', '--url', 'http://127.0.0.1:1'], /--temperature -1: expected a number/],
    [['chat', '--url', 'ftp://x'], /--url ftp:\/\/x: expected something like http/],
    [['build', '/no/such/model'], /no.such.model.config\.json: is missing/],
  ])('%j is refused with a sentence and exit code 1', async (args, message) => {
    const { code, err, out } = await run(args);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\n\s+at /);
    expect(out).toBe('');
  });

  test('an unknown variable is refused too, by name', async () => {
    const { code, err } = await run(['serve'], { SPARKLANE_PROT: '1' });
    expect(code).toBe(1);
    expect(err).toContain('SPARKLANE_PROT');
  });

  test('nobody listening at the URL is said plainly', async () => {
    const { code, err } = await run(['chat', '--url', 'http://127.0.0.1:9']);
    expect(code).toBe(1);
    expect(err).toMatch(/^sparklane: .*(ECONNREFUSED|closed)/);
  });

  test('a whole completion: a server is started for it on the simulated device, and stopped', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparklane-'));
    const file = join(folder, 'a.ts');
    await writeFile(file, 'const a = 1;\n');
    const terminal = new MemoryTerminal();
    const { WallClock } = await import('../../../../kernels/clock.ts');
    const host = { terminal, env: {}, clock: new WallClock(), epochMs: Date.now };
    const args = ['complete', file, '--backend', 'sim', '--max-tokens', '5', '--kv-cache-size', '64MiB'];
    expect(await runProgram(args, host)).toBe(0);
    expect(terminal.written.length).toBeGreaterThan(0);
    expect(terminal.notes).toMatch(/TTFT .* 5 tokens/);
  });
});
