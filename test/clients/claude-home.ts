// A home, a work folder and a process for the real Claude Code, cut off from the person's own settings.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claudeSettings } from '../../server/cli/claude.ts';

const modules = join(import.meta.dirname, 'node_modules', '@anthropic-ai');
// The package's own command is put in place by an install script, which does not run here; its wrapper does the same.
const wrapper = join(modules, 'claude-code', 'cli-wrapper.cjs');

// The program itself is a package for each platform, and not for every one.
export const claudeMissing =
  !existsSync(wrapper) || !readdirSync(modules).some((name) => name.startsWith('claude-code-'));

export interface ClaudeRun {
  readonly code: number | null;
  readonly lines: readonly Readonly<Record<string, unknown>>[]; // of --output-format stream-json
  readonly result: string; // of the last line
  readonly errors: string; // what it wrote to standard error
}

export class ClaudeHome {
  readonly folder = mkdtempSync(join(tmpdir(), 'sparklane-claude-'));
  readonly work = join(this.folder, 'work');
  readonly #apiKey: string | null;
  readonly #tools: string | null; // names of those that go along; null: all

  constructor(
    url: string,
    { apiKey = null, tools = null }: { readonly apiKey?: string | null; readonly tools?: string | null } = {},
  ) {
    this.#apiKey = apiKey;
    this.#tools = tools;
    mkdirSync(join(this.work, '.claude'), { recursive: true });
    const facts = { model: 'spark-nano', contextTokens: 32_768 };
    const settings = claudeSettings({ url, ...facts, needsKey: apiKey !== null });
    writeFileSync(join(this.work, '.claude', 'settings.local.json'), JSON.stringify(settings));
  }

  /** `claude -p`; `onLine` may kill it. */
  print(
    args: readonly string[],
    onLine: (line: Readonly<Record<string, unknown>>, kill: () => void) => void = () => {},
  ): Promise<ClaudeRun> {
    const fixed = ['--output-format', 'stream-json', '--include-partial-messages', '--verbose'];
    const tools = this.#tools === null ? [] : ['--tools', this.#tools];
    const child = spawn(
      process.execPath,
      [wrapper, '-p', ...fixed, ...tools, '--dangerously-skip-permissions', ...args],
      {
        cwd: this.work,
        env: {
          ...(this.#apiKey !== null && { SPARKLANE_API_KEY: this.#apiKey }),
          PATH: process.env['PATH'],
          HOME: this.folder,
          IS_SANDBOX: '1', // containers run tests as root, which it refuses elsewhere
        },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true, // a group of its own: the wrapper starts the real process
      },
    );
    const lines: Readonly<Record<string, unknown>>[] = [];
    let errors = '';
    let rest = '';
    let closed = false;
    const kill = (): void => {
      if (!closed) process.kill(-child.pid!, 'SIGKILL');
    };
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      const whole = (rest + chunk.toString()).split('\n');
      rest = whole.pop()!;
      for (const text of whole) {
        if (!text.startsWith('{')) continue;
        const line = JSON.parse(text) as Readonly<Record<string, unknown>>;
        lines.push(line);
        onLine(line, kill);
      }
    });
    return new Promise((resolve) => {
      child.on('exit', () => {
        closed = true;
      });
      child.on('close', (code) => {
        const { result } = (lines.at(-1) ?? {}) as { readonly result?: unknown };
        resolve({ code, lines, errors, result: typeof result === 'string' ? result : '' });
      });
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
