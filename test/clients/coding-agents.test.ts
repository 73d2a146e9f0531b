// opencode and Continue's CLI of npm, and aider of PyPI, unmodified: each writes a file with a tool or in its own form.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { call } from './scripted-calls.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const modules = join(import.meta.dirname, 'node_modules');
// The npm command is a wrapper that its install script would make; the program itself lies beside it.
const opencode = join(modules, `opencode-${process.platform}-${process.arch}`, 'bin', 'opencode');
const continued = join(modules, '.bin', 'cn');
const aider = process.env['AIDER_BIN'] ?? ''; // its packages are pinned otherwise: a venv of its own

if (!existsSync(opencode)) console.log('skipped: opencode is not installed here; make clients installs it');
if (!existsSync(continued)) console.log('skipped: cn is not installed here; make clients installs it');
if (!existsSync(aider)) console.log('skipped: no aider; AIDER_BIN names one (pip install aider-chat)');

const text = 'old pond\n';
const model = 'spark-nano';

let server: ScriptedServer;
let folder: string;
let work: string;

/** What an agent's own words ask of the model: to write the file with its tool, or as a whole in its answer. */
function say(prompt: string): string {
  const question = prompt.slice(prompt.lastIndexOf('<|im_start|>user'));
  if (question.includes('<tool_response>')) return 'The haiku is written.';
  if (!question.includes('haiku')) return 'Hello there.';
  const path = join(work, 'haiku.txt');
  if (prompt.includes('"filePath"')) return call('write', { content: text, filePath: path });
  if (prompt.includes('"filepath"')) return call('Write', { filepath: path, content: text });
  return `haiku.txt\n\`\`\`\n${text}\`\`\`\n`;
}

beforeAll(async () => {
  server = await startScriptedServer({ say });
});

afterAll(() => server?.stop());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sparklane-agent-'));
  work = join(folder, 'work');
  mkdirSync(work);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Its output, once it has ended. */
function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(program, args, {
    cwd: work,
    env: { PATH: process.env['PATH'], HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  return new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}

const written = () => readFileSync(join(work, 'haiku.txt'), 'utf8');

describe('a coding agent writes a file', () => {
  test.skipIf(!existsSync(opencode))('opencode', async () => {
    const provider = {
      npm: '@ai-sdk/openai-compatible',
      name: 'Sparklane',
      options: { baseURL: `${server.url}/v1`, apiKey: 'none' },
      models: { [model]: { name: model, tool_call: true, limit: { context: 32_000, output: 4000 } } },
    };
    const config = {
      ...{ autoupdate: false, share: 'disabled', permission: { edit: 'allow' } },
      ...{ provider: { here: provider }, model: `here/${model}`, small_model: `here/${model}` },
    };
    writeFileSync(join(work, 'opencode.json'), JSON.stringify(config));
    const env = { OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_DISABLE_MODELS_FETCH: '1' };
    const output = await run(opencode, ['run', 'Write a haiku into haiku.txt'], env);
    expect(output).toContain('The haiku is written.');
    expect(written()).toBe(text);
  });

  test.skipIf(!existsSync(continued))('Continue’s cn', async () => {
    const config = [
      'name: here\nversion: 1.0.0\nschema: v1\nmodels:',
      `  - { name: nano, provider: openai, model: ${model}, apiKey: none, apiBase: "${server.url}/v1", roles: [chat] }\n`,
    ].join('\n');
    writeFileSync(join(folder, 'config.yaml'), config);
    const args = ['-p', 'Write a haiku into haiku.txt', '--config', join(folder, 'config.yaml'), '--auto'];
    const output = await run(continued, args, { CONTINUE_TELEMETRY_ENABLED: '0' });
    expect(output).toContain('The haiku is written.');
    expect(written()).toBe(text);
  });

  test.skipIf(!existsSync(aider))('aider', async () => {
    writeFileSync(join(work, 'haiku.txt'), '\n');
    const quiet = [
      '--no-git',
      '--yes-always',
      '--no-check-update',
      '--no-show-model-warnings',
      '--no-analytics',
    ];
    const how = ['--map-tokens', '0', '--edit-format', 'whole', '--model', `openai/${model}`];
    const env = { OPENAI_API_BASE: `${server.url}/v1`, OPENAI_API_KEY: 'none' };
    await run(aider, [...quiet, ...how, '--message', 'Write a haiku.', 'haiku.txt'], env);
    expect(written()).toBe(text);
  });
});
