// A native llama-server as a user starts it: where LLAMA_CPP says it is, in a process of its own on a free port. Also makes
// its files: llama-quantize writes the same weights in its own formats. After it: http-side.ts asks it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { env } from 'node:process';
import { findProgram } from './llama-bench.ts';

export interface RunningServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Its own program of this name in LLAMA_CPP, that folder's bin or build/bin, else on the PATH; null: there is none. */
export function llamaProgram(name: string): string | null {
  const given = env['LLAMA_CPP'];
  const places = given === undefined ? [] : [given, join(given, 'bin'), join(given, 'build/bin')];
  return findProgram(name, [...places, env['PATH'] ?? ''].join(delimiter));
}

/** `source` in another of llama.cpp's formats, written once. */
export function quantised(source: string, format: string, path: string): string {
  if (existsSync(path)) return path;
  const program = llamaProgram('llama-quantize');
  if (program === null) throw new Error('llama-quantize is not where LLAMA_CPP says');
  console.log(`writing ${path}`);
  execFileSync(program, ['--allow-requantize', source, path, format], { stdio: 'ignore' });
  return path;
}

export async function startLlamaServer(program: string, flags: readonly string[]): Promise<RunningServer> {
  const port = await freePort();
  const child = spawn(program, [...flags, '--host', '127.0.0.1', '--port', String(port), '--no-ui'], {
    stdio: 'ignore',
  });
  const url = `http://127.0.0.1:${port}`;
  await healthy(child, url);
  return {
    url,
    pid: child.pid!,
    async stop() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

async function healthy(child: ChildProcess, url: string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`llama-server ended with ${child.exitCode}`);
    const response = await fetch(`${url}/health`).catch(() => null);
    await response?.arrayBuffer();
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
