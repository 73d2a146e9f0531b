// A home, a work folder and a process for the real Codex CLI, cut off from the person's own settings.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codexConfig } from '../../server/cli/codex.ts';
import { codexCatalog } from '../../server/openai/codex-catalog.ts';

const bin = join(import.meta.dirname, 'node_modules', '.bin', 'codex');

export const codexMissing = !existsSync(bin);

export interface CodexRun {
  readonly events: readonly Readonly<Record<string, unknown>>[]; // of --json
  readonly code: number | null;
  readonly errors: string; // what it wrote to standard error
  readonly messages: readonly string[]; // of the assistant
}

export interface CodexHomeOptions {
  readonly webSockets: boolean;
  readonly catalogUrl?: boolean; // the catalogue comes from the server, not from a file; only with a key
  readonly apiKey?: string;
}

export class CodexHome {
  readonly folder = mkdtempSync(join(tmpdir(), 'sparklane-codex-'));
  readonly work = join(this.folder, 'work');
  readonly #apiKey: string | null;
  readonly #url: string;
  readonly #home = join(this.folder, 'codex');

  constructor(url: string, options: CodexHomeOptions) {
    this.#url = url;
    mkdirSync(this.work);
    mkdirSync(this.#home);
    const facts = { model: 'spark-nano', contextTokens: 32_768 };
    const catalogPath = join(this.#home, 'models.json');
    const catalog = codexCatalog({ name: facts.model, contextTokens: facts.contextTokens });
    writeFileSync(catalogPath, JSON.stringify(catalog));
    const { webSockets, catalogUrl = false, apiKey = null } = options;
    this.#apiKey = apiKey;
    let toml = codexConfig({ url, ...facts, catalogPath, needsKey: apiKey !== null, webSockets });
    if (catalogUrl) {
      toml = toml
        .replace(/^model_catalog_json.*\n/m, '')
        .replace('wire_api =', `model_catalog_url = "${url}/v1/models"\nwire_api =`);
    }
    writeFileSync(join(this.#home, 'config.toml'), toml);
  }

  /** `codex exec`; `onEvent` may kill it. */
  exec(
    args: readonly string[],
    onEvent: (event: Readonly<Record<string, unknown>>, kill: () => void) => void = () => {},
  ): Promise<CodexRun> {
    const child = spawn(
      bin,
      [
        'exec',
        ...(args[0] === 'resume' ? ['resume'] : []),
        '--json',
        '--skip-git-repo-check',
        '--dangerously-bypass-approvals-and-sandbox',
        ...(args[0] === 'resume' ? args.slice(1) : args),
      ],
      {
        cwd: this.work,
        env: {
          ...(this.#apiKey !== null && { SPARKLANE_API_KEY: this.#apiKey }),
          PATH: process.env['PATH'],
          HOME: this.folder,
          CODEX_HOME: this.#home,
          CODEX_OSS_BASE_URL: `${this.#url}/v1`, // read with --oss only
          RUST_LOG: process.env['RUST_LOG'] ?? 'warn',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true, // a group of its own: the npm command is a wrapper around the real process
      },
    );
    const events: Readonly<Record<string, unknown>>[] = [];
    let errors = '';
    let rest = '';
    let closed = false;
    // A timer of the test may fire after the run is over: its group is gone then, and its number may be another's.
    const kill = (): void => {
      if (!closed) process.kill(-child.pid!, 'SIGKILL');
    };
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (!line.startsWith('{')) continue;
        const event = JSON.parse(line) as Readonly<Record<string, unknown>>;
        events.push(event);
        onEvent(event, kill);
      }
    });
    return new Promise((resolve) => {
      child.on('exit', () => {
        closed = true;
      });
      child.on('close', (code) => {
        const items = events
          .filter(({ type }) => type === 'item.completed')
          .map(({ item }) => item as { type: string; text?: string });
        const messages = items.filter(({ type }) => type === 'agent_message').map(({ text }) => text ?? '');
        resolve({ events, code, errors, messages });
      });
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
