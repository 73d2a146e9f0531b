// A server in a process of its own, as a person would start it, for benchmarks. Needs dist/ (make build).
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NativeClient } from '../../server/client/client.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';

const root = join(import.meta.dirname, '../..');

export interface Served {
  readonly url: string;
  readonly pid: number;
  readonly device: string; // for people
  readonly readyMs: number; // process started → ready
  connect(): Promise<NativeClient>;
  /** One value of /metrics, 0 if it is not there. */
  metric(name: string): Promise<number>;
  rssBytes(): Promise<number>;
  stop(): Promise<void>;
  /** As a crash would: at once. */
  kill(): Promise<void>;
}

export async function serve(flags: readonly string[]): Promise<Served> {
  const startMs = performance.now();
  const entry = join(root, 'dist/sparklane.js');
  const child = spawn(
    'node',
    [entry, 'serve', '--port', '0', '--log-level', 'warn', '--model', 'spark-nano', ...flags],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const { url, device } = await readiness(child);
  const readyMs = performance.now() - startMs;
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    child.kill(signal);
    await once(child, 'exit');
  };
  const metrics = async () => (await fetch(`${url}/metrics`)).text();
  return {
    url,
    pid: child.pid!,
    device,
    readyMs,
    connect: () =>
      NativeClient.connect(webSocketTo(url, { apiKey: null, frameSizeMax: 2 ** 24, connectTimeoutMs: 5000 })),
    metric: async (name) => metricIn(await metrics(), name),
    rssBytes: async () => metricIn(await metrics(), 'sparklane_process_resident_memory_bytes'),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}

function readiness(child: ChildProcess): Promise<{ url: string; device: string }> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    let url = '';
    const onLine = (line: string) => {
      said.push(line);
      url ||= /^\s*url\s+(\S+)/.exec(line)?.[1] ?? '';
      const device = /^\s*device\s+(.+)/.exec(line)?.[1];
      if (device !== undefined) resolve({ url, device });
    };
    createInterface({ input: child.stdout! }).on('line', onLine);
    createInterface({ input: child.stderr! }).on('line', onLine);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}:\n${said.join('\n')}`)));
  });
}

function metricIn(text: string, name: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}
