// Processes of a cluster on loopback: Redis or Valkey, nodes of ours with a simulated device, Envoy with deploy/envoy.yaml. Owns
// where programs are looked for and that all of them end. Used by main.ts and the tests of what nodes share.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { servedEnv } from '../served-env.ts';

const root = join(import.meta.dirname, '../..');

/** The first of them that starts; null: none is installed. */
function programOf(...names: readonly (string | undefined)[]): string | null {
  const found = names.find(
    (name) => name !== undefined && spawnSync(name, ['--version']).error === undefined,
  );
  return found ?? null;
}

export const redisProgram = programOf(env['REDIS_BIN'], 'redis-server', 'valkey-server');
export const envoyProgram = programOf(env['ENVOY_BIN'], 'envoy');

export interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  readonly url: string;
}

const DEVICE_FLAGS = {
  sim: ['--backend', 'sim'],
  cpu: ['--backend', 'cpu'],
  paced: ['--backend', 'h100', '--sim-text', 'model'], // the model's own answers, at the pace of an H100 with Llama 3.1 8B
} as const;

/** `sim`: tokens that mean nothing; the others answer as the model does. */
export type RigDevice = keyof typeof DEVICE_FLAGS;

export class Rig {
  readonly #program: string; // what Node runs
  readonly #children: ChildProcess[] = [];

  constructor(program: string) {
    this.#program = program;
  }

  /** Ends whatever still runs. */
  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  /** `given`: its port, where another one was before. */
  async redis(given?: number): Promise<Started> {
    const port = given ?? (await freePort());
    const flags = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const child = this.#spawn(redisProgram!, flags);
    await said(child, 'stdout', /ready to accept connections/i);
    return { child, port, url: `redis://127.0.0.1:${port}` };
  }

  /** A word to a server that is there, as its protocol has them in a line. */
  async tellRedis({ port }: Started, line: string): Promise<void> {
    const socket = createConnection(port, '127.0.0.1');
    socket.write(`${line}\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    if (!answer.toString().startsWith('+OK')) throw new Error(`${line}: ${answer.toString()}`);
  }

  /** Resolves once it serves, and has its store where it has one. */
  async node(name: string, options: NodeOptions): Promise<Started> {
    const { redis, keys = {} } = options;
    const port = options.port ?? (await freePort());
    const { device: kind = 'sim' } = options;
    const device = [
      ...['--model', 'spark-nano', '--kv-cache-size', '256MiB', '--stream-interval', '0'],
      ...DEVICE_FLAGS[kind],
    ];
    // What it is compared with has no store, which would say so too; without it near ties turn with the load.
    if (kind !== 'sim' && redis === null) device.push('--invariance', 'full');
    const cluster = redis === null ? [] : ['--cluster', redis];
    const flags = [
      'serve',
      '--port',
      String(port),
      '--node',
      name,
      ...device,
      ...cluster,
      ...(options.flags ?? []),
    ];
    const child = this.#spawn(process.execPath, [this.#program, ...flags], {
      ...servedEnv,
      SPARKLANE_THREADS: '2',
      ...keys,
    });
    const stored = redis === null ? null : said(child, 'stderr', /store is there/);
    const [, url] = await said(child, 'stdout', /url\s+(\S+)/);
    await stored;
    return { child, url: url!, port: Number(new URL(url!).port) };
  }

  /** Before three nodes at these ports, named a, b and c. */
  async envoy(ports: readonly number[]): Promise<Started> {
    const [port, adminPort] = [await freePort(), await freePort()];
    const told: Record<string, number> = { 8080: port, 9901: adminPort };
    for (const [index, one] of ports.entries()) told[8081 + index] = one;
    const config = readFileSync(join(root, 'deploy/envoy.yaml'), 'utf8');
    const file = join(mkdtempSync(join(tmpdir(), 'sparklane-envoy-')), 'envoy.yaml');
    writeFileSync(
      file,
      config.replace(/\b(808[0-3]|9901)\b/g, (found) => String(told[found])),
    );
    const child = this.#spawn(envoyProgram!, ['-c', file, '--log-level', 'error', '--disable-hot-restart']);
    const url = `http://127.0.0.1:${port}`;
    while (!(await isReady(url))) {
      if (child.exitCode !== null) throw new Error(`envoy ended with ${child.exitCode}`);
      await pause(100);
    }
    return { child, port, url };
  }

  #spawn(program: string, args: readonly string[], more: Record<string, string> = {}): ChildProcess {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...more },
    });
    this.#children.push(child);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', () => {}); // else a full pipe would stop it
    return child;
  }
}

export interface NodeOptions {
  readonly redis: string | null;
  readonly port?: number;
  readonly keys?: Readonly<Record<string, string>>; // of its environment
  readonly flags?: readonly string[];
  readonly device?: RigDevice;
}

/** Resolves with the match once a process has written it; rejects if it ends before. */
async function said(
  child: ChildProcess,
  stream: 'stdout' | 'stderr',
  pattern: RegExp,
): Promise<RegExpExecArray> {
  let text = '';
  return new Promise((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      text += chunk.toString();
      const found = pattern.exec(text);
      if (found === null) return;
      child[stream]!.off('data', read);
      resolve(found);
    };
    child[stream]!.on('data', read);
    child.once('close', (code) => reject(new Error(`a process ended with ${code} early: ${text}`)));
  });
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).status === 200;
  } catch {
    return false;
  }
}

/** Below those that the system gives to whoever connects: a check of a dead node would else connect to itself. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + randomInt(20_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
