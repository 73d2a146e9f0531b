// A whole server in a process of its own, for faults that a process cannot do to itself: too few file descriptors, a kill.
// Owns the process. Before it: processes.ts.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process, { execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { programFile } from '../built-program.ts';
import { servedEnv } from '../served-env.ts';

export interface ChildServer {
  readonly url: string;
  readonly pid: number;
  readonly lines: readonly string[]; // that it has said, on both streams
  /** Resolves once it is gone. */
  readonly end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>;
}

/** `descriptorCountMax` is what its shell would allow; null: as many as this process. Rejects with what it said instead. */
export async function startChild(
  flags: Readonly<Record<string, string>>,
  descriptorCountMax: number | null = null,
): Promise<ChildServer> {
  const args = [programFile('sparklane.ts'), 'serve'];
  for (const [name, value] of Object.entries(flags)) args.push(`--${name}`, value);
  const limit = descriptorCountMax === null ? '' : `ulimit -n ${descriptorCountMax}; `;
  const env = { ...process.env, ...servedEnv };
  const child = spawn('sh', ['-c', `${limit}exec "$0" "$@"`, execPath, ...args], { env });
  const lines: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        const match = /^\s*url\s+(\S+)/.exec(line);
        if (match !== null) resolve(match[1]!);
      });
    }
    child.once('exit', () => reject(new Error(lines.join('\n'))));
  });
  return { url, pid: child.pid!, lines, end: (signal) => ended(child, signal) };
}

async function ended(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}
